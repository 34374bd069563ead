import CIsolation
import Glibc
import WherryModel

/// The clone, and the namespaces around it.
extension BundleRuntime {
  /// A container's first process.
  func giveBirth(
    _ program: LaunchProgram, _ bundle: Bundle, _ ties: BundleBirth.Ties, keepsKeyring: Bool
  ) throws(Failure) -> Int32 {
    for namespace in bundle.linux.namespaces where namespace.kind == .user {
      guard let path = namespace.path else { continue }
      ties.userNamespace = open(path, O_RDONLY | O_CLOEXEC)
      guard ties.userNamespace >= 0 else { throw Self.failure(namespace, errno) }
    }
    try enterParentNamespaces(bundle)
    let pid = try giveBirth(
      program, namespaces: newNamespaces(bundle), ties: ties, slot: -1, keepsKeyring: keepsKeyring)
    try leaveParentNamespaces(bundle)
    return pid
  }

  private static func failure(_ namespace: Bundle.Namespace, _ number: Int32) -> Failure {
    Failure(
      .start, code: "bundle.namespace",
      message: "cannot enter the \(namespace.kind.rawValue) namespace \(namespace.path ?? ""): "
        + sentence(ofErrno: number), remedy: "mend linux.namespaces in config.json")
  }

  /// A namespace of pids or times is entered by its members' children only, so the runtime goes ahead.
  private func enterParentNamespaces(_ bundle: Bundle) throws(Failure) {
    for namespace in bundle.linux.namespaces where namespace.kind == .pid || namespace.kind == .time {
      let flag = UInt64(bitPattern: BundleProgram.flags[namespace.kind] ?? 0)
      var error: Int32 = 0
      if let path = namespace.path {
        error = Self.enter(path, flag)
      } else if namespace.kind == .time {
        error = wherry_part_from(flag)
        for (clock, offset) in bundle.linux.timeOffsets.sorted(by: { $0.key < $1.key }) where error == 0 {
          let line = "\(clock) \(offset.seconds) \(offset.nanoseconds)"
          error = Files.write(Array(line.utf8), to: "/proc/self/timens_offsets", flags: O_WRONLY)
        }
      }
      guard error == 0 else { throw Self.failure(namespace, error) }
    }
  }

  /// Hooks are children of the runtime too, and run where it does.
  private func leaveParentNamespaces(_ bundle: Bundle) throws(Failure) {
    for namespace in bundle.linux.namespaces {
      guard namespace.kind == .time || namespace.kind == .pid && namespace.path != nil else { continue }
      let flag = UInt64(bitPattern: BundleProgram.flags[namespace.kind] ?? 0)
      let error = Self.enter("/proc/self/ns/\(namespace.kind.rawValue)", flag)
      guard error == 0 else { throw Self.failure(namespace, error) }
    }
  }

  private static func enter(_ path: String, _ flag: UInt64) -> Int32 {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return errno }
    defer { close(descriptor) }
    return wherry_enter(descriptor, flag)
  }

  /// Those that the clone makes. That of cgroups comes later, when the child is in its cgroup.
  private func newNamespaces(_ bundle: Bundle) -> Int64 {
    BundleProgram.flags(
      of: bundle.linux.namespaces.filter { $0.path == nil && $0.kind != .cgroup && $0.kind != .time })
  }

  /// Which the child moves out of its way (bundle.c, `place_descriptors`).
  private static let descriptorsAside = 6

  func giveBirth(
    _ program: LaunchProgram, namespaces: Int64, ties: BundleBirth.Ties, slot: Int32, keepsKeyring: Bool
  ) throws(Failure) -> Int32 {
    // The child would otherwise end where it can tell nobody why.
    let needed = Int(WHERRY_FD_SLOTS) + max(program.slotCount, Self.descriptorsAside) + 1
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur >= rlim_t(needed) else {
      throw Failure(
        .start, code: "bundle.descriptors",
        message: "no more than \(limit.rlim_cur) open files are allowed, and \(needed) are needed",
        remedy: "raise the limit of open files")
    }
    let bytes = program.bytes
    let place = UnsafeMutableRawPointer.allocate(byteCount: bytes.count, alignment: 16)
    defer { place.deallocate() }
    place.copyMemory(from: bytes, byteCount: bytes.count)
    var birth = wherry_birth(
      namespaces: UInt64(bitPattern: namespaces), cgroup: ties.cgroup, slot: slot, report: ties.report[1],
      parent: ties.parent[1], start: ties.start, console: ties.console, user_namespace: ties.userNamespace,
      keeps_keyring: keepsKeyring ? 1 : 0)
    fflush(nil)
    let pid = wherry_give_birth(place.assumingMemoryBound(to: wherry_program.self), &birth)
    guard pid > 0 else {
      throw Failure(
        .start, code: "bundle.clone", message: "cannot clone into new namespaces: \(sentence(ofErrno: errno))",
        remedy: "run as root on a kernel that has them")
    }
    return pid
  }
}
