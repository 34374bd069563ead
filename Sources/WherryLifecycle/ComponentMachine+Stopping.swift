import WherryModel

extension ComponentMachine {
  /// After `kill`, ask again this often: a workload in an uninterruptible call ends when the kernel lets it.
  static let killAgainMilliseconds: Int64 = 10_000

  /// Ends whatever is alive; the component rests afterwards.
  mutating func stop(_ context: ComponentContext) -> [DeviceAction] {
    switch phase {
    case .running where context.has(.shutdown):
      phase = .shuttingDown(until: context.deadline(of: .shutdown), isMainAlive: context.mainStep == .run)
      return [launch(.shutdown, context)]
    case .running, .starting, .preparing, .recovering:
      return end(aliveSteps(in: context), isRetry: false, context)
    case .new, .awaitingRestart, .installed, .waiting, .shuttingDown, .stopping, .uninstalling, .uninstalled, .finished,
      .broken:
      // Nothing alive, or already on the way.
      return []
    }
  }

  /// Tells the steps to end, with grace; none = it rests at once.
  mutating func end(_ steps: [LifecycleStep], isRetry: Bool, _ context: ComponentContext) -> [DeviceAction] {
    guard !steps.isEmpty else { return comeToRest(isRetry: isRetry, context) }
    phase = .stopping(steps, until: context.stopDeadline, isRetry: isRetry)
    return steps.map { .stop(WorkloadID(name, $0), signal: context.stopSignal) }
  }

  /// Kills the steps; they had their time.
  mutating func kill(_ steps: [LifecycleStep], isRetry: Bool, _ context: ComponentContext) -> [DeviceAction] {
    phase = .stopping(
      steps, until: context.now.advanced(byMilliseconds: Self.killAgainMilliseconds), isRetry: isRetry)
    return steps.map { .kill(WorkloadID(name, $0)) }
  }

  mutating func comeToRest(isRetry: Bool, _ context: ComponentContext) -> [DeviceAction] {
    if isRetry && !isRestartWanted { return continueAfterFailure(context) }
    if isRestartWanted { forgive() }
    isRestartWanted = false
    phase = installed == identity ? .installed : .new
    return []
  }

  /// One of the steps being stopped is gone.
  mutating func stoppedStep(_ step: LifecycleStep, _ context: ComponentContext) -> [DeviceAction] {
    guard case .stopping(let steps, let until, let isRetry) = phase, steps.contains(step) else { return [] }
    let rest = steps.filter { $0 != step }
    guard rest.isEmpty else {
      phase = .stopping(rest, until: until, isRetry: isRetry)
      return []
    }
    return comeToRest(isRetry: isRetry, context)
  }

  /// `shutdown` or the main workload is gone while shutting down.
  mutating func shutdownStepEnded(_ step: LifecycleStep, _ context: ComponentContext) -> [DeviceAction] {
    guard case .shuttingDown(let until, let isMainAlive) = phase else { return [] }
    if step == .shutdown { return end(isMainAlive ? [.run] : [], isRetry: false, context) }
    if step == .run { phase = .shuttingDown(until: until, isMainAlive: false) }
    return []
  }
}
