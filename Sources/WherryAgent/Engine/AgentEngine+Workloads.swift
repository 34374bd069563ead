import Glibc
import WherryIsolation
import WherryLifecycle
import WherryModel

/// Starting, stopping and listening to workloads.
extension AgentEngine {
  func launch(_ id: WorkloadID, _ own: ComponentDefinition, _ identity: String) {
    if workloads[id] != nil {
      // The machine asks again only for what it cannot know to be running.
      log.debug("already running", ["workload": id.description])
      return
    }
    guard !ports.runner.isLeaving(id.description), !waitsForContainers(id) else {
      park(id, own, identity)
      return
    }
    do throws(Failure) {
      let dependencies = dependencyDefinitions(of: own.planned)
      let specification = try composer.specification(
        id, own, dependencies: dependencies, identity: identity, settings: nucleusSettings(for: id.component))
      guard let specification else {
        log.info("skipped, as its Skipif holds", ["workload": id.description])
        receive(.workloadStarted(id))
        receive(.workloadEnded(id, .success, log: []))
        return
      }
      clearHolding(id)
      if composer.docker.isFor(own.planned) {
        let isPrivileged = specification.isPrivileged
        try openDoor(DockerDoor.Key(id.component, isPrivileged: isPrivileged))
      }
      let startedAt = Timestamp.sortable(ports.clock.wall)
      let link = try ports.runner.launch(specification, identity: identity)
      tellConcessions()
      workloads[id] = LiveWorkload(link: link, identity: identity, pid: nil, startedAt: startedAt)
      log.info("starting", ["workload": id.description, "version": own.planned.version.description])
    } catch {
      log.error("\(error)", ["workload": id.description, "code": error.code])
      var failure = error
      failure.component = id.component
      receive(.workloadFailed(id, failure))
    }
  }

  func tellConcessions() {
    for text in ports.runner.concessions where toldConcessions.insert(text).inserted { log.warning("\(text)") }
  }

  private func nucleusSettings(for name: ComponentName) -> NucleusSettings {
    let snapshot = machine.state.components[name].flatMap { machine.state.snapshots[$0.generation] }
    return NucleusSettings(snapshot?.configurations ?? [:])
  }

  private func dependencyDefinitions(of planned: PlannedComponent) -> [ComponentName: ComponentDefinition] {
    var found: [ComponentName: ComponentDefinition] = [:]
    for name in planned.dependencies.keys { found[name] = definition(of: name) }
    return found
  }

  /// What the device has of that name now.
  func definition(of name: ComponentName) -> ComponentDefinition? {
    guard let component = machine.state.components[name],
      let snapshot = machine.state.snapshots[component.generation], let planned = plans[snapshot.digest]?[name]
    else { return nil }
    return ComponentDefinition(planned: planned, configuration: snapshot.configurations[name] ?? .object([:]))
  }

  func stop(_ id: WorkloadID, signal name: String?) {
    parked[id] = nil
    guard let workload = workloads[id] else {
      receive(.workloadEnded(id, .unknown, log: []))
      return
    }
    letGoOn(id)
    let number = Signal.number(name ?? "TERM") ?? SIGTERM
    log.info("stopping", ["workload": id.description, "signal": "\(number)"])
    workload.link.signal(number)
  }

  /// What is held still hears no signal and cannot end itself.
  private func letGoOn(_ id: WorkloadID) {
    if ports.runner.isPaused(id.description) { try? ports.runner.setPaused(id.description, false) }
  }

  func kill(_ id: WorkloadID) {
    parked[id] = nil
    guard let workload = workloads[id] else {
      receive(.workloadEnded(id, .unknown, log: []))
      return
    }
    killContainers(of: id.component)
    letGoOn(id)
    log.info("killing", ["workload": id.description])
    workload.link.kill()
  }

