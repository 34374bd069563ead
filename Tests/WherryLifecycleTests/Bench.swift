import Testing
import WherryJSON
import WherryModel
import WherryPlanning
import WherryWire

@testable import WherryLifecycle

/// Swift Testing has a type of the same name.
typealias ExitStatus = WherryLifecycle.ExitStatus

/// A device machine on a bench: a small world performs what it asks for, obediently and in order, and a test says how
/// each workload fares.
struct Bench {
  enum Fate {
    case runs
    case exits(ExitStatus)
    case cannotStart
  }

  var machine = DeviceMachine(state: DeviceState(), plans: [:])
  var now = Instant(milliseconds: 1_000)
  var bootID = "boot-1"
  /// All that the machine asked for.
  var asked: [DeviceAction] = []
  var alive: [WorkloadID: String] = [:]
  var ended: [WorkloadID: ExitStatus] = [:]
  /// What a next agent finds out of ends that nobody heard, beyond the status.
  var causes: [WorkloadID: WorkloadEnd] = [:]
  /// "web 1.0.0" → what becomes of its main step; other steps succeed.
  var fates: [String: Fate] = [:]
  var stepFates: [WorkloadID: Fate] = [:]
  var unhealthy: Set<String> = []
  var ignoresTermination: Set<ComponentName> = []
  var isFetching = true
  /// Components that hold their update off.
  var holding: Set<ComponentName> = []
  /// What the world will tell next.
  var pending: [DeviceEvent] = []
  var versions: [WorkloadID: Version] = [:]
  var violations: [String] = []

  init() { tell(.started(alive: [:], ended: [:], bootID: bootID)) }

  var reports: [DeviceReport] {
    asked.compactMap { if case .report(let report) = $0 { report } else { nil } }
  }

  /// Each status once, in order.
  var statuses: [DeploymentStatus] {
    reports.compactMap(\.status).reduce(into: []) { if $0.last != $1 { $0.append($1) } }
  }

  /// "run web.run 1.0.0", "stop web.run", …, without reports and probes.
  var steps: [String] {
    asked.compactMap { action in
      switch action {
      case .run(let id, let planned, _, _): "run \(id) \(planned.version)"
      case .stop(let id, _): "stop \(id)"
      case .kill(let id): "kill \(id)"
      case .fetch(let generation, _): "fetch \(generation)"
      case .cancelFetch(let generation): "cancel \(generation)"
      case .forget(let name): "forget \(name)"
      case .commit(let reference): "commit \(reference.generation)"
      case .restart(let kind): "restart \(kind.rawValue)"
      case .report, .probe, .ask: nil
      }
    }
  }

  func state(_ name: ComponentName) -> ComponentState? { machine.state.components[name]?.phase.componentState }

  /// One event, and what it leads to in the world; nothing is told yet.
  @discardableResult
  mutating func tell(_ event: DeviceEvent) -> [DeviceAction] {
    let actions = machine.handle(event, at: now)
    checkJournal()
    switch event {
    case .workloadEnded(let id, _, _): ended[id] = nil
    case .started:
      ended = [:]
      causes = [:]
    default: break
    }
    for action in actions { perform(action) }
    return actions
  }

  /// The state says the same after being written and read.
  private mutating func checkJournal() {
    let text = machine.state.json.canonical
    guard let json = try? JSON(parsing: text), let read = try? DeviceState(JSONCursor(json)), read == machine.state
    else {
      violations.append("journal does not survive: \(text)")
      return
    }
  }

  mutating func perform(_ action: DeviceAction) {
    asked.append(action)
    switch action {
    case .fetch(let generation, _): if isFetching { pending.append(.fetched(generation: generation)) }
    case .run(let id, let planned, _, let identity): launch(id, planned, identity)
    case .stop(let id, _): if !ignoresTermination.contains(id.component) { end(id, ExitStatus(signal: 15)) }
    case .kill(let id): end(id, ExitStatus(signal: 9))
    case .probe(let name, _, let id):
      let isHealthy = !unhealthy.contains("\(name) \(versions[id].map(\.description) ?? "")")
      pending.append(.health(name, isHealthy: isHealthy, detail: "no answer"))
    case .cancelFetch(let generation): pending.removeAll { $0 == .fetched(generation: generation) }
    case .ask(let generation, let names):
      pending.append(.holding(generation: generation, names.filter(holding.contains)))
    case .forget, .report, .commit, .restart: break
    }
  }

