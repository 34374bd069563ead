import WherryModel

/// Whether the aim is reached, or cannot be.
extension DeviceMachine {
  /// Everything of the aim is good and nothing else is left, apart from what is excused.
  func isAimReached(_ deployment: DeploymentProgress) -> Bool {
    let plan = aimPlan
    let names = Set(plan?.components.map(\.name) ?? [])
    guard state.orphans.isEmpty, state.components.keys.allSatisfy(names.contains) else { return false }
    return unreached(deployment).isEmpty
  }

  private func unreached(_ deployment: DeploymentProgress) -> [ComponentName] {
    guard let aim = state.aim else { return [] }
    return plan(aim).components.map(\.name).filter { name in
      guard let machine = state.components[name], machine.generation == aim.generation else { return true }
      return !machine.phase.isGood && !deployment.excused.contains(name)
    }
  }

  /// The first component of the aim, in start order, that was given up; or that time is up.
  func failureOfAim(_ deployment: DeploymentProgress, _ deadline: Instant, _ now: Instant) -> Failure? {
    for planned in aimPlan?.components ?? [] where !deployment.excused.contains(planned.name) {
      guard let machine = state.components[planned.name], machine.generation == state.aim?.generation,
        case .broken = machine.phase
      else { continue }
      return machine.failure
        ?? Failure(
          .start, code: "component.broken", message: "\(planned.name) is broken",
          remedy: "read its last log lines and correct that version", component: planned.name)
    }
    guard now >= deadline else { return nil }
    let late = unreached(deployment).map(\.rawValue).joined(separator: ", ")
    return Failure(
      .timeout, code: "deployment.timeout",
      message: "the deployment did not settle within its timeout; not ready: \(late.isEmpty ? "nothing" : late)",
      remedy: "raise the deployment's timeout or see why these take so long")
  }
}
