import WherryJSON

/// A container as an OCI bundle describes it (runtime-spec, config.md and config-linux.md). What is not known there is
/// ignored, as the specification asks; what is known and cannot be done is refused when the program is built.
package struct Bundle: Hashable, Sendable {
  package var version: String
  package var root: Root?
  package var hostName: String?
  package var domainName: String?
  package var mounts: [Mount] = []
  package var process: BundleProcess?
  package var hooks = Hooks()
  package var annotations: [String: String] = [:]
  package var linux = Linux()

  package struct Root: Hashable, Sendable {
    package var path: String
    package var isReadOnly: Bool
  }

  package struct Mount: Hashable, Sendable {
    package var destination: String
    package var type: String?
    package var source: String?
    package var options: [String]
  }

  package struct Hook: Hashable, Sendable {
    package var path: String
    package var arguments: [String]
    package var environment: [String]
    package var timeoutSeconds: Int?
  }

  package struct Hooks: Hashable, Sendable {
    package var prestart: [Hook] = []
    package var createRuntime: [Hook] = []
    package var createContainer: [Hook] = []
    package var startContainer: [Hook] = []
    package var poststart: [Hook] = []
    package var poststop: [Hook] = []
  }

  package struct Linux: Hashable, Sendable {
    package var namespaces: [Namespace] = []
    package var userMappings: [IDMapping] = []
    package var groupMappings: [IDMapping] = []
    /// By clock: `monotonic`, `boottime`.
    package var timeOffsets: [String: TimeOffset] = [:]
    package var devices: [Device] = []
    package var cgroupsPath: String?
    package var resources: JSON?
    package var rootPropagation: String?
    package var seccomp: BundleSeccomp?
    package var sysctl: [String: String] = [:]
    package var maskedPaths: [String] = []
    package var readOnlyPaths: [String] = []
    package var mountLabel: String?
    package var personality: String?
  }

  package struct TimeOffset: Hashable, Sendable {
    package var seconds: Int64
    package var nanoseconds: Int64
  }

  package struct Namespace: Hashable, Sendable {
    package enum Kind: String, Hashable, Sendable, CaseIterable {
      case pid, network, mount, ipc, uts, user, cgroup, time
    }
    package var kind: Kind
    /// Of one that is there already.
    package var path: String?
  }

  package struct IDMapping: Hashable, Sendable {
    package var container: UInt32
    package var host: UInt32
    package var size: UInt32
  }

  package struct Device: Hashable, Sendable {
    package var path: String
    /// `c`, `u`, `b` or `p`.
    package var type: String
    package var major: Int64
    package var minor: Int64
    package var mode: Int64
    package var user: UInt32
    package var group: UInt32
  }
}

/// What is executed.
package struct BundleProcess: Hashable, Sendable {
  package var hasTerminal = false
  package var rows: Int64 = 0
  package var columns: Int64 = 0
  package var user: UInt32 = 0
  package var group: UInt32 = 0
  package var groups: [UInt32] = []
  package var umask: UInt32?
  package var arguments: [String] = []
  package var environment: [String] = []
  package var workingDirectory = "/"
  /// nil = nothing was said of them: it gets none.
  package var capabilities: [String: [String]]?
  package var limits: [Limit] = []
  package var appArmorProfile: String?
  package var selinuxLabel: String?
  package var forbidsNewPrivileges = false
  package var memoryKillerScore: Int64?
  package var scheduler: Scheduler?
  package var ioPriority: IOPriority?

  package struct Limit: Hashable, Sendable {
    package var type: String
    package var soft: UInt64
    package var hard: UInt64
  }
}

extension BundleProcess {
  /// sched(7), sched_setattr(2).
  package struct Scheduler: Hashable, Sendable {
    package var policy: String
    package var nice: Int32
    package var priority: UInt32
    package var flags: [String]
    /// Nanoseconds, as are the next two.
    package var runtime: UInt64
    package var deadline: UInt64
    package var period: UInt64
  }

  package struct IOPriority: Hashable, Sendable {
    package var kind: String
    package var priority: Int64
  }
}

package struct BundleSeccomp: Hashable, Sendable {
  package var defaultAction: String
  package var defaultErrno: UInt32?
  package var architectures: [String] = []
  package var flags: [String] = []
  package var calls: [Call] = []
  package var listenerPath: String?

  package struct Call: Hashable, Sendable {
    package var names: [String]
    package var action: String
    package var errno: UInt32?
    package var conditions: [Condition] = []
  }

  package struct Condition: Hashable, Sendable {
    package var index: UInt32
    package var value: UInt64
    package var second: UInt64
    package var comparison: String
  }
}
