import WherryModel

/// One component on the device: one identity (version and effective configuration) at a time. The outer machine tells
/// it to prepare, start and stop; workloads and timers tell it what became of that. It never starts anything by itself
/// and never leaves a phase while something of that phase may still be alive, which is why two versions cannot run.
package struct ComponentMachine: Hashable, Sendable {
  package let name: ComponentName
  /// The snapshot that its definition is in.
  package internal(set) var generation: Generation
  package internal(set) var version: Version
  package internal(set) var identity: String
  package internal(set) var phase = ComponentPhase.new
  /// The identity whose `install` succeeded last; another version's clears it, since it changed the same directories.
  var installed: String?
  /// The identity whose `bootstrap` succeeded last: a restart that it asked for does not run it again.
  var bootstrapped: String?
  /// Failures that add up.
  package internal(set) var strikes = 0
  var failedAt: Instant?
  /// Starts of the main workload since the identity came or the device booted.
  var launches = 0
  package internal(set) var failure: Failure?
  var isRestartWanted = false

  init(name: ComponentName, generation: Generation, version: Version, identity: String, installed: String? = nil) {
    self.name = name
    self.generation = generation
    self.version = version
    self.identity = identity
    self.installed = installed
  }

  package var report: ComponentReport {
    let isFailing = strikes > 0 && !phase.isGood
    return ComponentReport(
      name: name, version: version, state: phase.componentState, restarts: max(0, launches - 1),
      failure: isFailing ? failure : nil)
  }

  /// The workloads that are alive, or were asked for.
  func aliveSteps(in context: ComponentContext) -> [LifecycleStep] {
    switch phase {
    case .preparing(let step, _), .starting(let step, _): [step]
    case .running: context.mainStep == .run ? [.run] : []
    case .recovering: [.recover]
    case .shuttingDown(_, let isMainAlive): isMainAlive ? [.shutdown, .run] : [.shutdown]
    case .stopping(let steps, _, _): steps
    case .uninstalling: [.uninstall]
    case .new, .awaitingRestart, .installed, .waiting, .uninstalled, .finished, .broken: []
    }
  }

  func launch(_ step: LifecycleStep, _ context: ComponentContext) -> DeviceAction {
    .run(WorkloadID(name, step), context.planned, configuration: context.configuration, identity: identity)
  }

  /// NEW: the first of bootstrap and install, or straight on when they are done or absent.
  mutating func prepare(_ context: ComponentContext) -> [DeviceAction] {
    guard case .new = phase else { return [] }
    let steps = context.preparation.filter { $0 != .bootstrap || bootstrapped != identity }
    guard installed != identity, let step = steps.first else {
      installed = identity
      phase = .installed
      return []
    }
    // From here on the directories hold neither version for sure.
    installed = nil
    phase = .preparing(step, until: context.deadline(of: step))
    return [launch(step, context)]
  }

  /// INSTALLED: the main step. The outer machine saw to it that the dependencies are up.
  mutating func start(_ context: ComponentContext) -> [DeviceAction] {
    guard case .installed = phase else { return [] }
    guard let step = context.mainStep else {
      phase = .finished
      return []
    }
    launches += 1
    phase = .starting(step, until: step == .run ? context.launchDeadline : context.deadline(of: step))
    return [launch(step, context)]
  }

  /// UNINSTALL, once at rest and no longer wanted.
  mutating func uninstall(_ context: ComponentContext) -> [DeviceAction] {
    guard phase.isAtRest else { return [] }
    guard context.has(.uninstall), installed != nil else {
      phase = .uninstalled
      return []
    }
    phase = .uninstalling(until: context.deadline(of: .uninstall))
    return [launch(.uninstall, context)]
  }

  /// A person wants it started anew: what failed before counts no more.
  mutating func restart() {
    switch phase {
    case .starting, .running:
      isRestartWanted = true
    case .waiting, .broken, .finished:
      forgive()
      phase = installed == identity ? .installed : .new
    case .new, .preparing, .awaitingRestart, .installed, .recovering, .shuttingDown, .stopping, .uninstalling,
      .uninstalled:
      // On its way to a start, or leaving: there is nothing to restart.
      break
    }
  }

  mutating func forgive() {
    strikes = 0
    failedAt = nil
    failure = nil
  }
}
