import WherryModel

/// All that the isolation engine needs to know to start one workload. Made by the agent; nothing in it is defaulted
/// from the machine, so the same value starts the same workload again.
package struct WorkloadSpec: Hashable, Sendable {
  /// `com.example.web.run`: names the state directory, the cgroup and the network lease.
  package var id: String
  package var root: WorkloadRoot
  /// The first is looked up in the PATH of `environment` inside the root unless it has a slash.
  package var arguments: [String]
  /// `NAME=value`
  package var environment: [String] = []
  package var workingDirectory: String = "/"
  package var user: WorkloadUser
  /// Empty = the host's.
  package var hostName: String = ""
  package var mounts: [WorkloadMount] = []
  /// `/dev/video0` or `/dev/video0:/dev/camera`; containers only (a process component sees the host's /dev).
  package var devices: [String] = []
  /// Without `CAP_`: `NET_BIND_SERVICE`.
  package var capabilities: Set<String> = []
  /// A limit that the host cannot keep is a reason not to start.
  package var resources: Resources = Resources()
  /// Processes and threads at most, where `resources` does not say. Nobody asked for it, so a host without the means
  /// starts the workload all the same. Nil = no limit.
  package var pidsWanted: Int?
  /// By the names of `ProcessLimit.numbers`; what this host cannot keep is a reason not to start.
  package var limits: [String: ProcessLimit] = [:]
  /// Of its own namespaces.
  package var sysctls: [String: String] = [:]
  package var seccomp: SeccompChoice?
  /// Nil = the agent's own, where it is loaded.
  package var appArmorProfile: String?
  package var clocks: ClockOffsets?
  /// What is written to `wherry-agent attach` is its input; otherwise it has none.
  package var hasInput: Bool = false
  package var network: WorkloadNetwork = .none
  /// Containers only. Where the host cannot give it users of its own, `HostConfiguration.userNamespaces` decides.
  package var users: UserNamespaceMode = .host
  package var logPath: String
  /// Of the current log file and its predecessors together.
  package var logBytesMaximum: Int = 4 << 20
  /// `RequiresPrivilege`: root with every capability, no seccomp filter, the host's file system writable.
  package var isPrivileged: Bool = false

  package init(id: String, root: WorkloadRoot, arguments: [String], user: WorkloadUser, logPath: String) {
    self.id = id
    self.root = root
    self.arguments = arguments
    self.user = user
    self.logPath = logPath
  }
}

package enum WorkloadRoot: Hashable, Sendable {
  /// A process component: the host's root, read-only all the way down; `writable` paths stay writable, `hidden` ones
  /// are masked but for what `writable` and the spec's mounts give below them, /tmp, /var/tmp and /dev/shm are its own.
  /// What lies under the host's /tmp is only seen when it is in `writable` or in the spec's mounts. What the host
  /// mounts after the start is not seen, unless the component is privileged.
  case host(writable: [String], hidden: [String])
  /// A container: verified layers (topmost first) under a writable upper directory. `upper` and `work` are made when
  /// missing and must lie on one file system. A read-only root uses neither, and gets a tmpfs on /tmp, /run and
  /// /var/tmp where they are.
  case overlay(lower: [String], upper: String, work: String, readOnly: Bool)
}

package enum WorkloadUser: Hashable, Sendable {
  case ids(user: UInt32, group: UInt32, groups: [UInt32])
  /// `uid[:gid]` or `name[:group]`, looked up in the root's own /etc/passwd and /etc/group.
  case named(String)
  package static let root = WorkloadUser.ids(user: 0, group: 0, groups: [])
}

package struct WorkloadMount: Hashable, Sendable {
  package var source: String
  package var target: String
  package var readOnly: Bool
  /// Containers only: no link on the way to the source is followed, as where others may lay one.
  package var isExact = false
  package init(source: String, target: String, readOnly: Bool = false) {
    self.source = source
    self.target = target
    self.readOnly = readOnly
  }
}

package enum WorkloadNetwork: Hashable, Sendable {
  /// A network namespace with nothing but its own loopback.
  case none
  case host
  case bridge(NetworkAttachment)
}

package struct NetworkAttachment: Hashable, Sendable {
  package var ports: [PublishedPort]
  /// By which its neighbours find it.
  package var names: [String]
  /// Nil = everything; else this and, where it is not empty, the host's name servers.
  package var egress: [EgressRule]?
  package init(ports: [PublishedPort] = [], names: [String] = [], egress: [EgressRule]? = nil) {
    self.ports = ports
    self.names = names
    self.egress = egress
  }
}
