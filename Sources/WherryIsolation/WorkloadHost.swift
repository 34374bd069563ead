import WherryModel

/// Starts, adopts and removes workloads: everything of one agent in the kernel.
package final class WorkloadHost {
  package let configuration: HostConfiguration

  package init(_ configuration: HostConfiguration) throws(Failure) { self.configuration = configuration }

  /// Returns as soon as the shim is spawned: `.started` or `.failedToStart` comes over the link.
  /// `identity` is stored beside the workload for `adopt()`. Release a workload before starting the same id again.
  package func start(_ spec: WorkloadSpec, identity: String) throws(Failure) -> WorkloadLink {
    throw Failure(.internalError, code: "workload.start", message: "not there yet")
  }
  /// After an agent restart: everything that this agent ID has started and not released.
  package func adopt() -> [AdoptedWorkload] { [] }
  /// Removes state directory, cgroup and network of a workload (kills it if it is still alive).
  package func release(_ id: String) {}
  /// Everything of this agent: kill, unmount, remove cgroups, veths, bridge, nft table.
  package func tearDown() {}
  /// One more process inside a running workload, under the same limits: health checks. Its output is dropped.
  package func execute(in id: String, arguments: [String], environment: [String] = []) throws(Failure) -> WorkloadLink {
    throw Failure(.internalError, code: "workload.execute", message: "not there yet")
  }
  package func statistics(_ id: String) -> WorkloadStatistics? { nil }
  /// The bridge address of a running workload; "127.0.0.1" on the host's network; nil without one.
  package func address(of id: String) -> String? { nil }
}
