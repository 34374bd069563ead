import WherryModel

extension ComponentMachine {
  mutating func workloadStarted(_ step: LifecycleStep, _ context: ComponentContext) {
    // For any other step being alive says nothing; late news of a workload that is being stopped says nothing either.
    guard step == .run, case .starting(.run, _) = phase else { return }
    beRunning(context)
  }

  mutating func beRunning(_ context: ComponentContext) {
    let health: ComponentHealth = context.planned.container?.health == nil ? .unchecked : .pending(failures: 0)
    let until = context.mainStep == .run ? context.deadline(of: .run) : nil
    phase = .running(since: context.now, until: until, health: health)
  }

  /// The workload could not be started, or ended: nothing of it is alive.
  mutating func workloadGone(
    _ step: LifecycleStep, _ end: WorkloadEnd, _ context: ComponentContext
  ) -> [DeviceAction] {
    switch phase {
    case .preparing(step, _): return preparationEnded(step, end, context)
    case .starting(.startup, _) where step == .startup:
      guard case .exited(let status, _) = end, status.isSuccess else {
        return fail(end.failure(of: step, name), context)
      }
      beRunning(context)
      return []
    case .starting(.run, _) where step == .run, .running where step == .run && context.mainStep == .run:
      return mainEnded(end, context)
    case .recovering where step == .recover:
      // Best effort: a failing recover script must not keep the component from being tried again.
      rest(context)
      return []
    case .shuttingDown: return shutdownStepEnded(step, context)
    case .stopping(_, _, let isRetry):
      // A failed health check has no log lines of its own; what the workload wrote last explains it.
      if isRetry, case .exited(_, let log) = end, failure?.log.isEmpty == true {
        failure?.log = ComponentFailure.clipped(log)
      }
      return stoppedStep(step, context)
    case .uninstalling where step == .uninstall:
      phase = .uninstalled
      return []
    case .new, .preparing, .awaitingRestart, .installed, .starting, .running, .recovering, .waiting, .uninstalling,
      .uninstalled, .finished, .broken:
      // Late or twice: this phase has nothing alive by that name.
      return []
    }
  }

  private mutating func preparationEnded(
    _ step: LifecycleStep, _ end: WorkloadEnd, _ context: ComponentContext
  ) -> [DeviceAction] {
    guard end.isSuccess(of: step) else { return fail(end.failure(of: step, name), context) }
    if step == .bootstrap { bootstrapped = identity }
    if let kind = end.restartWish(of: step) {
      phase = .awaitingRestart(kind, until: context.now.advanced(bySeconds: Self.restartTimeoutSeconds))
      return []
    }
    guard step == .bootstrap, context.has(.install) else {
      installed = identity
      phase = .installed
      return []
    }
    phase = .preparing(.install, until: context.deadline(of: .install))
    return [launch(.install, context)]
  }

  /// How long a device may take to go down for a reboot.
  static let restartTimeoutSeconds = 300

  private mutating func mainEnded(_ end: WorkloadEnd, _ context: ComponentContext) -> [DeviceAction] {
    if case .exited(let status, let log) = end, status.isSuccess {
      guard context.planned.container?.restart.mode == .always else {
        phase = .finished
        return []
      }
      // In a deployment that is a broken version; later it may be the way it works, so it only rests a while.
      return fail(ComponentFailure.endedThoughAlways(name, log), context)
    }
    return fail(end.failure(of: .run, name), context)
  }

  mutating func healthReported(isHealthy: Bool, detail: String, _ context: ComponentContext) -> [DeviceAction] {
    guard case .running(let since, let until, let health) = phase, let check = context.planned.container?.health else {
      return []  // An answer that came after the component stopped.
    }
    if isHealthy {
      phase = .running(since: since, until: until, health: .healthy(failures: 0))
      return []
    }
    let failures: Int
    switch health {
    case .unchecked: return []
    case .pending(let count):
      if context.now.milliseconds(since: since) < check.startPeriodMilliseconds { return [] }
      failures = count + 1
      phase = .running(since: since, until: until, health: .pending(failures: failures))
    case .healthy(let count):
      failures = count + 1
      phase = .running(since: since, until: until, health: .healthy(failures: failures))
    }
    guard failures >= max(1, check.retries) else { return [] }
    let failure = ComponentFailure.unhealthy(name, failures: failures, detail: detail)
    return fail(failure, ending: aliveSteps(in: context), byKilling: false, context)
  }

  /// Acts when the phase's `until` has passed.
  mutating func tick(_ context: ComponentContext) -> [DeviceAction] {
    guard let until = phase.until, context.now >= until else { return [] }
    switch phase {
    case .preparing(let step, _), .starting(let step, _):
      let failure = ComponentFailure.timedOut(name, step, isLaunch: step == .run)
      return fail(failure, ending: [step], byKilling: true, context)
    case .running:
      let failure = ComponentFailure.timedOut(name, .run, isLaunch: false)
      return fail(failure, ending: aliveSteps(in: context), byKilling: false, context)
    case .awaitingRestart(let kind, _):
      bootstrapped = nil
      return fail(ComponentFailure.notRestarted(name, kind), context)
    case .recovering:
      phase = .recovering(until: context.now.advanced(byMilliseconds: Self.killAgainMilliseconds))
      return [.kill(WorkloadID(name, .recover))]
    case .waiting:
      phase = installed == identity ? .installed : .new
      return []
    case .shuttingDown(_, let isMainAlive):
      phase = .stopping(isMainAlive ? [.shutdown, .run] : [.shutdown], until: context.stopDeadline, isRetry: false)
      let main = WorkloadID(name, .run)
      return [.kill(WorkloadID(name, .shutdown))] + (isMainAlive ? [.stop(main, signal: context.stopSignal)] : [])
    case .stopping(let steps, _, let isRetry): return kill(steps, isRetry: isRetry, context)
    case .uninstalling:
      phase = .uninstalling(until: context.now.advanced(byMilliseconds: Self.killAgainMilliseconds))
      return [.kill(WorkloadID(name, .uninstall))]
    case .new, .installed, .uninstalled, .finished, .broken: return []
    }
  }
}
