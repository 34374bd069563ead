import WherryAgent
import WherryJSON
import WherryLifecycle
import WherryModel

/// A device machine that goes on from what a journal holds, in a small world that does what it is asked: everything is
/// fetched at once, steps succeed, and what is to fail fails.
struct ObedientDevice {
  private(set) var machine: DeviceMachine
  private var now: Instant
  /// Identities of what is alive.
  private(set) var alive: [WorkloadID: String]
  private(set) var versions: [WorkloadID: Version] = [:]
  private(set) var violations: [String] = []
  private var pending: [DeviceEvent] = []
  /// "com.example.web 3.0.0" does not stay up.
  let isBroken: (ComponentName, Version) -> Bool

  init(
    _ contents: JournalContents, alive: [WorkloadID: String], bootID: String,
    isBroken: @escaping (ComponentName, Version) -> Bool
  ) {
    machine = DeviceMachine(state: contents.state ?? DeviceState(), plans: contents.plans)
    self.alive = alive
    self.isBroken = isBroken
    // In the same boot the clock goes on; in another one it begins anew.
    let clock = contents.state?.clock ?? .zero
    now = bootID == contents.state?.bootID ? clock.advanced(byMilliseconds: 10) : Instant(milliseconds: 5_000)
    tell(.started(alive: alive, ended: [:], bootID: bootID))
  }

  mutating func tell(_ event: DeviceEvent) {
    if case .workloadEnded(let id, _, _) = event { alive[id] = nil }
    for action in machine.handle(event, at: now) { perform(action) }
  }

  private mutating func perform(_ action: DeviceAction) {
    switch action {
    case .fetch(let generation, _): pending.append(.fetched(generation: generation))
    case .ask(let generation, _): pending.append(.holding(generation: generation, []))
    case .run(let id, let planned, _, let identity): run(id, planned, identity)
    case .stop(let id, _): pending.append(.workloadEnded(id, ExitStatus(signal: 15), log: []))
    case .kill(let id): pending.append(.workloadEnded(id, ExitStatus(signal: 9), log: []))
    case .cancelFetch, .probe, .forget, .report, .commit, .restart: break
    }
  }

  private mutating func run(_ id: WorkloadID, _ planned: PlannedComponent, _ identity: String) {
    for (other, otherIdentity) in alive where other.component == id.component && otherIdentity != identity {
      violations.append("\(id) of \(identity) starts beside \(other) of \(otherIdentity)")
    }
    alive[id] = identity
    versions[id] = planned.version
    pending.append(.workloadStarted(id))
    if id.step != .run {
      pending.append(.workloadEnded(id, .success, log: []))
    } else if isBroken(planned.name, planned.version) {
      pending.append(.workloadEnded(id, ExitStatus(code: 1), log: ["it is broken"]))
    }
  }

  /// Lets time pass, with all the timers in between.
  mutating func pass(seconds: Int) {
    let end = now.advanced(bySeconds: seconds)
    while true {
      while !pending.isEmpty { tell(pending.removeFirst()) }
      guard let deadline = machine.nextDeadline, deadline <= end else { break }
      now = max(now, deadline)
      tell(.tick)
    }
    now = end
  }

  /// Whether what is alive is exactly that plan.
  func runs(_ plan: Plan?, _ identities: [ComponentName: String]) -> Bool {
    let wanted = Set(plan?.components.map(\.name) ?? [])
    guard Set(alive.keys.map(\.component)) == wanted, alive.keys.allSatisfy({ $0.step == .run }) else { return false }
    return alive.allSatisfy { identities[$0.key.component] == $0.value }
  }
}
