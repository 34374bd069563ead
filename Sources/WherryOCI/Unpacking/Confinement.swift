import CArchive
import Glibc
import WherryCrypto
import WherryModel

/// How a worker process gives up what it does not need. There is no way back.
package enum Confinement {
  /// Nobody would listen to its events after that. A parent that ended before the kernel was told of it sends no signal
  /// any more; of it only the end of a pipe tells, which this process writes to and nobody reads.
  package static func endWithParent() {
    _ = cconfine_die_with_parent(SIGKILL)
    var output = pollfd(fd: STDOUT_FILENO, events: 0, revents: 0)
    if poll(&output, 1, 0) == 1, output.revents & Int16(POLLERR) != 0 { _exit(1) }
  }

  package static func forbidNewPrivileges() { _ = cconfine_no_new_privileges() }

  /// Whatever this process has open beside the standard descriptors is not for its children: neither what it was
  /// started with nor what a library opened without the flag.
  package static func closeOthersOnExec() {
    guard let stream = opendir("/proc/self/fd") else { return }
    defer { closedir(stream) }
    while let entry = readdir(stream) {
      guard let descriptor = Int32(entryName(entry)), descriptor > STDERR_FILENO else { continue }
      _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    }
  }

  private enum Capability: UInt32 {
    case chown = 0
    case dacOverride = 1
    case fowner = 3
    case fsetid = 4
    /// For overlayfs's opaque attribute; the system call filter takes away everything else that it allows.
    case sysAdmin = 21
    case mknod = 27
    case setfcap = 31
  }

  /// Makes `directory` the root of a fresh mount namespace, without network, with few capabilities and system calls.
  /// An unprivileged process, which cannot have namespaces for itself, keeps its view and gets the filter only.
  /// - Returns: the directory, open.
  package static func enter(_ directory: String, keepsOwners: Bool) throws(Failure) -> Int32 {
    // libcrypto looks for its algorithms once; later it could not open a file any more.
    _ = SHA256.digest(of: [])
    var path = directory
    if geteuid() == 0 {
      try changeRoot(to: directory)
      path = "/"
    }
    let root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard root >= 0 else { throw failure("open \(directory)") }
    try limit()
    if geteuid() == 0 {
      var kept: [Capability] = [.dacOverride, .fowner]
      if keepsOwners { kept += [.chown, .fsetid, .sysAdmin, .mknod, .setfcap] }
      let mask = kept.reduce(UInt32(0)) { $0 | 1 << $1.rawValue }
      guard cconfine_keep_capabilities(mask) == 0 else { throw failure("drop capabilities") }
    }
    endWithParent()
    guard filterSystemCalls() else { throw failure("install a system call filter") }
    return root
  }

  /// Of the calling thread, and of those that it makes; false with `errno` set.
  static func filterSystemCalls() -> Bool {
    cconfine_no_new_privileges() == 0 && cconfine_filter_system_calls() == 0
  }

  private static func changeRoot(to directory: String) throws(Failure) {
    let namespaces = CCONFINE_NEWNS | CCONFINE_NEWNET | CCONFINE_NEWIPC | CCONFINE_NEWUTS
    guard unshare(Int32(namespaces)) == 0 else { throw failure("make namespaces") }
    let (recursive, isPrivate) = (UInt(MS_REC), UInt(MS_PRIVATE))
    guard mount(nil, "/", nil, recursive | isPrivate, nil) == 0 else { throw failure("make its mounts private") }
    // Only a mount can become a root.
    guard mount(directory, directory, nil, UInt(MS_BIND), nil) == 0, chdir(directory) == 0 else {
      throw failure("mount \(directory)")
    }
    let harmless = MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV | MS_NOEXEC
    _ = mount(nil, directory, nil, UInt(harmless), nil)
    guard cconfine_pivot_root(".", ".") == 0, umount2(".", Int32(MNT_DETACH)) == 0, chdir("/") == 0 else {
      throw failure("make \(directory) its root")
    }
  }

  private static func limit() throws(Failure) {
    // zstd may want a window of 128 MiB; no honest archive needs more than a few of them.
    let bounds: [(__rlimit_resource, UInt)] = [(RLIMIT_CORE, 0), (RLIMIT_NOFILE, 256), (RLIMIT_DATA, 512 << 20)]
    for (resource, bound) in bounds {
      var limit = rlimit(rlim_cur: rlim_t(bound), rlim_max: rlim_t(bound))
      guard setrlimit(Int32(resource.rawValue), &limit) == 0 else { throw failure("limit its resources") }
    }
  }

  private static func failure(_ what: String) -> Failure {
    Failure(
      .internalError, code: "worker.confinement",
      message: "the process that unpacks cannot \(what): \(String(cString: strerror(errno)))",
      remedy: "start the agent as root on a kernel with namespaces and seccomp")
  }
}
