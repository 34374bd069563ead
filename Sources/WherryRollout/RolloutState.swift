import WherryModel

/// Where a rollout is as a whole.
package enum RolloutState: Hashable, Sendable {
  /// Created, not begun. Exits: `rolling` (start), `cancelled`.
  case created
  /// Waves open as their gates allow. Exits: `paused` (operator), `halted` (failure budget), `completed`, `cancelled`.
  case rolling
  /// An operator holds it: devices in flight go on, nothing is released. Exits: `rolling` (resume), `cancelled`.
  case paused(reason: String)
  /// The failure budget is spent. Exits: with policy `pause` `rolling` (resume: the failures so far are accepted) and
  /// `cancelled`; with `stop` and `revert` none.
  case halted(reason: String)
  /// Every wave is open and no reachable device is under way. Devices that were away still get their state. No exits.
  case completed
  case cancelled

  package var name: String {
    switch self {
    case .created: "created"
    case .rolling: "rolling"
    case .paused: "paused"
    case .halted: "halted"
    case .completed: "completed"
    case .cancelled: "cancelled"
    }
  }

  package var reason: String {
    switch self {
    case .paused(let reason), .halted(let reason): reason
    case .created, .rolling, .completed, .cancelled: ""
    }
  }
}

/// Where one device is in a rollout.
package enum RolloutDeviceStatus: Hashable, Sendable {
  /// Not released. Exits: `released`, `parked` (its wave is open and it is offline).
  case waiting
  /// Offline; holds no gate. Exits: `released` (back online), `committed`, `failed` (a report that was under way).
  case parked
  /// Released and online. Exits: `committed`, `failed`, `parked` (went offline).
  case released
  /// Exits: none but a later failure of the same deployment.
  case committed
  /// Exits: `committed`, should the device mend itself.
  case failed(Failure?)
  /// The rollout halted and it was given back what it had before. No exits.
  case reverted

  package var name: String {
    switch self {
    case .waiting: "waiting"
    case .parked: "parked"
    case .released: "released"
    case .committed: "committed"
    case .failed: "failed"
    case .reverted: "reverted"
    }
  }
}

package struct RolloutWave: Hashable, Sendable {
  package enum Progress: String, Hashable, Sendable { case waiting, open, soaking, done }
  package var index: Int
  package var size: Int
  package var released: Int
  package var committed: Int
  package var failed: Int
  package var parked: Int
  package var progress: Progress
}

package struct RolloutSummary: Hashable, Sendable {
  package struct Device: Hashable, Sendable {
    package var name: DeviceName
    package var wave: Int
    package var status: RolloutDeviceStatus
  }
  package var state: RolloutState
  package var waves: [RolloutWave]
  /// By name.
  package var devices: [Device]
}
