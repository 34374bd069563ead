import WherryJSON
import WherryLifecycle
import WherryModel
import WherryRollout

/// The service's shell: load, handle, commit with the outbox, publish; and its deaths.
extension Simulation {
  mutating func serviceHears(_ event: ServiceEvent) {
    guard service.isUp else {
      // The operator asks again; the broker keeps presence; devices send reports again.
      switch event {
      case .deploy, .pause, .resume: schedule(.toService(event), in: 2_500)
      case .presence, .report, .tick: break
      }
      return
    }
    let dies = fault(options.faults.serviceCrash)
    // Before the commit: as if it had never heard of it.
    if dies && random.chance(permille: 500) {
      switch event {
      case .deploy, .pause, .resume: schedule(.toService(event), in: 2_500)
      case .presence, .report, .tick: break
      }
      crashService()
      return
    }
    // Moved, since a copy for each event costs as much as the fleet is large.
    var next = ServiceState()
    swap(&next, &service.state)
    var seen: [Observation] = []
    decide(event, &next, &seen)
    swap(&next, &service.state)
    for observation in seen { observe(observation) }
    if dies {
      crashService()
      return
    }
    flush()
    scheduleServiceTick()
  }

  /// The broker may die in the middle of it; what it did not take stays owed.
  private mutating func flush() {
    var taken = 0
    while service.isConnected, taken < service.state.outbox.count {
      taken += 1
      publish(service.state.outbox[taken - 1])
    }
    service.state.outbox.removeFirst(taken)
  }

  private mutating func decide(_ event: ServiceEvent, _ next: inout ServiceState, _ seen: inout [Observation]) {
    switch event {
    case .presence(let index, let isOnline, let isRetained):
      setPresence(of: index, isOnline: isOnline, isRetained: isRetained, &next, &seen)
    case .report(let index, let report): store(report, of: index, &next, &seen)
    case .deploy(let plan, let policy): deploy(plan, policy, &next, &seen)
    case .pause:
      say("operator", "pauses")
      advance(.pause, &next, &seen)
    case .resume:
      say("operator", "resumes")
      seen.append(.rolloutResumed)
      advance(.resume, &next, &seen)
    case .tick: advance(.tick, &next, &seen)
    }
  }

  private mutating func setPresence(
    of index: Int, isOnline: Bool, isRetained: Bool, _ next: inout ServiceState, _ seen: inout [Observation]
  ) {
    let wasOnline = next.online.contains(index)
    if isOnline { next.online.insert(index) } else { next.online.remove(index) }
    seen.append(.rolloutSaw(online: isOnline, device: index))
    if isOnline != wasOnline { advance(.online(devices[index].name, isOnline), &next, &seen) }
    guard isOnline else { return }
    // Retained presence of a device that was online all the time says nothing new.
    guard isRetained && wasOnline else {
      next.repeatOrder(to: index)
      return
    }
    if next.repeatOrderIfLost(to: index) { statistics.ordersRepeated += 1 }
  }

  private mutating func deploy(
    _ plan: Int, _ policy: RolloutPolicy, _ next: inout ServiceState, _ seen: inout [Observation]
  ) {
    let remark = software.isBroken(plan) ? " (broken)" : ""
    say("operator", "deploys plan \(plan)\(remark)")
    let online = devices.indices.map { next.online.contains($0) }
    // Without a scenario two devices share a store.
    var fleet = options.scenario ?? Scenario(labels: ["store": 2])
    fleet.policy = policy
    let sites = devices.indices.map { fleet.sites(of: $0) }
    let members = devices.indices.map {
      RolloutDevice(name: devices[$0].name, isOnline: online[$0], sites: sites[$0], bytes: fleet.downloadBytes)
    }
    next.rollout = RolloutMachine(policy: policy, devices: members)
    next.plan = plan
    times = RolloutTimes(beganAt: time)
    seen.append(.rolloutBegan(policy: policy, online: online, sites: sites))
    advance(.start, &next, &seen)
  }

  private mutating func store(
    _ report: DeviceReport, of index: Int, _ next: inout ServiceState, _ seen: inout [Observation]
  ) {
    if report.sequence > next.sequences[index] ?? 0 {
      next.sequences[index] = report.sequence
      next.reports[index] = report
      seen.append(.reportStored(device: index, report))
      if let desired = next.desired[index], desired.generation == report.generation, report.status == .committed,
        report.running == software.digest(desired.plan)
      {
        next.committed[index] = desired.plan
      }
      if let desired = next.desired[index], desired.generation == report.generation, desired.plan == next.plan,
        let status = report.status
      {
        let matches = status != .committed || report.running == software.digest(desired.plan)
        let name = devices[index].name
        say("service", "hears \(name): \(status.rawValue)")
        if matches { seen.append(.rolloutHeard(device: index, status, FailureCause(report.failure))) }
        if status == .rolledBack { statistics.rollbacks += 1 }
        advance(.reported(devices[index].name, status, report.failure, digestMatches: matches), &next, &seen)
      }
    }
    let sequence = next.sequences[index] ?? 0
    seen.append(.acknowledged(device: index, sequence: sequence))
    next.outbox.append(.acknowledgement(device: index, sequence: sequence))
  }

