import WherryModel

/// Drives the components to the aim: what must go stops, dependents first; what is at rest is replaced or leaves; what
/// comes is prepared once everything that leaves has left, and starts after its dependencies.
extension DeviceMachine {
  /// Whether anything changed.
  mutating func reconcile(_ now: Instant, _ actions: inout [DeviceAction]) -> Bool {
    let before = state.components
    let wanted = wantedIdentities()
    sweep(wanted, now, &actions)
    admit(wanted)
    let hasStopped = stopWhatMust(wanted, now, &actions)
    startWhatMay(wanted, going: hasStopped ? namesThatMustStop(wanted) : [], now, &actions)
    return state.components != before
  }

  /// Components that are at rest and not wanted as they are: replaced, uninstalled or dropped.
  private mutating func sweep(
    _ wanted: [ComponentName: String], _ now: Instant, _ actions: inout [DeviceAction]
  ) {
    for name in state.components.keys.sorted() {
      guard var machine = state.components[name] else { continue }
      if wanted[name] == machine.identity && machine.phase != .uninstalled {
        // Same definition in a newer plan: refer to that, so that the old one can be forgotten.
        if let aim = state.aim { machine.generation = aim.generation }
        state.components[name] = machine
        continue
      }
      guard machine.phase.isAtRest, !hasOrphan(name) else { continue }
      if machine.phase == .uninstalled || wanted[name] != nil {
        let installed = machine.phase == .uninstalled ? nil : machine.installed
        state.components[name] = nil
        state.leaving.insert(name)
        admit(wanted, installed: installed, name)
      } else {
        actions += machine.uninstall(context(of: machine, now))
        state.components[name] = machine
      }
    }
  }

  private mutating func admit(_ wanted: [ComponentName: String]) {
    for name in wanted.keys.sorted() where state.components[name] == nil {
      admit(wanted, installed: nil, name)
    }
  }

  private mutating func admit(_ wanted: [ComponentName: String], installed: String?, _ name: ComponentName) {
    guard let identity = wanted[name], let aim = state.aim, let planned = plan(aim)[name] else { return }
    state.components[name] = ComponentMachine(
      name: name, generation: aim.generation, version: planned.version, identity: identity, installed: installed)
    state.leaving.remove(name)
    state.forgotten.remove(name)
  }

  /// Whether there was anything to stop; some of it may have to wait for its dependents.
  private mutating func stopWhatMust(
    _ wanted: [ComponentName: String], _ now: Instant, _ actions: inout [DeviceAction]
  ) -> Bool {
    let going = namesThatMustStop(wanted)
    guard !going.isEmpty else { return false }
    let stopping = state.components.values.filter { !$0.phase.isAtRest && !$0.phase.isStoppable }
    let blockers = going.compactMap { state.components[$0] } + stopping
    var ready = going.filter { name in
      !blockers.contains { $0.name != name && planned($0).planned.dependencies[name] != nil }
    }
    // Definitions of two plans could depend on each other in a ring; then any order is as good as another.
    if ready.isEmpty && stopping.isEmpty { ready = going }
    for name in ready.sorted() {
      guard var machine = state.components[name] else { continue }
      actions += machine.stop(context(of: machine, now))
      state.components[name] = machine
    }
    return true
  }

  /// What is alive and not wanted as it is, or wanted anew, and what depends HARD on such or on something not up.
  private func namesThatMustStop(_ wanted: [ComponentName: String]) -> Set<ComponentName> {
    var going = Set(
      state.components.values
        .filter { $0.phase.isStoppable && (wanted[$0.name] != $0.identity || $0.isRestartWanted) }.map(\.name))
    var isGrowing = true
    while isGrowing {
      isGrowing = false
      for machine in state.components.values where machine.phase.isStartedOrStarting && !going.contains(machine.name) {
        let isLosing = hardDependencies(of: machine).contains { dependency in
          going.contains(dependency) || state.components[dependency]?.phase.isUp != true
        }
        guard isLosing else { continue }
        going.insert(machine.name)
        isGrowing = true
      }
    }
    return going
  }

  /// Those that its own plan knows.
  private func hardDependencies(of machine: ComponentMachine) -> [ComponentName] {
    let (plan, planned, _) = planned(machine)
    return planned.dependencies.filter { $0.value == .hard && plan[$0.key] != nil }.keys.sorted()
  }

  private mutating func startWhatMay(
    _ wanted: [ComponentName: String], going: Set<ComponentName>, _ now: Instant, _ actions: inout [DeviceAction]
  ) {
    guard let plan = aimPlan else { return }
    // Old stops before new starts, over components too: the new one may need the port of one that leaves.
    let isSomethingLeaving = state.components.values.contains { wanted[$0.name] != $0.identity }
    for planned in plan.components {
      guard var machine = state.components[planned.name], wanted[planned.name] == machine.identity,
        !hasOrphan(planned.name)
      else { continue }
      switch machine.phase {
      case .new:
        guard !isSomethingLeaving else { continue }
        actions += machine.prepare(context(of: machine, now))
      case .installed:
        guard mayStart(planned, plan, going) else { continue }
        actions += machine.start(context(of: machine, now))
      case .preparing, .awaitingRestart, .starting, .running, .recovering, .waiting, .shuttingDown, .stopping,
        .uninstalling, .uninstalled, .finished, .broken:
        continue
      }
      state.components[planned.name] = machine
    }
  }

  private func mayStart(_ planned: PlannedComponent, _ plan: Plan, _ going: Set<ComponentName>) -> Bool {
    planned.dependencies.keys.sorted().allSatisfy { name in
      guard plan[name] != nil, let machine = state.components[name] else { return true }
      if machine.phase.isUp && !going.contains(name) { return true }
      // A SOFT dependency is waited for as long as it is on its way.
      return planned.dependencies[name] == .soft && isStuck(machine, plan)
    }
  }

  /// It failed, or cannot start because something that it needs failed.
  private func isStuck(_ machine: ComponentMachine, _ plan: Plan) -> Bool {
    switch machine.phase {
    case .waiting, .recovering, .broken: return true
    case .installed:
      return hardDependencies(of: machine).contains { name in
        state.components[name].map { isStuck($0, plan) } ?? false
      }
    case .new, .preparing, .awaitingRestart, .starting, .running, .shuttingDown, .stopping, .uninstalling,
      .uninstalled, .finished:
      return false
    }
  }
}
