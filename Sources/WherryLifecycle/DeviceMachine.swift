import WherryJSON
import WherryModel
import WherryPlanning
import WherryWire

/// The device's one outer machine. The shell's loop is `handle` → journal `state` and the reports → perform the
/// actions; crash-only: whatever point it is killed at, `.started` resumes from the last journalled state.
///
/// It drives every component to `state.aim`, goal by goal (`+Reconcile`), while the deployment (`+Deployment`) says
/// which plan the aim is. Nothing here depends on the order of dictionaries.
package struct DeviceMachine: Sendable {
  package internal(set) var state: DeviceState
  /// The plans that `state` refers to.
  var plans: [Digest: Plan]

  // Not journalled: what a new start finds out or does again.
  var hasConverged = false
  /// Spreads restarts of what failed on many devices at once; nil = exact delays.
  let jitterSeed: UInt64?
  /// When running components are asked again whether they may be changed.
  var askAt: Instant?
  var restartAsked: RestartKind?
  /// Identities of each snapshot's components, made when first asked for.
  var identities: [Generation: [ComponentName: String]] = [:]
  /// When each running component is probed next.
  var probes: [ComponentName: Instant] = [:]
  var fetchProgress: FetchProgress?
  /// When the window opens for which it waits.
  var opensAt: Instant?
  /// The last report's content, sequence and progress left out.
  var reported: DeviceReport?
  var reportedAt = Instant.zero

  struct FetchProgress: Hashable, Sendable {
    var done: Int64
    var total: Int64
    var transfers: [Transfer]
    var remaining: Int64 { max(0, total - done) }
  }

  /// `plans` holds at least the plans that `state.planDigests` names, `previous` excepted.
  package init(state: DeviceState, plans: [Digest: Plan], jitterSeed: UInt64? = nil) {
    self.jitterSeed = jitterSeed
    self.state = state
    self.plans = plans
  }

  package mutating func handle(_ event: DeviceEvent, at now: Instant) -> [DeviceAction] {
    let before = state
    var actions: [DeviceAction] = []
    receive(event, now, &actions)
    expire(now, &actions)
    // Nothing follows from an event that changed nothing, such as one more good probe, unless it is time for something.
    if !hasConverged || state != before || now >= state.deployment?.phase.nextDeadline ?? Instant.never {
      converge(now, &actions)
      hasConverged = true
    }
    probe(now, &actions)
    ask(now, &actions)
    askForRestart(&actions)
    report(event, now, &actions)
    if state != before {
      prune()
      state.clock = now
    }
    return actions
  }

  private mutating func receive(_ event: DeviceEvent, _ now: Instant, _ actions: inout [DeviceAction]) {
    switch event {
    case .started(let alive, let ended, let bootID):
      recover(alive: alive, ended: ended, bootID: bootID, now, &actions)
    case .desired(let generation, let digest, let plan):
      accept(PlanReference(generation: generation, digest: digest), plan, now, &actions)
    case .refused(let generation, let digest, let failure):
      refuse(generation, digest, failure, now, &actions)
    case .fetchProgress(let generation, let done, let total, let transfers):
      fetchProgressed(generation, FetchProgress(done: done, total: total, transfers: transfers), now)
    case .fetchWaits(let generation, let until, let opens, let why):
      opensAt = opens
      fetchWaits(generation, until, why)
    case .fetched(let generation): fetchSucceeded(generation, now, &actions)
    case .fetchFailed(let generation, let failure): fetchFailed(generation, failure, now, &actions)
    case .holding(let generation, let names): held(generation, names, now)
    case .workloadStarted(let id): workloadStarted(id, now)
    case .workloadFailed(let id, let failure): workloadGone(id, .failedToStart(failure), now, &actions)
    case .workloadEnded(let id, let status, let log):
      workloadGone(id, .exited(status, log: log), now, &actions)
    case .health(let name, let isHealthy, let detail):
      healthReported(name, isHealthy: isHealthy, detail: detail, now, &actions)
    case .restartRequested(let name): state.components[name]?.restart()
    case .reportsKnown(let sequence): numberReports(after: sequence)
    case .tick: break  // Timers are looked at with every event.
    }
  }

  /// Acts until nothing follows from the state any more.
  private mutating func converge(_ now: Instant, _ actions: inout [DeviceAction]) {
    // Each component passes a few phases per event at most and a deployment two or three, so a longer way is a loop.
    let roundsMaximum = 32 + 16 * (state.components.count + (plans.values.map(\.components.count).max() ?? 0))
    for _ in 0..<roundsMaximum {
      let hasReconciled = reconcile(now, &actions)
      let hasProgressed = advanceDeployment(now, &actions)
      if !hasReconciled && !hasProgressed { return }
    }
    preconditionFailure("the device machine does not come to rest: \(state)")
  }

  /// Forgets plans and configurations that nothing refers to.
  private mutating func prune() {
    var used = Set(state.components.values.map(\.generation))
    for reference in [state.current, state.aim] {
      if let reference { used.insert(reference.generation) }
    }
    if state.snapshots.keys.contains(where: { !used.contains($0) }) {
      state.snapshots = state.snapshots.filter { used.contains($0.key) }
      identities = identities.filter { used.contains($0.key) }
    }
    let digests = Set(state.planDigests)
    if plans.keys.contains(where: { !digests.contains($0) }) { plans = plans.filter { digests.contains($0.key) } }
  }
}

extension Instant {
  static let never = Instant(milliseconds: .max)
}

extension DeviceMachine {
  /// What the aim wants, in start order.
  var aimPlan: Plan? { state.aim.map(plan) }

  func plan(_ reference: PlanReference) -> Plan {
    guard let plan = plans[reference.digest] else {
      preconditionFailure("plan \(reference.digest) of generation \(reference.generation) was not handed over")
    }
    return plan
  }

  /// A component's own definition, which may be of an older plan than the aim.
  func planned(_ machine: ComponentMachine) -> (plan: Plan, planned: PlannedComponent, configuration: JSON) {
    guard let snapshot = state.snapshots[machine.generation], let plan = plans[snapshot.digest],
      let planned = plan[machine.name]
    else { preconditionFailure("no definition of \(machine.name) in generation \(machine.generation): \(state)") }
    return (plan, planned, snapshot.configurations[machine.name] ?? .object([:]))
  }

  func context(of machine: ComponentMachine, _ now: Instant) -> ComponentContext {
    let (_, planned, configuration) = planned(machine)
    var context = ComponentContext(
      planned: planned, configuration: configuration, now: now, isDeploying: isDeploying)
    if case .rollingBack = state.deployment?.phase { context.isRollingBack = true }
    context.jitterSeed = jitterSeed
    return context
  }

  /// A deployment changes the device, or changed it and has not ended.
  var isDeploying: Bool {
    guard let deployment = state.deployment else { return false }
    return deployment.isDirty || deployment.phase.hasBegunToChange
  }

  /// Identity of each component of the aim.
  mutating func wantedIdentities() -> [ComponentName: String] {
    state.aim.map { identities(of: $0) } ?? [:]
  }

  mutating func identities(of reference: PlanReference) -> [ComponentName: String] {
    if let known = identities[reference.generation] { return known }
    let configurations = state.snapshots[reference.generation]?.configurations ?? [:]
    let settings = NucleusSettings(configurations)
    var identities: [ComponentName: String] = [:]
    for planned in plan(reference).components {
      let configuration = configurations[planned.name] ?? .object([:])
      identities[planned.name] = ComponentIdentity.of(planned, configuration: configuration, settings: settings)
    }
    self.identities[reference.generation] = identities
    return identities
  }
}
