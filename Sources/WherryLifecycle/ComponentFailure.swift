import WherryModel

/// How a workload came to have nothing alive.
package enum WorkloadEnd: Hashable, Sendable {
  case failedToStart(Failure)
  case exited(ExitStatus, log: [String])

  func isSuccess(of step: LifecycleStep) -> Bool {
    switch self {
    case .failedToStart: false
    case .exited(let status, _): status.isSuccess || restartWish(of: step) != nil
    }
  }

  /// What a `bootstrap` that succeeded asks for by its exit code, as in Greengrass: 100 or 101.
  func restartWish(of step: LifecycleStep) -> RestartKind? {
    guard step == .bootstrap, case .exited(let status, _) = self, status.signal == nil, !status.outOfMemory else {
      return nil
    }
    switch status.code {
    case 100: return .agent
    case 101: return .machine
    default: return nil
    }
  }

  func failure(of step: LifecycleStep, _ name: ComponentName) -> Failure {
    switch self {
    case .failedToStart(let failure): failure
    case .exited(let status, let log): ComponentFailure.exited(name, step, status, log)
    }
  }
}

/// The sentences for what can go wrong with a component.
enum ComponentFailure {
  static let logLinesMaximum = 20
  static let logLineBytesMaximum = 400

  static func exited(_ name: ComponentName, _ step: LifecycleStep, _ status: ExitStatus, _ log: [String]) -> Failure {
    let isPreparation = step == .install || step == .bootstrap
    let failureClass: FailureClass = isPreparation ? .install : .start
    if status.outOfMemory {
      return Failure(
        failureClass, code: "component.outOfMemory", message: "\(name): step \(step.rawValue) \(status)",
        remedy: "raise Resources.Memory in its recipe or make it use less", component: name, log: clipped(log))
    }
    return Failure(
      failureClass, code: isPreparation ? "component.installFailed" : "component.exited",
      message: "\(name): step \(step.rawValue) \(status)",
      remedy: "read its last log lines and correct that version", component: name, log: clipped(log))
  }

  static func endedThoughAlways(_ name: ComponentName, _ log: [String]) -> Failure {
    Failure(
      .start, code: "component.exited", message: "\(name): its container ended although its restart policy is always",
      remedy: "make its program stay in the foreground, or set Restart.Policy to on-failure", component: name,
      log: clipped(log))
  }

  static func unhealthy(_ name: ComponentName, failures: Int, detail: String) -> Failure {
    Failure(
      .health, code: "component.unhealthy",
      message: "\(name): its health check failed \(failures) times in a row\(detail.isEmpty ? "" : ": \(detail)")",
      remedy: "read its last log lines, or give its Health check more time", component: name)
  }

  static func timedOut(_ name: ComponentName, _ step: LifecycleStep, isLaunch: Bool) -> Failure {
    let isPreparation = step == .install || step == .bootstrap
    let what = isLaunch ? "could not be launched in time" : "did not end within its timeout"
    return Failure(
      isPreparation ? .install : .start, code: "component.stepTimeout",
      message: "\(name): step \(step.rawValue) \(what)",
      remedy: isLaunch ? "see the agent's log" : "raise the step's Timeout in its recipe or make it faster",
      component: name)
  }

  static func notRestarted(_ name: ComponentName, _ kind: RestartKind) -> Failure {
    Failure(
      .install, code: "component.restartFailed",
      message: "\(name): its bootstrap asked for a restart of the \(kind.rawValue), which did not come",
      remedy: kind == .machine
        ? "see the agent's log and `reboot_program` in agent.conf" : "see the agent's log", component: name)
  }

  /// The last lines, each cut at a character's end, so that a failure fits into one message.
  static func clipped(_ log: [String]) -> [String] {
    log.suffix(logLinesMaximum).map { line in
      guard line.utf8.count > logLineBytesMaximum else { return line }
      var bytes = 0
      let kept = line.prefix { character in
        bytes += character.utf8.count
        return bytes <= logLineBytesMaximum
      }
      return String(kept)
    }
  }
}
