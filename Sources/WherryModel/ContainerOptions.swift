/// A limit of getrlimit(2); nil = none.
package struct ProcessLimit: Hashable, Sendable {
  package var soft: UInt64?
  package var hard: UInt64?

  package init(soft: UInt64?, hard: UInt64?) {
    self.soft = soft
    self.hard = hard
  }

  /// `1024`, `1024:4096`, `unlimited`. Nil when it is not spelt like that, or the first is above the second.
  package init?(_ text: String) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard (1...2).contains(parts.count), let first = Self.number(parts[0]),
      let last = Self.number(parts[parts.count - 1])
    else { return nil }
    guard (first ?? .max) <= (last ?? .max) else { return nil }
    (soft, hard) = (first, last)
  }

  private static func number(_ text: Substring) -> UInt64?? {
    if text.lowercased() == "unlimited" { return .some(nil) }
    guard let number = UInt64(text), "\(number)" == text, number < .max else { return nil }
    return .some(number)
  }

  package var description: String {
    func text(_ number: UInt64?) -> String { number.map { "\($0)" } ?? "unlimited" }
    return soft == hard ? text(soft) : "\(text(soft)):\(text(hard))"
  }

  /// As `ulimit` and Docker spell them, with the kernel's numbers (asm-generic/resource.h).
  package static let numbers: [String: Int64] = [
    "cpu": 0, "fsize": 1, "data": 2, "stack": 3, "core": 4, "rss": 5, "nproc": 6, "nofile": 7, "memlock": 8, "as": 9,
    "locks": 10, "sigpending": 11, "msgqueue": 12, "nice": 13, "rtprio": 14, "rttime": 15,
  ]
}

/// How a container's system calls differ from the default profile.
package struct SeccompChoice: Hashable, Sendable {
  /// No filter at all.
  package var isUnconfined: Bool
  package var allowed: [String]
  package var denied: [String]

  package init(isUnconfined: Bool = false, allowed: [String] = [], denied: [String] = []) {
    self.isUnconfined = isUnconfined
    self.allowed = allowed
    self.denied = denied
  }

  /// Whether it could name a system call.
  package static func isName(_ text: String) -> Bool {
    (1...64).contains(text.utf8.count)
      && text.utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == UInt8(ascii: "_") }
  }
}

/// Settings of the kernel that a container may have for itself.
package enum KernelSetting {
  /// Of the IPC namespace (sysctl, kernel/ipc).
  private static let ipc: Set<String> = [
    "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni",
    "kernel.shm_rmid_forced",
  ]

  package enum Kind { case network, ipc }

  /// Nil = it is the whole machine's, or no name at all. A link's name in it may have any letters.
  package static func owner(_ name: String) -> Kind? {
    guard !name.split(separator: ".", omittingEmptySubsequences: false).contains("") else { return nil }
    if name.hasPrefix("net.") { return .network }
    return ipc.contains(name) || name.hasPrefix("fs.mqueue.") ? .ipc : nil
  }

  /// As `owner`, for names that become a path as they are.
  package static func kind(_ name: String) -> Kind? {
    let isPlain = name.utf8.allSatisfy {
      (97...122).contains($0) || (48...57).contains($0) || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "-")
        || $0 == 46
    }
    return isPlain && name.utf8.count <= 200 ? owner(name) : nil
  }

  package static func path(_ name: String) -> String {
    "/proc/sys/" + String(name.map { $0 == "." ? "/" : $0 })
  }
}

/// At most so much of a disk in each second; nil = no limit.
package struct DiskLimit: Hashable, Sendable {
  /// Nil = the disk that the component's own files are on. In a workload's cgroup: `8:0`.
  package var device: String?
  package var readBytes: Int64?
  package var writeBytes: Int64?
  package var readOperations: Int64?
  package var writeOperations: Int64?
  package init(device: String? = nil) { self.device = device }
}

/// What a container's clocks show beside the host's (time_namespaces(7)), in milliseconds.
package struct ClockOffsets: Hashable, Sendable {
  package static let millisecondsMaximum: Int64 = 10 * 365 * 86_400_000
  package var monotonic: Int64
  package var boot: Int64
  package init(monotonic: Int64 = 0, boot: Int64 = 0) {
    self.monotonic = monotonic
    self.boot = boot
  }
}

/// Sizes of huge pages as the kernel names its files: `2MB`, `1GB`.
package enum HugePageSize {
  package static func name(_ bytes: Int64) -> String {
    if bytes >= 1 << 30 { return "\(bytes >> 30)GB" }
    if bytes >= 1 << 20 { return "\(bytes >> 20)MB" }
    return "\(bytes >> 10)KB"
  }

  /// Nil when no machine could have pages of that size.
  package static func bytes(_ name: String) -> Int64? {
    for (unit, size) in [("GB", Int64(1) << 30), ("MB", 1 << 20), ("KB", 1 << 10)] where name.hasSuffix(unit) {
      guard let number = Int64(name.dropLast(2)), (1...1024).contains(number), number & (number - 1) == 0 else {
        return nil
      }
      return number * size
    }
    return nil
  }
}
