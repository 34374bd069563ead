import WherryJSON
import WherryModel
import WherryPlanning
import WherryWire

/// The device's one outer machine. The shell's loop is `handle` → journal `state` and the reports → perform the
/// actions; crash-only: whatever point it is killed at, `.started` resumes from the last journalled state.
///
/// It drives every component to `state.aim`, goal by goal (`+Reconcile`), while the deployment (`+Deployment`) says
/// which plan the aim is. Nothing here depends on the order of dictionaries.
package struct DeviceMachine: Sendable {
  package internal(set) var state: DeviceState
  /// The plans that `state` refers to.
  var plans: [Digest: Plan]

  // Not journalled: what a new start finds out or does again.
  /// Identity of each component of a snapshot, made when first asked for.
  var identities: [Generation: [ComponentName: String]] = [:]
  var probes: [ComponentName: Instant] = [:]
  var fetchProgress: FetchProgress?
  /// The last report's content, sequence left out.
  var reported: DeviceReport?
  var reportedAt = Instant.zero

  struct FetchProgress: Hashable, Sendable {
    var done: Int64
    var total: Int64
  }

  /// `plans` holds at least the plans that `state.planDigests` names, `previous` excepted.
  package init(state: DeviceState, plans: [Digest: Plan]) {
    self.state = state
    self.plans = plans
  }

  package mutating func handle(_ event: DeviceEvent, at now: Instant) -> [DeviceAction] { [] }
  package var nextDeadline: Instant? { nil }
}
