/// Greengrass's component states. What each means and where it can go: Docs/concepts.md.
package enum ComponentState: String, Hashable, Sendable, CaseIterable {
  case new = "NEW"
  case installed = "INSTALLED"
  case starting = "STARTING"
  case running = "RUNNING"
  case stopping = "STOPPING"
  case errored = "ERRORED"
  case broken = "BROKEN"
  case finished = "FINISHED"
}

/// How far a device is with one generation of its desired state.
package enum DeploymentStatus: String, Hashable, Sendable, CaseIterable {
  case received, fetching, applying, settling
  case committed
  case rollingBack
  /// Failed; the previous state runs again.
  case rolledBack
  /// Failed; nothing had been changed, or policy forbade a rollback, or the rollback failed too.
  case failed
  /// Never begun: the envelope or plan was refused.
  case rejected
  /// A newer desired state came before it had ended.
  case superseded

  package var isTerminal: Bool {
    switch self {
    case .committed, .rolledBack, .failed, .rejected, .superseded: true
    case .received, .fetching, .applying, .settling, .rollingBack: false
    }
  }
}

package enum FailureClass: String, Hashable, Sendable, CaseIterable {
  case download, verify, space, install, start, health, timeout, rejected
  case internalError = "internal"
}

/// Why something did not work, the same in log, report, API, CLI and dashboard.
package struct Failure: Error, Hashable, Sendable, CustomStringConvertible {
  package var failureClass: FailureClass
  /// Stable, for programs: `component.exited`, `blob.digestMismatch` (Docs/errors.md).
  package var code: String
  /// One sentence: what and where.
  package var message: String
  /// One sentence: how to mend it.
  package var remedy: String
  package var component: ComponentName?
  /// The component's last log lines, oldest first; at most 20 of at most 400 bytes.
  package var log: [String]

  package init(
    _ failureClass: FailureClass, code: String, message: String, remedy: String = "", component: ComponentName? = nil,
    log: [String] = []
  ) {
    self.failureClass = failureClass
    self.code = code
    self.message = message
    self.remedy = remedy
    self.component = component
    self.log = log
  }

  /// Of a device that downloads at certain times only, and waits for them.
  package static let downloadWindowCode = "download.window"
  /// Of a device that changes at certain times only, and has everything that it needs for that.
  package static let applyWindowCode = "deployment.window"
  /// Of a device on which components hold their update off.
  package static let heldOffCode = "deployment.heldOff"

  /// Not an end: it says *not now*, and goes on by itself.
  package var isDeferral: Bool {
    [Self.downloadWindowCode, Self.applyWindowCode, Self.heldOffCode].contains(code)
  }

  package var description: String { remedy.isEmpty ? message : "\(message); \(remedy)" }
}

package struct ComponentReport: Hashable, Sendable {
  package var name: ComponentName
  package var version: Version
  package var state: ComponentState
  /// Restarts since it was installed.
  package var restarts: Int
  package var failure: Failure?
  /// A local deployment brought it; the service does not order it.
  package var isLocal = false
  package init(name: ComponentName, version: Version, state: ComponentState, restarts: Int = 0, failure: Failure? = nil)
  {
    self.name = name
    self.version = version
    self.state = state
    self.restarts = restarts
    self.failure = failure
  }
}

/// One blob on its way.
package struct Transfer: Hashable, Sendable {
  /// What it is, for people: `com.example.web layer 2/3`.
  package var label: String
  package var bytesDone: Int64
  package var bytesTotal: Int64
  package init(label: String, bytesDone: Int64, bytesTotal: Int64) {
    self.label = label
    self.bytesDone = bytesDone
    self.bytesTotal = bytesTotal
  }

  /// Those that come first in the alphabet are told of; a device has three at a time unless somebody made it otherwise.
  package static let countMaximum = 8
}

/// How far a device is with its newest local deployment, or how that ended.
package struct LocalReport: Hashable, Sendable {
  /// Its number on the device: `7.2`.
  package var id: String
  package var status: DeploymentStatus
  package var failure: Failure?
  package init(id: String, status: DeploymentStatus, failure: Failure? = nil) {
    self.id = id
    self.status = status
    self.failure = failure
  }
}

/// What a device says of itself. `sequence` grows by one per report and never repeats, over restarts too.
package struct DeviceReport: Hashable, Sendable {
  package var sequence: Int64
  /// The generation that `status` speaks of; 0 before the first.
  package var generation: Generation
  package var status: DeploymentStatus?
  /// Digest of the plan of `generation`.
  package var plan: Digest?
  /// Digest of the plan that runs now (the committed one).
  package var running: Digest?
  package var failure: Failure?
  /// Of one that says *not now*: when it goes on, at the latest, by its own clock; since 1970.
  package var resumesAt: Instant?
  /// While fetching.
  package var bytesDone: Int64
  package var bytesTotal: Int64
  /// What is on its way at the moment.
  package var transfers: [Transfer] = []
  /// nil = nothing was ever deployed on the device itself.
  package var local: LocalReport?
  package var components: [ComponentReport]
  package init(sequence: Int64, generation: Generation, status: DeploymentStatus?, components: [ComponentReport]) {
    self.sequence = sequence
    self.generation = generation
    self.status = status
    self.components = components
    self.bytesDone = 0
    self.bytesTotal = 0
  }
}

/// `devices/{device}/presence`, retained; the broker publishes `isOnline: false` as the last will.
package struct Presence: Hashable, Sendable {
  package var isOnline: Bool
  package var agentVersion: String
  package var bootID: String
  package init(isOnline: Bool, agentVersion: String = "", bootID: String = "") {
    self.isOnline = isOnline
    self.agentVersion = agentVersion
    self.bootID = bootID
  }
}

/// What a device is, for manifest selection and people: `os`, `architecture`, `architecture.detail`, `runtime`, ….
package struct Platform: Hashable, Sendable {
  package var attributes: [String: String]
  package init(_ attributes: [String: String]) { self.attributes = attributes }
}