  func readWorkload(_ id: WorkloadID) {
    guard let link = workloads[id]?.link else { return }
    for event in link.readEvents() {
      switch event {
      case .started(let pid):
        workloads[id]?.pid = pid
        log.info("started", ["workload": id.description, "pid": "\(pid)"])
        receive(.workloadStarted(id))
      case .failedToStart(let step, let number, let sentence):
        let failure = startFailure(of: id, step, number, sentence, since: workloads[id]?.startedAt)
        receive(.workloadFailed(id, failure))
      case .exited(let exit): ended(id, Self.status(exit))
      case .lost: ended(id, .unknown)
      }
    }
  }

  private func ended(_ id: WorkloadID, _ status: ExitStatus) {
    log.info("ended", ["workload": id.description, "status": "\(status)"])
    if !holdsBack(id, status) { tellEnd(id, status) }
  }

  func tellEnd(_ id: WorkloadID, _ status: ExitStatus) {
    let lines = status.isSuccess ? [] : lastLines(of: id, since: workloads[id]?.startedAt)
    receive(.workloadEnded(id, status, log: lines))
  }

  /// Of this run, not of the ones before it: lines begin with their time. Nil = it is not known when it began.
  func lastLines(of id: WorkloadID, since startedAt: String?) -> [String] {
    let lines = LogFile.tail(path: paths.log(id.component), lines: Failure.logLinesMaximum)
    guard let startedAt else { return lines }
    return lines.filter { $0 >= startedAt }
  }

  // MARK: Health

  func probe(_ name: ComponentName, _ check: HealthCheck, _ id: WorkloadID) {
    if let former = probes.removeValue(forKey: name) {
      former.cancel()
      tidySoon()
    }
    guard !ports.runner.isPaused(id.description) else {
      // Nor would a check inside it come to an end.
      receive(.health(name, isHealthy: true, detail: "paused"))
      return
    }
    let timeout = check.timeoutMilliseconds
    func network(_ port: UInt16, _ path: String?) -> (any Probe)? {
      let isOnHost = definition(of: name)?.planned.container?.network == .host
      guard let address = isOnHost ? "127.0.0.1" : ports.runner.address(of: id.description) else { return nil }
      return NetworkProbe(address: address, port: port, path: path, timeoutMilliseconds: timeout, now: now)
    }
    var probe: (any Probe)?
    var obstacle = "it has no network to reach it by"
    switch check.probe {
    case .http(let port, let path): probe = network(port, path)
    case .tcp(let port): probe = network(port, nil)
    case .exec(let arguments):
      do throws(Failure) {
        let run = try ports.runner.run(arguments, inside: id.description)
        probe = ExecProbe(run, program: arguments.first ?? "", timeoutMilliseconds: timeout, now: now)
      } catch { obstacle = error.message }
    }
    guard let probe else {
      receive(.health(name, isHealthy: false, detail: obstacle))
      return
    }
    probes[name] = probe
    advanceProbe(name)
  }

  func advanceProbe(_ name: ComponentName) {
    guard let probe = probes[name], let verdict = probe.advance(now: now) else { return }
    probe.cancel()
    probes[name] = nil
    tidySoon()
    if !verdict.isHealthy { log.debug("unhealthy", ["component": name.rawValue, "detail": verdict.detail]) }
    receive(.health(name, isHealthy: verdict.isHealthy, detail: verdict.detail))
  }
}

/// Signals by the names that recipes and images use.
enum Signal {
  private static let numbers: [String: Int32] = [
    "HUP": SIGHUP, "INT": SIGINT, "QUIT": SIGQUIT, "ABRT": SIGABRT, "KILL": SIGKILL, "USR1": SIGUSR1, "USR2": SIGUSR2,
    "ALRM": SIGALRM, "TERM": SIGTERM, "CONT": SIGCONT, "STOP": SIGSTOP, "WINCH": SIGWINCH, "PWR": SIGPWR,
  ]

  /// `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`.
  static func number(_ text: String) -> Int32? {
    if let number = Int32(text) { return (1...64).contains(number) ? number : nil }
    let upper = text.uppercased()
    let name = upper.hasPrefix("SIG") ? String(upper.dropFirst(3)) : upper
    if name.hasPrefix("RTMIN+"), let offset = Int32(name.dropFirst(6)), (0...30).contains(offset) { return 34 + offset }
    return numbers[name]
  }
}
