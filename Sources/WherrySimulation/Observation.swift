import WherryJSON
import WherryLifecycle
import WherryModel

/// What the invariant checkers see. They know the simulated world from this alone, not from the simulator.
package enum Observation: Sendable {
  case ran(device: Int, WorkloadID, identity: String, blobsMissing: [Digest])
  case gone(device: Int, WorkloadID)
  case powerCut(device: Int)
  /// The agent's journal was written, after this event and with these actions.
  case handled(device: Int, DeviceEvent, at: Instant, actions: [DeviceAction], state: DeviceState)
  /// The agent began anew from this journal.
  case agentStarted(device: Int, journal: String, state: DeviceState, plans: [Digest: Plan])
  case desiredIssued(device: Int, Generation)
  /// `sites`: of each device its value of each label that the policy's disruption budgets name.
  case rolloutBegan(policy: RolloutPolicy, online: [Bool], sites: [[String?]] = [])
  case rolloutSaw(online: Bool, device: Int)
  case rolloutHeard(device: Int, DeploymentStatus, FailureCause? = nil)
  case rolloutHalted
  case rolloutReverted([Int])
  case rolloutResumed
  case rolloutReleased([Int])
  case rolloutCompleted
  case reportStored(device: Int, DeviceReport)
  case acknowledged(device: Int, sequence: Int64)
  case serviceStarted(sequences: [Int64])
  case finished(FleetSnapshot)
}

/// The fleet when the simulation ended.
package struct FleetSnapshot: Sendable {
  package struct Device: Sendable {
    var state: DeviceState
    var plan: Plan?
    var alive: [WorkloadID: String]
    var reportsUnacknowledged: Int
    var desired: Generation?
    var reported: DeviceReport?
  }
  var devices: [Device]
  var rollout: String
  var isAtRest: Bool
}

/// An invariant of the whole, watched from outside. Written apart from what it watches.
protocol InvariantChecker: Sendable {
  static var invariant: String { get }
  /// A sentence when the observation breaks the invariant.
  mutating func check(_ observation: Observation) -> String?
}

package struct Violation: Hashable, Sendable, CustomStringConvertible {
  package var invariant: String
  package var time: Int64
  package var what: String
  package var description: String { "at \(time) ms: \(what) (invariant: \(invariant))" }
}
