import WherryModel

/// One lifecycle step of one component as something that runs: `com.example.web.run`. A component has at most one
/// workload per step, so the name needs no number and survives restarts of the agent.
package struct WorkloadID: Hashable, Sendable, Comparable, CustomStringConvertible {
  package let component: ComponentName
  package let step: LifecycleStep

  package init(_ component: ComponentName, _ step: LifecycleStep) {
    self.component = component
    self.step = step
  }

  /// Reads `<component>.<step>`; the step is what follows the last dot, since component names hold dots too.
  package init?(_ text: String) {
    guard let dot = text.lastIndex(of: "."),
      let step = LifecycleStep(rawValue: String(text[text.index(after: dot)...])),
      let component = try? ComponentName(validating: String(text[..<dot]))
    else { return nil }
    self.init(component, step)
  }

  package var description: String { "\(component).\(step.rawValue)" }
  package static func < (left: Self, right: Self) -> Bool {
    (left.component, left.step.rawValue) < (right.component, right.step.rawValue)
  }
}

/// How a workload ended. Neither code nor signal = it is gone and nobody knows how.
package struct ExitStatus: Hashable, Sendable, CustomStringConvertible {
  package var code: Int32?
  package var signal: Int32?
  package var outOfMemory: Bool

  package init(code: Int32? = nil, signal: Int32? = nil, outOfMemory: Bool = false) {
    self.code = code
    self.signal = signal
    self.outOfMemory = outOfMemory
  }

  package static let success = ExitStatus(code: 0)
  package static let unknown = ExitStatus()

  package var isSuccess: Bool { code == 0 && signal == nil && !outOfMemory }

  /// For sentences: "exited with code 3".
  package var description: String {
    if outOfMemory { return "was killed because it used more memory than its limit" }
    if let signal { return "was ended by signal \(signal)" }
    if let code { return "exited with code \(code)" }
    return "ended without leaving an exit status"
  }
}

/// A plan as one generation of a device's desired state.
package struct PlanReference: Hashable, Sendable {
  package var generation: Generation
  package var digest: Digest
  package init(generation: Generation, digest: Digest) {
    self.generation = generation
    self.digest = digest
  }
}
