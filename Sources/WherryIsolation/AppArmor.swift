/// Profiles that the host has loaded (apparmor(7)).
package enum AppArmor {
  private static let list = "/sys/kernel/security/apparmor/profiles"

  package static var isThere: Bool { Files.exists(list) }

  /// What containers are confined by whose recipe names no other; the agent loads it.
  package static let ownProfile = "wherry-component"
  static let unconfined = "unconfined"

  package static func isLoaded(_ profile: String) -> Bool {
    let lines = Files.text(list)?.split(separator: "\n") ?? []
    return lines.contains { $0.hasPrefix(profile + " (") }
  }

  /// Of the program that is executed next.
  static func step(_ profile: String) -> LaunchProgram.Step {
    LaunchProgram.Step(
      words: "choose the AppArmor profile \(profile)",
      operation: .writeFile(path: "/proc/self/attr/apparmor/exec", text: "exec \(profile)", mayFail: false))
  }

  /// What the namespaces, the mounts and the filter of system calls forbid already is forbidden once more, in another
  /// part of the kernel: mounting, the kernel's settings and memory, and what other components do.
  package static let ownProfileText = """
    #include <tunables/global>

    profile \(ownProfile) flags=(attach_disconnected,mediate_deleted) {
      capability,
      file,
      network,
      unix,

      signal (receive) peer=unconfined,
      signal (send, receive) peer=\(ownProfile),
      ptrace (read, readby, trace, tracedby) peer=\(ownProfile),

      deny mount,
      deny umount,
      deny pivot_root,

      deny @{PROC}/sys/** wkl,
      deny @{PROC}/sysrq-trigger rwkl,
      deny @{PROC}/kcore rwkl,
      deny @{PROC}/kmem rwkl,
      deny @{PROC}/mem rwkl,
      deny @{PROC}/acpi/** rwkl,
      deny @{PROC}/scsi/** rwkl,
      deny /dev/mem rwkl,
      deny /dev/kmem rwkl,
      deny /dev/port rwkl,
      deny /sys/firmware/** rwkl,
      deny /sys/kernel/security/** rwkl,
      deny /sys/kernel/debug/** rwkl,
      deny /sys/kernel/tracing/** rwkl,
      deny /sys/devices/virtual/powercap/** rwkl,
    }

    """
}
