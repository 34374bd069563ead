import WherryIsolation
import WherryLifecycle
import WherryModel

/// What an agent finds when it starts, and when a workload's end is forgotten: until the journal knows of it, the
/// runner is the only one that does.
extension AgentEngine {
  func adoptWorkloads() -> (alive: [WorkloadID: String], ended: [WorkloadID: WorkloadEnd]) {
    var alive: [WorkloadID: String] = [:]
    var ended: [WorkloadID: WorkloadEnd] = [:]
    let all = ports.runner.adoptAll()
    adoptContainers(all)
    for run in all where ScriptContainerRecord.id(inWorkload: run.id) == nil {
      guard let id = WorkloadID(run.id) else {
        // A health probe's process, or of an agent that named them otherwise: nobody waits for it.
        run.link?.kill()
        run.link?.close()
        ports.runner.letGo(run.id)
        continue
      }
      let startedAt = run.startedAt.map(Timestamp.sortable)
      if let link = run.link {
        alive[id] = run.identity
        workloads[id] = LiveWorkload(link: link, identity: run.identity, pid: nil, startedAt: startedAt)
        log.info("adopted", ["workload": run.id])
      } else {
        ended[id] = end(of: id, run, since: startedAt)
        if isAwaited(id) { ports.runner.letGo(run.id) } else { heard.append(run.id) }
      }
    }
    return (alive, ended)
  }

  /// Of a workload that ended while no agent was there, with the cause as if one had been.
  private func end(of id: WorkloadID, _ run: AdoptedRun, since startedAt: String?) -> WorkloadEnd {
    if case .failedToStart(let step, let number, let sentence) = run.failure {
      return .failedToStart(startFailure(of: id, step, number, sentence, since: startedAt))
    }
    let status = run.exit.map(Self.status) ?? .unknown
    log.info("ended while no agent was there", ["workload": run.id, "status": "\(status)"])
    return .exited(status, log: status.isSuccess ? [] : lastLines(of: id, since: startedAt))
  }

  func startFailure(
    of id: WorkloadID, _ step: String, _ number: Int32, _ sentence: String, since startedAt: String?
  ) -> Failure {
    let failure = Failure(
      .start, code: "component.startFailed", message: "\(id.component): \(sentence)",
      remedy: "correct its recipe or what it needs on this device", component: id.component,
      log: lastLines(of: id, since: startedAt))
    log.error("\(failure)", ["workload": id.description, "step": step, "errno": "\(number)"])
    return failure
  }

  static func status(_ exit: WorkloadExit) -> ExitStatus {
    ExitStatus(code: exit.code, signal: exit.signal, outOfMemory: exit.outOfMemory)
  }

  // MARK: Letting go

  /// Before the machine handles the end of a workload.
  func hear(_ id: WorkloadID) {
    guard workloads[id] != nil else { return }
    if isAwaited(id) { letGo(id.description) } else { heard.append(id.description) }
  }

  /// After the journal was written, before anything is started.
  func letGoOfHeard() {
    let ids = heard
    heard = []
    for id in ids { letGo(id) }
  }

  /// Whether the machine waits for this end. Then it may start the same step again in the same breath, and what is
  /// left of the last run must not be taken for that one's end after a crash: it goes at once. Any other end counts,
  /// and nothing of the same id follows it at once: it is kept until the journal has it.
  private func isAwaited(_ id: WorkloadID) -> Bool {
    guard let phase = machine.state.components[id.component]?.phase else { return true }
    switch phase {
    case .preparing, .starting, .running, .recovering, .uninstalling: return false
    case .new, .awaitingRestart, .installed, .waiting, .shuttingDown, .stopping, .uninstalled, .finished, .broken:
      return true
    }
  }

  /// Nothing of it is alive: what it had in the kernel goes.
  private func letGo(_ id: String) {
    if let id = WorkloadID(id) {
      workloads.removeValue(forKey: id)?.link.close()
      probes.removeValue(forKey: id.component)?.cancel()
    }
    ports.runner.letGo(id)
    tidySoon()
  }
}
