/// Linux capabilities by name (capabilities(7)); the numbers are the kernel's and equal on all architectures.
package enum Capability {
  package static let numbers: [String: Int] = [
    "CHOWN": 0, "DAC_OVERRIDE": 1, "DAC_READ_SEARCH": 2, "FOWNER": 3, "FSETID": 4, "KILL": 5, "SETGID": 6, "SETUID": 7,
    "SETPCAP": 8, "LINUX_IMMUTABLE": 9, "NET_BIND_SERVICE": 10, "NET_BROADCAST": 11, "NET_ADMIN": 12, "NET_RAW": 13,
    "IPC_LOCK": 14, "IPC_OWNER": 15, "SYS_MODULE": 16, "SYS_RAWIO": 17, "SYS_CHROOT": 18, "SYS_PTRACE": 19,
    "SYS_PACCT": 20, "SYS_ADMIN": 21, "SYS_BOOT": 22, "SYS_NICE": 23, "SYS_RESOURCE": 24, "SYS_TIME": 25,
    "SYS_TTY_CONFIG": 26, "MKNOD": 27, "LEASE": 28, "AUDIT_WRITE": 29, "AUDIT_CONTROL": 30, "SETFCAP": 31,
    "MAC_OVERRIDE": 32, "MAC_ADMIN": 33, "SYSLOG": 34, "WAKE_ALARM": 35, "BLOCK_SUSPEND": 36, "AUDIT_READ": 37,
    "PERFMON": 38, "BPF": 39, "CHECKPOINT_RESTORE": 40,
  ]

  /// What a container gets unless its recipe says otherwise: Docker's set without MKNOD, NET_RAW, AUDIT_WRITE and
  /// SETFCAP, which servers do not need and which widen what a broken one can do.
  package static let containerDefault: Set<String> = [
    "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "NET_BIND_SERVICE",
    "SYS_CHROOT",
  ]

  /// The name without `CAP_`, in capitals; nil when there is no such capability.
  package static func normalized(_ name: String) -> String? {
    let upper = name.uppercased()
    let bare = upper.hasPrefix("CAP_") ? String(upper.dropFirst(4)) : upper
    return numbers[bare] == nil ? nil : bare
  }

  /// Nil when one is unknown.
  static func mask(_ names: Set<String>) -> UInt64? {
    var mask: UInt64 = 0
    for name in names {
      guard let bare = normalized(name), let number = numbers[bare] else { return nil }
      mask |= 1 << UInt64(number)
    }
    return mask
  }
}
