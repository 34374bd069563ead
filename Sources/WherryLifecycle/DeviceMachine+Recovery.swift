import WherryModel

/// `.started`: the same code runs at the first start, after a crash at any point, and after a power cut.
extension DeviceMachine {
  mutating func recover(
    alive: [WorkloadID: String], ended: [WorkloadID: WorkloadEnd], bootID: String, _ now: Instant,
    _ actions: inout [DeviceAction]
  ) {
    let isBoot = bootID.isEmpty ? alive.isEmpty && ended.isEmpty : bootID != state.bootID
    state.bootID = bootID
    if isBoot { shiftTimers(byMilliseconds: now.milliseconds(since: state.clock)) }
    if let phase = state.deployment?.phase { state.deployment?.phase = phase.resumed(at: now) }
    adoptOrKill(alive, isBoot: isBoot, now, &actions)
    for name in state.components.keys.sorted() {
      guard var machine = state.components[name] else { continue }
      if hasOrphan(name) {
        machine.yield()
      } else if isBoot {
        machine.boot()
      } else {
        actions += machine.resume(
          alive: Set(alive.keys.filter { $0.component == name }.map(\.step)),
          ended: Dictionary(
            ended.filter { $0.key.component == name }.map { ($0.key.step, $0.value) }, uniquingKeysWith: { $1 }),
          context(of: machine, now))
      }
      state.components[name] = machine
    }
    repeatUnacknowledged(&actions)
  }

  /// Timers of the last boot keep what was left of them.
  private mutating func shiftTimers(byMilliseconds delta: Int64) {
    for (name, machine) in state.components {
      state.components[name]?.phase = machine.phase.shifted(byMilliseconds: delta)
    }
    if let phase = state.deployment?.phase {
      state.deployment?.phase = phase.shifted(byMilliseconds: delta)
    }
  }

  /// What is alive and was asked for with this identity is adopted; everything else is an orphan.
  private mutating func adoptOrKill(
    _ alive: [WorkloadID: String], isBoot: Bool, _ now: Instant, _ actions: inout [DeviceAction]
  ) {
    state.orphans = [:]
    var strangers: Set<ComponentName> = []
    for id in alive.keys.sorted() where isBoot || !isExpected(id, identity: alive[id] ?? "", now) {
      strangers.insert(id.component)
    }
    // With one stranger in it, a component begins again as a whole: simpler than sorting out which half is right.
    for id in alive.keys.sorted() where strangers.contains(id.component) {
      orphan(id, now, &actions)
    }
  }

  private func isExpected(_ id: WorkloadID, identity: String, _ now: Instant) -> Bool {
    guard let machine = state.components[id.component], machine.identity == identity else { return false }
    return machine.aliveSteps(in: context(of: machine, now)).contains(id.step)
  }

  /// Actions that may have been journalled but not performed when the agent ended.
  private mutating func repeatUnacknowledged(_ actions: inout [DeviceAction]) {
    if let deployment = state.deployment, case .fetching = deployment.phase {
      actions.append(
        .fetch(generation: deployment.reference.generation, plan: plan(deployment.reference)))
    }
    actions += state.forgotten.sorted().map { .forget($0) }
    if let current = state.current, state.deployment == nil { actions.append(.commit(current)) }
  }
}
