import WherryModel

/// Every change that people can see is reported, once per event; progress at most every two seconds.
extension DeviceMachine {
  static let progressIntervalMilliseconds: Int64 = 2_000

  mutating func report(_ event: DeviceEvent, _ now: Instant, _ actions: inout [DeviceAction]) {
    let content = content(concluded: nil)
    var isDue = content != reported
    switch event {
    case .desired(let generation, _, _):
      // The service asks again for what it has no answer to.
      if generation == state.generation.order && state.deployment == nil { isDue = true }
    case .refused(let generation, _, _):
      if generation == state.conclusion?.generation { isDue = true }
    case .fetchProgress(_, let done, let total, _):
      let isTime = now.milliseconds(since: reportedAt) >= Self.progressIntervalMilliseconds || done == total
      if fetchProgress != nil && isTime { isDue = true }
    case .reportsKnown: isDue = true
    case .started, .fetchWaits, .fetched, .fetchFailed, .holding, .workloadStarted, .workloadFailed, .workloadEnded,
      .health, .restartRequested, .tick:
      break
    }
    guard isDue else { return }
    reported = content
    send(content, now, &actions)
  }

  /// Numbers the report and hands it to the outbox.
  mutating func send(_ content: DeviceReport, _ now: Instant, _ actions: inout [DeviceAction]) {
    var report = content
    report.sequence = state.nextSequence
    if let generation = state.deployment?.reference.generation, generation.isLocal || generation == report.generation,
      let progress = fetchProgress
    {
      report.bytesDone = progress.done
      report.bytesTotal = progress.total
      report.transfers = progress.transfers
    }
    if let deployment = state.deployment, deployment.reference.generation == report.generation {
      report.resumesAt = resumesAt(deployment.phase)
    }
    state.nextSequence += 1
    reportedAt = now
    actions.append(.report(report))
  }

  /// Until when it asks to be left alone, at the longest; nil = it does not.
  private func resumesAt(_ phase: DeploymentPhase) -> Instant? {
    switch phase {
    case .fetchPaused(_, let until, let cause): cause.isDeferral ? max(until, opensAt ?? until) : nil
    case .asking(let deadline, let holding): holding.isEmpty ? nil : deadline
    case .fetching, .applying, .settling, .rollingBack: nil
    }
  }

  /// Whatever has a number up to that one, the service takes for a repetition.
  mutating func numberReports(after sequence: Int64) {
    guard sequence >= state.nextSequence, sequence < .max else { return }
    state.nextSequence = sequence + 1
  }

  /// What there is to report, without sequence and progress. `concluded` = an end that nothing of the state tells.
  func content(concluded: DeploymentConclusion?) -> DeviceReport {
    let aim = aimPlan
    let components = state.components.keys.sorted().compactMap { name -> ComponentReport? in
      var report = state.components[name]?.report
      report?.isLocal = aim?.localNames.contains(name) ?? false
      return report
    }
    var report = DeviceReport(sequence: 0, generation: Generation(0), status: nil, components: components)
    report.running = state.current.flatMap { orderedDigest($0.digest) }
    let underWay = state.deployment
    if let end = concluded.flatMap({ $0.generation.isLocal ? nil : $0 }) {
      tell(end, in: &report)
    } else if let deployment = underWay, !deployment.reference.generation.isLocal {
      report.generation = deployment.reference.generation
      report.status = deployment.phase.status
      report.plan = orderedDigest(deployment.reference.digest)
      report.failure = deployment.phase.failure
    } else if let end = state.conclusion {
      tell(end, in: &report)
    }
    report.local = localReport(concluded)
    return report
  }

  private func tell(_ end: DeploymentConclusion, in report: inout DeviceReport) {
    report.generation = end.generation
    report.status = end.status
    report.plan = end.digest
    report.failure = end.failure
  }

  private func localReport(_ concluded: DeploymentConclusion?) -> LocalReport? {
    if concluded?.generation.isLocal != true, let deployment = state.deployment,
      deployment.reference.generation.isLocal
    {
      return LocalReport(
        id: deployment.reference.generation.description, status: deployment.phase.status,
        failure: deployment.phase.failure)
    }
    guard let end = state.localConclusions.last else { return nil }
    return LocalReport(id: end.generation.description, status: end.status, failure: end.failure)
  }
}

extension DeploymentPhase {
  /// Why it does not go on, or goes back.
  var failure: Failure? {
    switch self {
    case .fetchPaused(_, _, let cause), .rollingBack(let cause, _, _): cause
    case .asking(_, let holding):
      holding.isEmpty
        ? nil
        : Failure(
          .timeout, code: Failure.heldOffCode,
          message: "\(holding.map(\.rawValue).joined(separator: ", ")) asked not to be changed yet",
          remedy: "nothing needs to be done: it goes on when they are done, and at the latest after the deployment's "
            + "update timeout")
    case .fetching, .applying, .settling: nil
    }
  }
}
