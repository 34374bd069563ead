import WherryJSON
import WherryModel

/// Everything a device must remember, small enough to be written after each event: plans are named by digest.
package struct DeviceState: Hashable, Sendable {
  /// The highest generation that was accepted; lower ones are ignored for ever.
  package internal(set) var generation = Generation(0)
  /// Of the next report.
  package internal(set) var nextSequence: Int64 = 1
  package internal(set) var bootID = ""
  /// When the state last changed, by the boot clock of `bootID`.
  package internal(set) var clock = Instant.zero

  /// The committed plan, and the one before it.
  package internal(set) var current: PlanReference?
  package internal(set) var previous: PlanReference?
  /// What the components are driven to; nil = to nothing. Differs from `current` while a deployment changes the device,
  /// and after one failed that was not to be rolled back.
  package internal(set) var aim: PlanReference?
  package internal(set) var deployment: DeploymentProgress?
  /// Of the service's newest order.
  package internal(set) var conclusion: DeploymentConclusion?
  /// Of local deployments, the newest last.
  package internal(set) var localConclusions: [DeploymentConclusion] = []
  static let localConclusionsMaximum = 16

  /// Effective configurations, for the committed plan, the aim, and whatever a component machine still refers to.
  package internal(set) var snapshots: [Generation: Snapshot] = [:]
  package internal(set) var components: [ComponentName: ComponentMachine] = [:]

  /// Alive workloads that belong to nothing; they are killed (again at the instant given), and their component does not
  /// start before they ended.
  var orphans: [WorkloadID: Instant] = [:]
  /// Components that left since the last conclusion.
  var leaving: Set<ComponentName> = []
  /// Components that the shell was told to forget at the last conclusion; told again at each start.
  var forgotten: Set<ComponentName> = []

  package struct Snapshot: Hashable, Sendable {
    package internal(set) var digest: Digest
    package internal(set) var configurations: [ComponentName: JSON]
  }

  /// A device that has never seen a desired state.
  package init() {}

  /// The plans that the shell has to keep, with their blobs, and hand to `DeviceMachine.init`.
  package var planDigests: [Digest] {
    var digests = Set(snapshots.values.map(\.digest))
    for reference in [current, previous, aim, deployment?.reference] {
      if let reference { digests.insert(reference.digest) }
    }
    return digests.sorted()
  }
}
