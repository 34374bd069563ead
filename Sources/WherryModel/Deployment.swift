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
