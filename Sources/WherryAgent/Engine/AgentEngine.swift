import Glibc
import WherryCrypto
import WherryIsolation
import WherryJSON
import WherryLifecycle
import WherryModel
import WherryWire

/// Everything outside that the engine uses.
package struct AgentPorts {
  package var transport: any Transport
  package var runner: any Runner
  package var worker: any Worker
  package var journal: any Journal
  package var clock: any AgentClock
  package init(
    transport: any Transport, runner: any Runner, worker: any Worker, journal: any Journal, clock: any AgentClock
  ) {
    self.transport = transport
    self.runner = runner
    self.worker = worker
    self.journal = journal
    self.clock = clock
  }
}

/// The device engine: one thread, one inbox. Event → `machine.handle` → journal → actions; what actions bring about
/// comes back as events. It decides nothing about components: that is the machine's affair.
package final class AgentEngine {
  let configuration: AgentConfiguration
  let identity: DeviceIdentity
  let paths: AgentPaths
  let ports: AgentPorts
  let log: AgentLog
  /// Runs process components.
  let account: UserAccount
  let composer: WorkloadComposer
  let jobs: FetchJobs
  let verifier: DesiredVerifier
  let bootID: String
  var now: Instant { ports.clock.now }

  var machine: DeviceMachine
  /// Every plan that the journal keeps, as values.
  var plans: [Digest: Plan]
  var inbox: [DeviceEvent] = []
  /// Orders that are joined with what the device runs when that is certain (`+LocalDeployment`).
  var arrivals: [Arrival] = []
  /// Said once the journal has what they promise.
  var promises: [(client: LocalClient, answer: JSON)] = []

  // Journal before act.
  var savedState: DeviceState?
  var unsaved = JournalWrite()
  var deferred: [DeviceAction] = []
  var retrySaveAt: Instant?
  var provenTime: Instant
  /// Workloads that are let go of once the journal knows their end (`+Adoption`).
  var heard: [String] = []

  var workloads: [WorkloadID: LiveWorkload] = [:]
  var probes: [ComponentName: any Probe] = [:]
  var fetch: FetchTask?
  var planFetch: PlanFetch?
  var chores: [any Chore] = []
  var isGarbageDue = false
  /// Launches that wait for what had the same id to leave the kernel (`+Leftovers`).
  var parked: [WorkloadID: ParkedLaunch] = [:]
  var tidyAt: Instant?
  var tidyDelayMilliseconds = AgentEngine.tidyDelayMinimumMilliseconds
  /// When memory events of workloads are heard again.
  var listenAt: Instant?
  /// What was said of whom, and when: one that goes on is not news.
  var toldTroubles: [String: Instant] = [:]
  /// When what the last deployment allocated is given back.
  var calmAt: Instant?
  var outbox = Outbox()
  var followers: [LogFollowing] = []
  var docker = DockerBook()
  var server: LocalServer?
  /// What a component's `bootstrap` asked for; whoever turns the engine sees to it.
  package var restartWanted: RestartKind?
  var lastReport: DeviceReport?
  var isConnected = false
  var hasToldOfBroker = false
  var lastRefused: Digest?
  var toldBroken: Set<ComponentName> = []
  var toldConcessions: Set<String> = []

  struct LiveWorkload {
    var link: any RunningWorkload
    var identity: String
    var pid: Int32?
    /// When it was started, as log lines spell it; nil = not known.
    var startedAt: String?
  }

  package init(
    configuration: AgentConfiguration, identity: DeviceIdentity, account: UserAccount, fetchAccount: UserAccount,
    ports: AgentPorts, bootID: String, log: AgentLog, jitterSeed: UInt64? = nil
  ) throws(Failure) {
    self.configuration = configuration
    self.identity = identity
    self.ports = ports
    self.log = log
    self.account = account
    self.bootID = bootID
    paths = AgentPaths(configuration)
    composer = WorkloadComposer(
      paths: paths, device: identity.name, account: account, environment: configuration.environment, log: log,
      docker: DockerAccess(paths: paths, program: configuration.docker))
    jobs = FetchJobs(
      identity: identity, paths: paths, account: fetchAccount,
      bytesPerSecond: configuration.downloads.bytesPerSecond)
    verifier = try DesiredVerifier(device: identity.name, keys: identity.keys)
    let contents = try ports.journal.load()
    savedState = contents.state
    let state = contents.state ?? DeviceState()
    plans = contents.plans
    provenTime = max(contents.provenTime, identity.givenAt)
    outbox.isEmpty = contents.isOutboxEmpty
    machine = DeviceMachine(state: state, plans: contents.plans, jitterSeed: jitterSeed)
  }

  // MARK: Start

  /// Adopts what runs, resumes what was under way, and only then looks for the broker: components do not wait for it.
  package func start() {
    // Whoever put it there has heard no answer, and begins anew.
    discard([paths.staged])
    let adopted = adoptWorkloads()
    openDoors()
    inbox.append(.started(alive: adopted.alive, ended: adopted.ended, bootID: bootID))
    drain()
    for kind in [TopicKind.desired, .acked, .commands] {
      ports.transport.subscribe(Topic.of(identity.name, kind), qos: 1)
    }
    ports.transport.connect()
    pumpTransport(readable: false, writable: false)
    drain()
    planTidying()
    calmSoon()
  }

  // MARK: The inbox

  func receive(_ event: DeviceEvent) { inbox.append(event) }

  /// Handles events until none is left. Several events may share one journal write: all are on the disk before any of
  /// their actions begins.
  func drain() {
    var hasTicked = false
    while true {
      if retrySaveAt == nil { takeArrivals() }
      // One tick is enough for everything that is due; a timer that stays due must not keep the loop from the rest.
      if let deadline = machine.nextDeadline, now >= deadline, inbox.isEmpty, !hasTicked {
        hasTicked = true
        inbox.append(.tick)
      }
      // While the journal cannot be written, what it holds back is tried again once a second.
      let isHeldBack = !deferred.isEmpty || !heard.isEmpty || retrySaveAt != nil
      guard !inbox.isEmpty || isHeldBack, retrySaveAt.map({ now >= $0 }) ?? true else { return }
      let events = inbox
      inbox = []
      for event in events {
        log.debug("event", ["event": "\(event)"])
        if case .workloadEnded(let id, _, _) = event { hear(id) }
        if case .workloadFailed(let id, _) = event { hear(id) }
        deferred += machine.handle(event, at: now).map(inWallTime)
      }
      guard save() else { return }
      keepPromises()
      letGoOfHeard()
      let actions = deferred
      deferred = []
      for action in actions { perform(action) }
    }
  }

  /// Its timers run by the boot clock, which means nothing to anybody else.
  private func inWallTime(_ action: DeviceAction) -> DeviceAction {
    guard case .report(var report) = action, let resumesAt = report.resumesAt else { return action }
    report.resumesAt = ports.clock.wall.advanced(byMilliseconds: resumesAt.milliseconds(since: now))
    return .report(report)
  }

  /// False = nothing may be done yet: the disk is full or broken, and everything waits for a later try.
  func save() -> Bool {
    for action in deferred {
      guard case .report(let report) = action, report.sequence > (unsaved.reports.last?.sequence ?? 0) else { continue }
      unsaved.reports.append(report)
    }
    if machine.state != savedState { unsaved.state = machine.state }
    guard !unsaved.isEmpty else { return true }
    var kept = Set(machine.state.planDigests)
    // Without the service's part a later local deployment would have nothing to be joined with.
    kept.formUnion(kept.compactMap { plans[$0]?.ordered })
    if plans.keys.contains(where: { !kept.contains($0) }) { unsaved.keptPlans = kept }
    do throws(Failure) {
      try ports.journal.save(unsaved)
    } catch {
      if retrySaveAt == nil { log.error("\(error)") }
      retrySaveAt = now.advanced(bySeconds: 1)
      return false
    }
    savedState = machine.state
    if unsaved.keptPlans != nil {
      plans = plans.filter { kept.contains($0.key) }
      isGarbageDue = true
    }
    if let last = unsaved.reports.last {
      lastReport = last
      outbox.isEmpty = false
    }
    unsaved = JournalWrite()
    retrySaveAt = nil
    return true
  }

  // MARK: Actions

  private func perform(_ action: DeviceAction) {
    log.debug("action", ["action": String("\(action)".prefix(400))])
    switch action {
    case .fetch(let generation, let plan): beginFetch(generation, plan)
    case .cancelFetch(let generation):
      if fetch?.generation == generation {
        fetch?.cancel()
        fetch = nil
      }
    case .run(let id, let planned, let configuration, let identity):
      launch(id, ComponentDefinition(planned: planned, configuration: configuration), identity)
    case .stop(let id, let signal): stop(id, signal: signal)
    case .kill(let id): kill(id)
    case .probe(let name, let check, let id): probe(name, check, id)
    case .ask(let generation, let names): ask(names, generation)
    case .restart(let kind):
      log.warning("a component's bootstrap asked for a restart", ["of": kind.rawValue])
      restartWanted = kind
    case .forget(let name): forget(name)
    case .report(let report):
      tellBroken(report)
      send(report)
    case .commit(let reference):
      log.info(
        "this plan is the device's state now",
        ["generation": "\(reference.generation)", "plan": reference.digest.short])
      isGarbageDue = true
      calmSoon()
    }
  }

  /// Once per break, for who reads the agent's log on the device.
  private func tellBroken(_ report: DeviceReport) {
    let broken = Set(report.components.filter { $0.state == .broken }.map(\.name))
    for component in report.components where component.state == .broken && !toldBroken.contains(component.name) {
      log.error(
        "component is BROKEN",
        [
          "component": component.name.rawValue, "version": component.version.description,
          "why": component.failure.map(\.description) ?? "unknown",
        ])
    }
    toldBroken = broken
  }

  private func beginFetch(_ generation: Generation, _ plan: Plan) {
    fetch?.cancel()
    var demands = FetchTask.Demands(
      limits: configuration.downloads, spare: { [weak self] in self?.spareContent(besides: plan) ?? [] },
      openness: { [configuration, ports] in configuration.downloads.openness(atWall: ports.clock.wall) })
    // Whoever deploys on the device itself is there.
    if !generation.isLocal {
      demands.applyOpenness = { [configuration, ports] in
        configuration.downloads.openness(toApplyAtWall: ports.clock.wall)
      }
    }
    fetch = FetchTask(
      generation: generation, plan: plan, jobs: jobs, worker: ports.worker, owner: account, demands: demands)
    advanceFetch()
  }

  func advanceFetch() {
    guard let task = fetch else { return }
    for outcome in task.advance(now: now) {
      switch outcome {
      case .progress(let done, let total, let transfers):
        receive(.fetchProgress(generation: task.generation, done: done, total: total, transfers: transfers))
      case .waits(let until, let opens, let why):
        log.info("\(why.message)", ["generation": "\(task.generation)"])
        receive(.fetchWaits(generation: task.generation, until: until, opens: opens, why))
        fetch = nil
      case .finished:
        log.info("everything is here", ["generation": "\(task.generation)"])
        receive(.fetched(generation: task.generation))
        fetch = nil
      case .failed(let failure):
        log.error("\(failure)", ["generation": "\(task.generation)", "code": failure.code])
        receive(.fetchFailed(generation: task.generation, failure))
        fetch = nil
      }
    }
  }

  /// Content of the state before the committed one, which nothing else needs: it goes when space is short.
  private func spareContent(besides plan: Plan) -> [String] {
    guard let previous = machine.state.previous?.digest else { return [] }
    let state = machine.state
    let kept = Set([state.current, state.aim, state.deployment?.reference].compactMap { $0?.digest })
    guard plans[previous] != nil, !kept.contains(previous) else { return [] }
    let needed = plans.filter { $0.key != previous }.map(\.value) + [plan]
    return GarbageCollector(paths: paths, plans: needed, identities: [:]).content()
  }

  /// What one component had leaves; its data stays until no kept plan knows it.
  private func forget(_ name: ComponentName) {
    forgetContainers(of: name)
    discard([paths.work(name), paths.overlays(name)])
  }

  /// A little later, when the dust has settled.
  func calmSoon() { calmAt = now.advanced(bySeconds: 2) }

  func calm() {
    guard let due = calmAt, now >= due else { return }
    calmAt = nil
    ports.journal.releaseMemory()
    Memory.trim()
  }

  // MARK: Chores

  /// Out of the way at once, removed bit by bit.
  func discard(_ found: [String]) {
    for path in found where Files.exists(path) {
      let name = randomBytes(8).reduce("") { $0 + String($1, radix: 16) }
      do throws(Failure) {
        if let target = try Trash(directory: paths.trash).take(path, as: name) { chores.append(TreeRemoval(target)) }
      } catch {
        log.warning("\(error)")
        return
      }
    }
  }

  func collectGarbage() {
    guard isGarbageDue, canCollectGarbage else { return }
    isGarbageDue = false
    var identities: [ComponentName: Set<String>] = [:]
    for (name, component) in machine.state.components { identities[name, default: []].insert(component.identity) }
    for (id, workload) in workloads { identities[id.component, default: []].insert(workload.identity) }
    let collector = GarbageCollector(paths: paths, plans: Array(plans.values), identities: identities)
    discard(collector.garbage())
    // What an earlier agent had put there and not removed.
    if chores.isEmpty && Files.exists(paths.trash) { chores.append(TreeRemoval(paths.trash)) }
  }

  func stepChores() {
    guard let chore = chores.first else { return }
    do throws(Failure) {
      if try chore.step() { chores.removeFirst() }
    } catch {
      log.warning("\(error)")
      chores.removeFirst()
    }
  }
}
