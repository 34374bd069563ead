import WherryJSON
import WherryModel
import WherryPlanning

/// What a component machine is told with each event: its definition and the circumstances.
struct ComponentContext {
  var planned: PlannedComponent
  var configuration: JSON
  var now: Instant
  /// A deployment is changing the device or settling: failures are decided quickly.
  var isDeploying: Bool
  /// A deployment is being taken back.
  var isRollingBack = false
  /// Spreads what many devices would do in the same moment; nil = exact delays.
  var jitterSeed: UInt64?

  /// How long the shell may take to execute a program before the start counts as failed.
  static let launchTimeoutSeconds = 60
  static let processStopTimeoutSeconds = 10

  /// The step whose workload is the component itself; nil = there is nothing to run.
  var mainStep: LifecycleStep? {
    if planned.container != nil { return .run }
    if has(.startup) { return .startup }
    return has(.run) ? .run : nil
  }

  /// Steps that come once before the first start, in order. What is taken back is bootstrapped again only where its
  /// recipe says so.
  var preparation: [LifecycleStep] {
    [.bootstrap, .install].filter { step in
      guard has(step) else { return false }
      return step != .bootstrap || !isRollingBack || planned.lifecycle.steps[step]?.bootstrapOnRollback == true
    }
  }

  /// Scripts belong to process components only.
  func has(_ step: LifecycleStep) -> Bool {
    planned.container == nil && planned.lifecycle.steps[step] != nil
  }

  /// When a step that begins now has to be done; nil = it may take for ever.
  func deadline(of step: LifecycleStep) -> Instant? {
    let seconds = written(step) ?? step.defaultTimeoutSeconds
    return seconds.map { now.advanced(bySeconds: $0) }
  }

  /// The step's own timeout, which the recipe may leave to the configuration.
  private func written(_ step: LifecycleStep) -> Int? {
    guard let step = planned.lifecycle.steps[step] else { return nil }
    guard step.timeoutVariable != nil else { return step.timeoutSeconds }
    let scope = InterpolationContext.Scope(
      artifactsPath: "", decompressedPath: "", workPath: "", configuration: configuration)
    let context = InterpolationContext(
      thingName: "", rootPath: "", components: [planned.name: scope], own: planned.name)
    return Interpolation.resolve(step, in: context).step.timeoutSeconds
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
