import WherryModel

package enum RolloutEvent: Hashable, Sendable {
  case start
  /// A device's report of this deployment. `digestMatches`: the plan that it says it runs is the one it was given.
  case reported(DeviceName, DeploymentStatus, Failure?, digestMatches: Bool)
  case online(DeviceName, Bool)
  case pause
  case resume
  /// Whoever failed gets its desired state once more.
  case retry
  case cancel
  /// The device came into the target.
  case joined(DeviceName, isOnline: Bool, sites: [String?] = [], bytes: Int64 = 0)
  /// The device left the target or was removed.
  case left(DeviceName)
  case tick
}

package enum RolloutAction: Hashable, Sendable {
  /// Give these devices their new desired state, in this order.
  case release([DeviceName])
  /// Give these devices, which have the new state or are on their way to it, what they had before.
  case revert([DeviceName])
  /// The failure budget is spent; no wave opens until a person resumes (policy `pause`) or ever (the others).
  case halted(reason: String)
  case completed
}

/// A device as it was when the rollout began.
package struct RolloutDevice: Hashable, Sendable {
  package var name: DeviceName
  package var isOnline: Bool
  /// Its value of each label that the policy's disruption budgets name, in their order; nil = it has none.
  package var sites: [String?]
  /// What it is expected to download.
  package var bytes: Int64
  package init(name: DeviceName, isOnline: Bool, sites: [String?] = [], bytes: Int64 = 0) {
    self.name = name
    self.isOnline = isOnline
    self.sites = sites
    self.bytes = bytes
  }
}
