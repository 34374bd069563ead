/// Numbers of the kernel's interface that are the same on every architecture (linux/mount.h, linux/sched.h, …).
enum Namespace {
  static let mount: Int64 = 0x0002_0000
  static let cgroup: Int64 = 0x0200_0000
  static let hostName: Int64 = 0x0400_0000
  static let ipc: Int64 = 0x0800_0000
  static let pid: Int64 = 0x2000_0000
  static let network: Int64 = 0x4000_0000
  static let user: Int64 = 0x1000_0000
  static let time: Int64 = 0x80
}

struct MountAttributes: OptionSet, Hashable, Sendable, CustomStringConvertible {
  let rawValue: Int64
  static let readOnly = Self(rawValue: 1)
  static let noSetuid = Self(rawValue: 2)
  static let noDevices = Self(rawValue: 4)
  static let noExecution = Self(rawValue: 8)
  /// How access times are kept is one of several values, not a bit: 0 = relatively.
  static let noAccessTimes = Self(rawValue: 0x10)
  static let strictAccessTimes = Self(rawValue: 0x20)
  static let accessTimesMask = Self(rawValue: 0x70)
  static let noDirectoryAccessTimes = Self(rawValue: 0x80)
  static let noSymbolicLinks = Self(rawValue: 0x0020_0000)

  var description: String {
    let names: [(Self, String)] = [
      (.readOnly, "ro"), (.noSetuid, "nosuid"), (.noDevices, "nodev"), (.noExecution, "noexec"),
    ]
    return names.filter { contains($0.0) }.map(\.1).joined(separator: ",")
  }
}

enum Propagation: Int64 {
  case privateTree = 0x44000  // MS_REC | MS_PRIVATE
  case slaveTree = 0x84000  // MS_REC | MS_SLAVE
}

enum ResourceLimit: Int64 {
  case coreBytes = 4
  case openFiles = 7
}

enum NodeMode {
  static let character: Int64 = 0o020000
}
