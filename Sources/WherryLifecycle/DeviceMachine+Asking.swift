import WherryJSON
import WherryModel

/// Between the last byte and the first change: components that run and would be changed may hold their update off.
extension DeviceMachine {
  static let askIntervalMilliseconds: Int64 = 1_000

  /// Process components that are up and that the plan changes or removes. A container has no place to answer from.
  func componentsToAsk(_ plan: Plan, _ configurations: [ComponentName: JSON]) -> [ComponentName] {
    let settings = NucleusSettings(configurations)
    return state.components.keys.sorted().filter { name in
      guard let machine = state.components[name], case .running = machine.phase,
        planned(machine).planned.container == nil
      else { return false }
      guard let wanted = plan[name] else { return true }
      let configuration = configurations[name] ?? .object([:])
      return ComponentIdentity.of(wanted, configuration: configuration, settings: settings) != machine.identity
    }
  }

  /// Asks again every second, until nobody holds or the policy's time is up.
  mutating func ask(_ now: Instant, _ actions: inout [DeviceAction]) {
    guard let deployment = state.deployment, case .asking = deployment.phase else {
      askAt = nil
      return
    }
    // A new start of the agent has nothing noted: it asks at once.
    guard now >= askAt ?? now else { return }
    askAt = now.advanced(byMilliseconds: Self.askIntervalMilliseconds)
    let plan = plan(deployment.reference)
    let names = componentsToAsk(plan, effectiveConfigurations(of: plan))
    actions.append(.ask(generation: deployment.reference.generation, names))
  }

  mutating func held(_ generation: Generation, _ names: [ComponentName], _ now: Instant) {
    guard let deployment = state.deployment, deployment.reference.generation == generation,
      case .asking(let deadline, _) = deployment.phase
    else { return }
    if names.isEmpty {
      beginApplying(deployment, now)
    } else {
      state.deployment?.phase = .asking(deadline: deadline, holding: names.sorted())
    }
  }

  /// One restart serves all that want one: it waits until every preparation under way has ended.
  mutating func askForRestart(_ actions: inout [DeviceAction]) {
    var wish: RestartKind?
    for machine in state.components.values {
      switch machine.phase {
      case .preparing: return
      case .awaitingRestart(.machine, _): wish = .machine
      case .awaitingRestart(.agent, _): wish = wish ?? .agent
      default: continue
      }
    }
    guard wish != restartAsked else { return }
    restartAsked = wish
    if let wish { actions.append(.restart(wish)) }
  }
}
