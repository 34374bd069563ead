/// The `Container:` part of a manifest (Docs/recipes.md): what to run and within which bounds.
package struct ContainerSpec: Hashable, Sendable {
  /// As written, `registry.example.com/team/web:1.4`; pinned to a digest when deployed.
  package var image: String
  /// Replaces the image's entrypoint and command when not nil.
  package var command: [String]?
  package var environment: [String: String] = [:]
  /// `uid[:gid]` or `name[:group]`; nil = the image's.
  package var user: String?
  package var workingDirectory: String?
  package var ports: [PublishedPort] = []
  package var volumes: [Volume] = []
  package var devices: [String] = []
  package var network: NetworkMode = .bridge
  /// Nil = everything beyond the bridge can be reached.
  package var egress: [EgressRule]?
  /// Nil = not said: `usersInEffect`.
  package var userNamespace: UserNamespaceMode?
  package var resources: Resources = Resources()
  package var readOnlyRoot: Bool = true
  package var capabilitiesAdded: [String] = []
  package var capabilitiesDropped: [String] = []
  /// By the names of `ProcessLimit.numbers`.
  package var limits: [String: ProcessLimit] = [:]
  /// Of its own namespaces.
  package var sysctls: [String: String] = [:]
  /// Nil = the default profile.
  package var seccomp: SeccompChoice?
  /// One that the host has loaded.
  package var appArmorProfile: String?
  /// Nil = the host's clocks.
  package var clocks: ClockOffsets?
  /// Its input is open, for `wherry-agent attach`; otherwise there is none.
  package var hasInput: Bool = false
  package var health: HealthCheck?
  package var stopSignal: String?
  package var stopTimeoutSeconds: Int = 10
  package var restart: RestartPolicy = RestartPolicy()
  package init(image: String) { self.image = image }

  /// A container has users of its own unless it asks for something that they would take from it: the host's network,
  /// where ports below 1024 are the host's root's, or a capability over what the host's root owns.
  package var usersInEffect: UserNamespaceMode {
    if let userNamespace { return userNamespace }
    let added = capabilitiesAdded.map { name in
      let upper = name.uppercased()
      return upper.hasPrefix("CAP_") ? String(upper.dropFirst(4)) : upper
    }
    return network != .host && Self.capabilitiesOverOwnUsers.isSuperset(of: added) ? .own : .host
  }

  /// Those that mean as much in a user namespace that owns no other namespace (capabilities(7)). In a network of its
  /// own a container's low ports are open to all its users.
  package static let capabilitiesOverOwnUsers: Set<String> = [
    "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID",
    "SYS_CHROOT", "SYS_PTRACE",
  ]
}

package enum NetworkMode: String, Hashable, Sendable { case none, host, bridge }

package enum UserNamespaceMode: String, Hashable, Sendable {
  /// Root inside is nobody outside.
  case own
  case host
}

package struct PublishedPort: Hashable, Sendable {
  package enum Transport: String, Hashable, Sendable { case tcp, udp }
  package var host: UInt16
  package var container: UInt16
  package var transport: Transport
  package init(host: UInt16, container: UInt16, transport: Transport = .tcp) {
    self.host = host
    self.container = container
    self.transport = transport
  }
}

package struct Volume: Hashable, Sendable {
  package enum Source: Hashable, Sendable {
    /// A directory under the component's data directory, kept over versions.
    case named(String)
    case hostPath(String)
  }
  package var source: Source
  package var path: String
  package var readOnly: Bool
  package init(source: Source, path: String, readOnly: Bool = false) {
    self.source = source
    self.path = path
    self.readOnly = readOnly
  }
}

package struct Resources: Hashable, Sendable {
  /// Thousandths of a CPU: 500 = half a core. nil = no limit.
  package var cpuMillis: Int?
  package var memoryBytes: Int64?
  package var pids: Int?
  /// Which processors: `0-2,4`.
  package var processors: String?
  /// Beside the memory; without it a limited workload has no swap.
  package var swapBytes: Int64?
  /// 1 to 10000, against others that want the disk; 100 is everybody's.
  package var diskWeight: Int?
  package var diskLimits: [DiskLimit] = []
  /// Bytes at most of pages of that size in bytes.
  package var hugePages: [Int64: Int64] = [:]
  package init(cpuMillis: Int? = nil, memoryBytes: Int64? = nil, pids: Int? = nil) {
    self.cpuMillis = cpuMillis
    self.memoryBytes = memoryBytes
    self.pids = pids
  }
}

package struct HealthCheck: Hashable, Sendable {
  package enum Probe: Hashable, Sendable {
    case http(port: UInt16, path: String)
    case tcp(port: UInt16)
    case exec([String])
  }
  package var probe: Probe
  package var intervalMilliseconds: Int64 = 10_000
  package var timeoutMilliseconds: Int64 = 2_000
  package var retries: Int = 3
  package var startPeriodMilliseconds: Int64 = 5_000
  package init(probe: Probe) { self.probe = probe }
}

package struct RestartPolicy: Hashable, Sendable {
  package enum Mode: String, Hashable, Sendable {
    case always
    case onFailure = "on-failure"
    case never
  }
  package var mode: Mode
  package var backoffMaximumMilliseconds: Int64
  package init(mode: Mode = .always, backoffMaximumMilliseconds: Int64 = 300_000) {
    self.mode = mode
    self.backoffMaximumMilliseconds = backoffMaximumMilliseconds
  }
}
