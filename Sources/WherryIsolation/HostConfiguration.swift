/// Whether containers get users of their own.
package enum UserNamespacePolicy: String, Hashable, Sendable, CaseIterable {
  /// Where the kernel and the file system allow it.
  case auto
  /// A container that cannot have them does not start.
  case require
  case off
}

/// Where one agent keeps what it has in the kernel and under /run. Two agents on one machine share none of it.
package struct HostConfiguration: Hashable, Sendable {
  /// Short and unique per agent: cgroup `wherry/<agentID>/<workload>`, bridge `wh-<agentID>`.
  package var agentID: String
  /// On a tmpfs: `/run/wherry/<agentID>`.
  package var stateDirectory: String
  package var shimPath: String
  /// Nil = workloads with a bridge are refused.
  package var network: NetworkSettings?
  package var userNamespaces: UserNamespacePolicy = .auto
  /// Tests point it at a tree of their own.
  package var cgroupRoot: String = "/sys/fs/cgroup"

  package init(
    agentID: String, stateDirectory: String, shimPath: String, subnet: String? = nil, publishAddress: String? = nil
  ) {
    self.agentID = agentID
    self.stateDirectory = stateDirectory
    self.shimPath = shimPath
    network = subnet.map { NetworkSettings(subnet: $0, publishAddress: publishAddress) }
  }
}
