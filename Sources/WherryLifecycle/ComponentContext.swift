import WherryJSON
import WherryModel

/// What a component machine is told with each event: its definition and the circumstances.
struct ComponentContext {
  var planned: PlannedComponent
  var configuration: JSON
  var now: Instant
  /// A deployment is changing the device or settling: failures are decided quickly.
  var isDeploying: Bool

  /// How long the shell may take to execute a program before the start counts as failed.
  static let launchTimeoutSeconds = 60
  static let processStopTimeoutSeconds = 10

  /// The step whose workload is the component itself; nil = there is nothing to run.
  var mainStep: LifecycleStep? {
    if planned.container != nil { return .run }
    if has(.startup) { return .startup }
    return has(.run) ? .run : nil
  }

  /// Steps that come once before the first start, in order.
  var preparation: [LifecycleStep] {
    [.bootstrap, .install].filter(has)
  }

  /// Scripts belong to process components only.
  func has(_ step: LifecycleStep) -> Bool {
    planned.container == nil && planned.lifecycle.steps[step] != nil
  }

  /// When a step that begins now has to be done; nil = it may take for ever.
  func deadline(of step: LifecycleStep) -> Instant? {
    let seconds = planned.lifecycle.steps[step]?.timeoutSeconds ?? step.defaultTimeoutSeconds
    return seconds.map { now.advanced(bySeconds: $0) }
  }

  var launchDeadline: Instant { now.advanced(bySeconds: Self.launchTimeoutSeconds) }

  var stopDeadline: Instant {
    now.advanced(bySeconds: planned.container?.stopTimeoutSeconds ?? Self.processStopTimeoutSeconds)
  }

  var stopSignal: String? {
    if let signal = planned.container?.stopSignal { return signal }
    guard let signal = planned.image?.stopSignal, !signal.isEmpty else { return nil }
    return signal
  }

  var backoffMaximumMilliseconds: Int64 {
    planned.container?.restart.backoffMaximumMilliseconds ?? RestartBackoff.processMaximumMilliseconds
  }
}
