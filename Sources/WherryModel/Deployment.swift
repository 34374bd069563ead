import WherryJSON

package enum DeploymentTarget: Hashable, Sendable, CustomStringConvertible {
  case group(GroupName)
  case device(DeviceName)
  package var description: String {
    switch self {
    case .group(let name): "group/\(name)"
    case .device(let name): "device/\(name)"
    }
  }
}

/// What an operator asks for. Immutable once created; a newer deployment to the same target supersedes it.
package struct Deployment: Hashable, Sendable {
  package var id: DeploymentID
  package var target: DeploymentTarget
  package var components: [ComponentName: DeployedComponent]
  package var rollout: RolloutPolicy
  package var apply: ApplyPolicy
  package init(
    id: DeploymentID, target: DeploymentTarget, components: [ComponentName: DeployedComponent],
    rollout: RolloutPolicy = RolloutPolicy(), apply: ApplyPolicy = ApplyPolicy()
  ) {
    self.id = id
    self.target = target
    self.components = components
    self.rollout = rollout
    self.apply = apply
  }
}

package struct DeployedComponent: Hashable, Sendable {
  /// An exact version (`1.0.0`) or a range; the service resolves it when the deployment is created.
  package var requirement: VersionRequirement
  package var reset: [String]
  package var merge: JSON?
  package init(requirement: VersionRequirement, reset: [String] = [], merge: JSON? = nil) {
    self.requirement = requirement
    self.reset = reset
    self.merge = merge
  }
}

/// How a deployment spreads over its target. Docs/cli.md, `wherry deploy`.
package struct RolloutPolicy: Hashable, Sendable {
  /// Cumulative share of the target at the end of each wave; the last wave always takes the rest.
  package enum Size: Hashable, Sendable {
    case count(Int)
    /// Of the target, rounded up, at least one.
    case percent(Int)
    /// So many times what the waves before it hold, again and again, until everyone has a place.
    case factor(Int)
  }
  /// A budget that grows with the fleet.
  package struct FailureShare: Hashable, Sendable {
    /// More of those that have ended than this halt the rollout.
    package var percent: Int
    /// As soon as so many have ended; where there are fewer, all of them.
    package var sample: Int
    package init(percent: Int, sample: Int) {
      self.percent = percent
      self.sample = sample
    }
  }
  package enum FailureAction: String, Hashable, Sendable {
    /// Stop opening waves and wait for a person.
    case pause
    /// End the deployment; what changed stays.
    case stop
    /// End the deployment; whoever changed gets back what its target had before.
    case revert
  }
  package var waves: [Size] = [.percent(10), .percent(50), .percent(100)]
  /// After the last device of a wave committed, before the next wave opens.
  package var soakMilliseconds: Int64 = 0
  /// More failed devices than this halt the rollout.
  package var failuresMaximum: Int = 0
  /// In place of that number; nil = the number counts.
  package var failureShare: FailureShare?
  /// Devices with all of these labels are a wave of their own before the others; empty = there is none.
  package var canary: [String: String] = [:]
  /// Devices that may be changing at the same time; 0 = as many as the wave holds.
  package var concurrencyMaximum: Int = 0
  /// A released, online device that has not ended by then counts as failed with class `timeout`.
  package var deviceTimeoutSeconds: Int = 3_600
  package var onFailure: FailureAction = .pause
  package init() {}
}
