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
  /// Released and online. Exits: `committed`, `failed`, `silent`, `deferred`, `parked` (went offline).
  case released
  /// It said *not now*, and goes on by itself. Exits: those of `released`, and `released`.
  case deferred
  /// Exits: none but a later failure of the same deployment.
  case committed
  /// Exits: `committed`, should the device mend itself.
  case failed(Failure?)
  /// It is online and said nothing of the deployment in time. Exits: `released` (it speaks), `committed`, `failed`.
  case silent(Failure?)
  /// The rollout halted and it was given back what it had before. No exits.
  case reverted

  package var name: String {
    switch self {
    case .waiting: "waiting"
    case .parked: "parked"
    case .released: "released"
    case .deferred: "deferred"
    case .silent: "silent"
    case .committed: "committed"
    case .failed: "failed"
    case .reverted: "reverted"
    }
  }
}

package struct RolloutWave: Hashable, Sendable {
  package enum Progress: String, Hashable, Sendable { case waiting, open, soaking, done }
  package var index: Int
  package var size = 0
  package var released = 0
  package var committed = 0
  package var failed = 0
  package var silent = 0
  package var parked = 0
  package var deferred = 0
  package var progress: Progress
}

package struct RolloutSummary: Hashable, Sendable {
  package struct Device: Hashable, Sendable {
    package var name: DeviceName
    package var wave: Int
    package var status: RolloutDeviceStatus
    /// In one sentence what keeps it back although its wave is open.
    package var waitsFor: String?
  }
  package var state: RolloutState
  package var waves: [RolloutWave]
  /// By name.
  package var devices: [Device]
}
