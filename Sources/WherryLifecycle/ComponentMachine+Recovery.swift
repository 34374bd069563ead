import WherryModel

extension ComponentMachine {
  /// The device booted: nothing is alive, and what had been started has to be started again. Old failures do not
  /// count: a power cycle is how people mend things.
  mutating func boot() {
    launches = 0
    isRestartWanted = false
    forgive()
    switch phase {
    case .new, .installed, .uninstalled: break
    case .preparing, .awaitingRestart, .starting, .running, .recovering, .waiting, .shuttingDown, .stopping,
      .uninstalling, .finished, .broken:
      beReady()
    }
  }

  /// Something of this component is alive that should not be: begin again once it is gone.
  mutating func yield() {
    isRestartWanted = false
    switch phase {
    case .uninstalled, .broken, .finished, .waiting: break
    case .new, .installed, .preparing, .awaitingRestart, .starting, .running, .recovering, .shuttingDown, .stopping,
      .uninstalling:
      beReady()
    }
  }

  private mutating func beReady() {
    phase = installed == identity ? .installed : .new
  }

  /// The agent started again in the same boot. Alive steps are adopted, ended ones are heard with their cause, and a
  /// step that was journalled but neither lives nor left a trace was never launched, so it is launched now.
  mutating func resume(
    alive: Set<LifecycleStep>, ended: [LifecycleStep: WorkloadEnd], _ context: ComponentContext
  ) -> [DeviceAction] {
    switch phase {
    case .new, .installed, .waiting, .uninstalled, .finished, .broken, .awaitingRestart(.machine, _): return []
    case .awaitingRestart(.agent, _):
      // This is the restart.
      phase = .new
      return []
    case .preparing(let step, _): return resumeStep(step, alive, ended, context)
    case .starting(let step, _):
      if step == .run && alive.contains(.run) {
        beRunning(context)
        return []
      }
      return resumeStep(step, alive, ended, context)
    case .recovering: return resumeStep(.recover, alive, ended, context)
    case .uninstalling: return resumeStep(.uninstall, alive, ended, context)
    case .running:
      guard context.mainStep == .run, !alive.contains(.run) else { return [] }
      // It did run, so it ended, even if nobody knows how.
      return workloadGone(.run, ended[.run] ?? .exited(.unknown, log: []), context)
    case .shuttingDown(let until, let isMainAlive):
      phase = .shuttingDown(until: until, isMainAlive: isMainAlive && alive.contains(.run))
      return resumeStep(.shutdown, alive, ended, context)
    case .stopping(let steps, _, let isRetry):
      // As when its end is heard: what a workload wrote last explains why its health check failed.
      for case .exited(_, let log) in steps.compactMap({ ended[$0] }) where isRetry && failure?.log.isEmpty == true {
        failure?.log = ComponentFailure.clipped(log)
      }
      return end(steps.filter(alive.contains), isRetry: isRetry, context)
    }
  }

  private mutating func resumeStep(
    _ step: LifecycleStep, _ alive: Set<LifecycleStep>, _ ended: [LifecycleStep: WorkloadEnd],
    _ context: ComponentContext
  ) -> [DeviceAction] {
    if alive.contains(step) { return [] }
    if let end = ended[step] { return workloadGone(step, end, context) }
    return [launch(step, context)]
  }
}
