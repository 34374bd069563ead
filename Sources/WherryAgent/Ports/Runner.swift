import WherryIsolation
import WherryModel

/// Runs workloads that outlive the agent. `RunnerContract` in the tests is its definition; `WorkloadHost` is the real
/// one.
package protocol Runner: LeftoverKeeper {
  /// Returns at once: `.started` or `.failedToStart` comes over the link.
  /// `streams`: input, output and errors, -1 = none, in place of a log.
  func launch(
    _ spec: WorkloadSpec, identity: String, streams: [Int32]?
  ) throws(Failure) -> any RunningWorkload
  /// Everything that was launched and not let go of, after a restart of the agent. What an agent died over before
  /// there was anything to run is not among it.
  func adoptAll() -> [AdoptedRun]
  /// Forgets a workload, and ends what there is of it in the kernel; what does not go at once goes by and by.
  func letGo(_ id: String)
  /// Whether something of it is still going. Until then it cannot be launched again.
  func isLeaving(_ id: String) -> Bool
  /// What workloads do not have of this host although they should, and why, a sentence each.
  var concessions: [String] { get }
  /// One more process inside a running workload.
  func run(_ arguments: [String], inside id: String) throws(Failure) -> any RunningWorkload
  func statistics(_ id: String) -> WorkloadStatistics?
  /// What the kernel says of workloads by itself.
  var pressure: PressureWatch { get }
  func setPaused(_ id: String, _ isPaused: Bool) throws(Failure)
  func isPaused(_ id: String) -> Bool
  /// Where a running workload answers on the bridge; nil = it is not on it.
  func address(of id: String) -> String?
  func tearDown()
}

package protocol RunningWorkload: AnyObject {
  /// -1 = nothing to poll: ask each time.
  var descriptor: Int32 { get }
  func readEvents() -> [WorkloadEvent]
  func signal(_ number: Int32)
  func kill()
  /// Leaves the workload alone.
  func close()
}

package struct AdoptedRun {
  package var id: String
  package var identity: String
  /// By the machine's clock, not after its first log line; nil = not known.
  package var startedAt: Instant?
  /// nil = it has ended.
  package var link: (any RunningWorkload)?
  package var exit: WorkloadExit?
  /// Set when it never started: `.failedToStart`.
  package var failure: WorkloadEvent?
  package init(
    id: String, identity: String, startedAt: Instant?, link: (any RunningWorkload)?, exit: WorkloadExit?,
    failure: WorkloadEvent?
  ) {
    self.id = id
    self.identity = identity
    self.startedAt = startedAt
    self.link = link
    self.exit = exit
    self.failure = failure
  }
}

extension Runner {
  package func launch(_ spec: WorkloadSpec, identity: String) throws(Failure) -> any RunningWorkload {
    try launch(spec, identity: identity, streams: nil)
  }
}

extension WorkloadLink: RunningWorkload {}

extension WorkloadHost: Runner {
  package func launch(
    _ spec: WorkloadSpec, identity: String, streams: [Int32]?
  ) throws(Failure) -> any RunningWorkload {
    try start(spec, identity: identity, streams: streams)
  }

  package func adoptAll() -> [AdoptedRun] {
    adopt().map {
      AdoptedRun(
        id: $0.id, identity: $0.identity, startedAt: $0.startedAt, link: $0.link, exit: $0.exit, failure: $0.failure)
    }
  }

  package func run(_ arguments: [String], inside id: String) throws(Failure) -> any RunningWorkload {
    try execute(in: id, arguments: arguments)
  }
}
