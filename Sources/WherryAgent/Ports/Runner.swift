import WherryIsolation
import WherryModel

/// Runs workloads that outlive the agent. `RunnerContract` in the tests is its definition; `WorkloadHost` is the real one.
package protocol Runner: AnyObject {
  /// Returns at once: `.started` or `.failedToStart` comes over the link.
  func launch(_ spec: WorkloadSpec, identity: String) throws(Failure) -> any RunningWorkload
  /// Everything that was started and not released, after a restart of the agent.
  func adoptAll() -> [AdoptedRun]
  /// Forgets an ended workload, with all that it had in the kernel.
  func release(_ id: String)
  /// One more process inside a running workload.
  func run(_ arguments: [String], inside id: String) throws(Failure) -> any RunningWorkload
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
  /// nil = it has ended.
  package var link: (any RunningWorkload)?
  package var exit: WorkloadExit?
  package init(id: String, identity: String, link: (any RunningWorkload)?, exit: WorkloadExit?) {
    self.id = id
    self.identity = identity
    self.link = link
    self.exit = exit
  }
}

extension WorkloadLink: RunningWorkload {}

extension WorkloadHost: Runner {
  package func launch(_ spec: WorkloadSpec, identity: String) throws(Failure) -> any RunningWorkload {
    try start(spec, identity: identity)
  }

  package func adoptAll() -> [AdoptedRun] {
    adopt().map { AdoptedRun(id: $0.id, identity: $0.identity, link: $0.link, exit: $0.exit) }
  }

  package func run(_ arguments: [String], inside id: String) throws(Failure) -> any RunningWorkload {
    try execute(in: id, arguments: arguments)
  }
}