  private mutating func launch(_ id: WorkloadID, _ planned: PlannedComponent, _ identity: String) {
    for (other, otherIdentity) in alive where other.component == id.component {
      if other == id { violations.append("\(id) is started while alive") }
      if otherIdentity != identity { violations.append("two versions of \(id.component)") }
    }
    let isMain = id.step == .run || id.step == .startup
    let fate = stepFates[id] ?? (isMain ? fates["\(planned.name) \(planned.version)"] : nil)
    switch fate ?? (id.step == .run ? .runs : .exits(.success)) {
    case .cannotStart:
      pending.append(.workloadFailed(id, Failure(.start, code: "workload.exec", message: "no such file")))
    case .runs:
      alive[id] = identity
      versions[id] = planned.version
      pending.append(.workloadStarted(id))
    case .exits(let status):
      alive[id] = identity
      pending.append(.workloadStarted(id))
      pending.append(.workloadEnded(id, status, log: ["last words of \(id)"]))
    }
  }

  mutating func end(_ id: WorkloadID, _ status: ExitStatus, log: [String] = []) {
    pending.append(.workloadEnded(id, alive[id] == nil ? .unknown : status, log: log))
  }

  /// Tells what is pending; stops when the world has nothing more to tell.
  mutating func settle() {
    while !pending.isEmpty { tellNext() }
  }

  mutating func tellNext() {
    guard !pending.isEmpty else { return }
    let event = pending.removeFirst()
    if case .workloadEnded(let id, let status, _) = event {
      alive[id] = nil
      ended[id] = status
    }
    tell(event)
  }

  /// Lets time pass, with all the timers in between.
  mutating func pass(_ milliseconds: Int64) {
    let end = now.advanced(byMilliseconds: milliseconds)
    settle()
    while let deadline = machine.nextDeadline, deadline <= end {
      now = max(now, deadline)
      tell(.tick)
      settle()
    }
    now = end
  }

  mutating func deploy(_ generation: Int64, _ plan: Plan) {
    tell(.desired(generation: Generation(generation), digest: Self.digest(plan), plan: plan))
  }

  /// Deploys and waits for the end of it.
  mutating func complete(_ generation: Int64, _ plan: Plan) {
    deploy(generation, plan)
    pass(10_000)
    #expect(machine.state.conclusion?.generation == Generation(generation))
  }

  /// The agent is killed and started again.
  mutating func restartAgent(isBoot: Bool = false) {
    let plans = machine.plans
    var state = machine.state
    if let json = try? JSON(parsing: machine.state.json.canonical), let read = try? DeviceState(JSONCursor(json)) {
      state = read
    }
    machine = DeviceMachine(state: state, plans: plans)
    let world = pending
    pending = []
    if isBoot {
      alive = [:]
      ended = [:]
      bootID += "+"
      now = Instant(milliseconds: 500)
    } else {
      for case .workloadEnded(let id, let status, _) in world where alive.removeValue(forKey: id) != nil {
        ended[id] = status
      }
    }
    let ends = ended.mapValues { WorkloadEnd.exited($0, log: []) }
    tell(.started(alive: alive, ended: ends.merging(causes) { $1 }, bootID: bootID))
  }

  static func digest(_ plan: Plan) -> Digest {
    var bytes = [UInt8](repeating: 7, count: 32)
    for (index, byte) in plan.canonical.utf8.enumerated() { bytes[index % 32] = bytes[index % 32] &* 31 &+ byte }
    return Digest(bytes: bytes)
  }
}

func plan(_ components: PlannedComponent..., settle: Int64 = 1_000, handling: ApplyPolicy.FailureHandling = .rollback)
  -> Plan
{
  var policy = ApplyPolicy()
  policy.settleMilliseconds = settle
  policy.failureHandling = handling
  return Plan(deployments: [DeploymentID(1)], components: components, policy: policy)
}

func planned(_ name: ComponentName, _ major: Int, needs: [ComponentName: DependencyKind] = [:]) -> PlannedComponent {
  var component = PlannedComponent(
    name: name, version: Version(major, 0, 0), recipe: Digest(bytes: [UInt8](repeating: UInt8(major), count: 32)))
  component.dependencies = needs
  return component
}

func process(
  _ name: ComponentName, _ major: Int, _ steps: [LifecycleStep] = [.run], needs: [ComponentName: DependencyKind] = [:]
) -> PlannedComponent {
  var component = planned(name, major, needs: needs)
  for step in steps { component.lifecycle.steps[step] = Step(script: "\(step)") }
  return component
}

func container(
  _ name: ComponentName, _ major: Int, hasHealth: Bool = false, restart: RestartPolicy = RestartPolicy(),
  needs: [ComponentName: DependencyKind] = [:]
) -> PlannedComponent {
  var component = planned(name, major, needs: needs)
  var spec = ContainerSpec(image: "\(name):\(major)")
  spec.restart = restart
  if hasHealth { spec.health = HealthCheck(probe: .tcp(port: 80)) }
  component.container = spec
  return component
}