  private mutating func advance(_ event: RolloutEvent, _ next: inout ServiceState, _ seen: inout [Observation]) {
    guard var rollout = next.rollout else { return }
    next.rollout = nil
    let actions = rollout.handle(event, at: Instant(milliseconds: time + service.clockError))
    next.rollout = rollout
    times.note(rollout, time)
    for action in actions {
      switch action {
      case .release(let names):
        let indices = names.compactMap { indexOf[$0] }.sorted()
        say("service", "releases plan \(next.plan) to \(names.map(\.rawValue).joined(separator: " "))")
        // Completion lets go of everyone at once; its observation says so before the release is judged.
        if actions.contains(.completed) { seen.append(.rolloutCompleted) }
        seen.append(.rolloutReleased(indices))
        for index in indices { issue(next.plan, to: index, &next, &seen) }
      case .revert(let names):
        let indices = names.compactMap { indexOf[$0] }.sorted()
        say("service", "takes plan \(next.plan) back from \(names.map(\.rawValue).joined(separator: " "))")
        statistics.reverts += indices.count
        seen.append(.rolloutReverted(indices))
        for index in indices { issue(next.before(index) ?? software.nothing, to: index, &next, &seen) }
      case .halted(let reason):
        statistics.halts += 1
        seen.append(.rolloutHalted)
        endScenario()
        say("service", "halts: \(reason)")
      case .completed:
        say("service", "rollout completed")
        next.planCompleted = next.plan
        endScenario()
      }
    }
  }

  /// Its rollout is decided: what is left is to see that everyone comes to rest.
  private mutating func endScenario() {
    guard options.scenario != nil, times.endedAt == nil else { return }
    times.endedAt = time - times.beganAt
    schedule(.chaosEnds, in: 1_000)
  }

  private func issue(_ plan: Int, to index: Int, _ next: inout ServiceState, _ seen: inout [Observation]) {
    let generation = (next.desired[index]?.generation ?? Generation(0)).next
    let desired = ServiceState.Desired(generation: generation, plan: plan)
    next.desired[index] = desired
    next.outbox.append(.desired(device: index, desired))
    seen.append(.desiredIssued(device: index, generation))
  }

  mutating func crashService() {
    guard service.isUp else { return }
    say("service", "killed")
    service.isUp = false
    service.isConnected = false
    service.incarnation += 1
    service.tickAt = nil
    schedule(.serviceStarts, in: random.milliseconds(100...2_000))
  }

  mutating func startService() {
    guard !service.isUp else { return }
    service.isUp = true
    statistics.serviceStarts += 1
    if let rollout = service.state.rollout {
      let text = rollout.json.canonical
      guard let json = try? JSON(parsing: text), let restored = try? RolloutMachine(JSONCursor(json)),
        restored == rollout
      else {
        violations.append(Violation(invariant: ReplayChecker.invariant, time: time, what: "rollout differs: \(text)"))
        return
      }
      service.state.rollout = restored
    }
    say("service", "started")
    observe(.serviceStarted(sequences: devices.indices.map { service.state.sequences[$0] ?? 0 }))
    schedule(.serviceConnects, in: random.milliseconds(1...500))
    scheduleServiceTick()
  }

  mutating func connectService() {
    guard service.isUp, broker.isUp, !service.isConnected else { return }
    service.isConnected = true
    service.connection += 1
    say("service", "connected")
    // The real service keeps none: a device without an acknowledgement sends its report again.
    service.state.outbox.removeAll { if case .acknowledgement = $0 { true } else { false } }
    // A broker that crashed has lost what it took since its last snapshot.
    for index in service.state.online.sorted() {
      if service.state.repeatOrderIfLost(to: index) { statistics.ordersRepeated += 1 }
    }
    for index in devices.indices { tellRetainedPresence(of: index) }
    flush()
  }

  mutating func scheduleServiceTick() {
    guard let deadline = service.state.rollout?.nextDeadline else { return }
    let due = max(time, deadline.milliseconds - service.clockError)
    if let at = service.tickAt, at <= due, at >= time { return }
    service.tickAt = due
    agenda.schedule(.serviceTick(incarnation: service.incarnation), at: due)
  }

  mutating func serviceTick(_ incarnation: Int) {
    guard service.isUp, service.incarnation == incarnation else { return }
    if service.tickAt == time { service.tickAt = nil }
    if let deadline = service.state.rollout?.nextDeadline, deadline.milliseconds <= time + service.clockError {
      serviceHears(.tick)
    } else {
      scheduleServiceTick()
    }
  }
}
