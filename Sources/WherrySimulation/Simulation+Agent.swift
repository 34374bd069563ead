import WherryJSON
import WherryLifecycle
import WherryModel

/// The agent's shell: handle, journal, act; and its deaths.
extension Simulation {
  private enum Death {
    case beforeJournal
    case afterJournal
    case amidActions(Int)
  }

  /// Whether the event is behind us: handled and journalled.
  @discardableResult
  mutating func agentHears(_ index: Int, _ event: DeviceEvent) -> Bool {
    guard devices[index].isAgentUp else { return false }
    let name = devices[index].name.rawValue
    if case .fetchProgress = event {} else if event != .tick { say(name, event.line) }
    statistics.events += 1
    let now = devices[index].bootClock(time)
    let actions = devices[index].machine.handle(event, at: now)
    let death = pickDeath(actions.count)
    if case .beforeJournal = death {
      crashAgent(index)
      return false
    }
    journal(index, event, now, actions)
    release(index, event)
    if case .afterJournal = death {
      crashAgent(index)
      return true
    }
    for (number, action) in actions.enumerated() {
      if case .amidActions(number) = death {
        crashAgent(index)
        return true
      }
      perform(action, on: index)
    }
    scheduleTick(index)
    return true
  }

  private mutating func pickDeath(_ actions: Int) -> Death? {
    guard fault(options.faults.agentCrash) else { return nil }
    switch random.number(0...2) {
    case 0: return .beforeJournal
    case 1: return .afterJournal
    default: return .amidActions(random.number(0...max(0, actions - 1)))
    }
  }

  private mutating func journal(
    _ index: Int, _ event: DeviceEvent, _ now: Instant, _ actions: [DeviceAction]
  ) {
    let state = devices[index].machine.state
    devices[index].journalled = state
    if case .desired(_, let digest, let plan) = event { devices[index].plans[digest] = plan }
    let digests = Set(state.planDigests)
    devices[index].plans = devices[index].plans.filter { digests.contains($0.key) }
    for action in actions {
      if case .report(let report) = action { devices[index].outbox.append(report) }
    }
    observe(.handled(device: index, event, at: now, actions: actions, state: state))
  }

  /// What was heard and journalled needs not be kept by the kernel.
  private mutating func release(_ index: Int, _ event: DeviceEvent) {
    switch event {
    case .workloadEnded(let id, _, _): devices[index].ended[id] = nil
    case .started: devices[index].ended = [:]
    case .desired, .refused, .fetchProgress, .fetchWaits, .fetched, .fetchFailed, .holding, .workloadStarted,
      .workloadFailed, .health, .restartRequested, .reportsKnown, .tick:
      break
    }
  }

  func agentTickDue(_ index: Int) -> Int64? {
    devices[index].machine.nextDeadline.map { max(time, $0.milliseconds + devices[index].bootedAt) }
  }

  mutating func scheduleTick(_ index: Int) {
    guard let due = agentTickDue(index) else { return }
    if let at = devices[index].tickAt, at <= due, at >= time { return }
    devices[index].tickAt = due
    agenda.schedule(.agentTick(index, incarnation: devices[index].incarnation), at: due)
  }

  mutating func agentTick(_ index: Int, _ incarnation: Int) {
    guard devices[index].incarnation == incarnation, devices[index].isAgentUp else { return }
    if devices[index].tickAt == time { devices[index].tickAt = nil }
    if let due = agentTickDue(index), due <= time { agentHears(index, .tick) } else { scheduleTick(index) }
  }

  mutating func startAgent(_ index: Int) {
    guard !devices[index].isAgentUp else { return }
    statistics.agentStarts += 1
    devices[index].isAgentUp = true
    devices[index].incarnation += 1
    devices[index].tickAt = nil
    let journal = devices[index].journalled.json.canonical
    devices[index].journal = journal
    guard let json = try? JSON(parsing: journal), let state = try? DeviceState(JSONCursor(json)) else {
      violations.append(Violation(invariant: ReplayChecker.invariant, time: time, what: "unreadable: \(journal)"))
      return
    }
    devices[index].machine = DeviceMachine(state: state, plans: devices[index].plans)
    observe(.agentStarted(device: index, journal: journal, state: state, plans: devices[index].plans))
    let alive = devices[index].alive.mapValues(\.identity)
    let ended = devices[index].ended.mapValues { WorkloadEnd.exited($0, log: []) }
    let boot = "boot-\(devices[index].bootCount)"
    agentHears(index, .started(alive: alive, ended: ended, bootID: boot))
  }

  /// Workloads live on; a fetch worker and the connection do not.
  mutating func crashAgent(_ index: Int) {
    guard devices[index].isAgentUp else { return }
    statistics.agentCrashes += 1
    say(devices[index].name.rawValue, "agent killed")
    devices[index].isAgentUp = false
    devices[index].fetchToken += 1
    disconnect(index)
    schedule(.agentStarts(index), in: random.milliseconds(20...3_000))
    schedule(.connects(index), in: random.milliseconds(3_000...6_000))
  }

  mutating func cutPower(_ index: Int) {
    crashAgent(index)
    statistics.powerCuts += 1
    say(devices[index].name.rawValue, "power cut")
    devices[index].alive = [:]
    devices[index].ended = [:]
    devices[index].bootCount += 1
    devices[index].bootedAt = time
    observe(.powerCut(device: index))
  }
}
