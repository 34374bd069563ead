import WherryModel

/// Routing what happened to the component that it happened to.
extension DeviceMachine {
  mutating func workloadStarted(_ id: WorkloadID, _ now: Instant) {
    guard state.orphans[id] == nil, var machine = state.components[id.component] else { return }
    machine.workloadStarted(id.step, context(of: machine, now))
    state.components[id.component] = machine
  }

  mutating func workloadGone(
    _ id: WorkloadID, _ end: WorkloadEnd, _ now: Instant, _ actions: inout [DeviceAction]
  ) {
    // Its component launches nothing while an orphan of it lives, so this is about the orphan.
    if state.orphans.removeValue(forKey: id) != nil { return }
    guard var machine = state.components[id.component] else { return }
    actions += machine.workloadGone(id.step, end, context(of: machine, now))
    state.components[id.component] = machine
  }

  mutating func healthReported(
    _ name: ComponentName, isHealthy: Bool, detail: String, _ now: Instant, _ actions: inout [DeviceAction]
  ) {
    guard var machine = state.components[name] else { return }
    let context = context(of: machine, now)
    actions += machine.healthReported(isHealthy: isHealthy, detail: detail, context)
    state.components[name] = machine
    if let check = context.planned.container?.health, probes[name] != nil {
      probes[name] = now.advanced(byMilliseconds: Self.probeInterval(machine, check, now))
    }
  }

  /// While a component comes up it is probed often, so that a deployment does not wait a whole interval for the first
  /// success.
  static let probeIntervalStartingMilliseconds: Int64 = 250

  private static func probeInterval(_ machine: ComponentMachine, _ check: HealthCheck, _ now: Instant) -> Int64 {
    let interval = max(1, check.intervalMilliseconds)
    guard case .running(let since, _, .pending) = machine.phase,
      now.milliseconds(since: since) < check.startPeriodMilliseconds
    else { return interval }
    return min(interval, probeIntervalStartingMilliseconds)
  }

  /// Asks for the probes that are due. One that is never answered is asked again an interval after its timeout.
  mutating func probe(_ now: Instant, _ actions: inout [DeviceAction]) {
    var next: [ComponentName: Instant] = [:]
    for name in state.components.keys.sorted() {
      guard let machine = state.components[name], case .running = machine.phase,
        let check = planned(machine).planned.container?.health
      else { continue }
      let due = probes[name] ?? now
      guard now >= due else {
        next[name] = due
        continue
      }
      actions.append(.probe(name, check, WorkloadID(name, .run)))
      next[name] = now.advanced(byMilliseconds: max(1, check.timeoutMilliseconds + check.intervalMilliseconds))
    }
    probes = next
  }

  /// Lets every timer that is due act.
  mutating func expire(_ now: Instant, _ actions: inout [DeviceAction]) {
    for name in state.components.keys.sorted() {
      guard var machine = state.components[name], let until = machine.phase.until, now >= until else { continue }
      actions += machine.tick(context(of: machine, now))
      state.components[name] = machine
    }
    for id in state.orphans.keys.sorted() where now >= state.orphans[id] ?? now {
      orphan(id, now, &actions)
    }
  }

  mutating func orphan(_ id: WorkloadID, _ now: Instant, _ actions: inout [DeviceAction]) {
    state.orphans[id] = now.advanced(byMilliseconds: ComponentMachine.killAgainMilliseconds)
    actions.append(.kill(id))
  }

  func hasOrphan(_ name: ComponentName) -> Bool { state.orphans.keys.contains { $0.component == name } }

  /// When the machine wants a `tick` at the latest.
  package var nextDeadline: Instant? {
    var instants = state.components.values.compactMap(\.phase.until)
    instants += state.orphans.values
    instants += probes.values
    if let askAt { instants.append(askAt) }
    if let deadline = state.deployment?.phase.nextDeadline { instants.append(deadline) }
    return instants.min()
  }
}
