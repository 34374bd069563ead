import CIsolation
import Glibc
import WherryJSON
import WherryModel

/// What `create` and `exec` are asked for beside the bundle.
package struct BundleRequest: Sendable {
  package var id: String
  package var pidFile: String?
  /// A socket that gets the terminal's other end.
  package var consoleSocket: String?
  /// The caller's session keyring stays the container's.
  package var keepsKeyring = false

  package init(id: String) { self.id = id }
}

/// The making of a container's first process, and of one more in it.
struct BundleBirth {
  let bundle: Bundle

  static func absolute(_ path: String, in bundle: String) -> String {
    path.hasPrefix("/") ? path : path == "." ? bundle : "\(bundle)/\(path)"
  }

  static func context(_ bundle: Bundle, root: String, _ cgroup: BundleCgroup) throws(Failure) -> BundleContext {
    var context = BundleContext(root: root)
    context.cgroupFiles = cgroup.joinFiles
    context.legacyCgroups = cgroup.legacy.map { ($0.name, $0.mount + cgroup.path) }
    context.hasAppArmor = AppArmor.isThere
    context.hasSELinux = Files.exists("/sys/fs/selinux/enforce")
    context.hostDevices = Set(bundle.linux.devices.filter(isOfHost).map(\.path))
    if let seccomp = bundle.linux.seccomp { context.seccompFilter = try seccomp.compiled() }
    return context
  }

  /// The very device, under the path that it shall have in the container.
  private static func isOfHost(_ device: Bundle.Device) -> Bool {
    var status = stat()
    guard lstat(device.path, &status) == 0 else { return false }
    let number = UInt64(status.st_rdev)
    return status.st_mode & S_IFMT == (device.type == "b" ? S_IFBLK : S_IFCHR)
      && Int64(wherry_major(number)) == device.major && Int64(wherry_minor(number)) == device.minor
  }

  // MARK: - Talking to the child

  /// nil = it closed without a word.
  static func report(from descriptor: Int32) -> Failure? {
    var report = wherry_report()
    var count = 0
    repeat {
      count = read(descriptor, &report, MemoryLayout<wherry_report>.size)
      if count < 0, errno == EAGAIN {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        poll(&entry, 1, -1)
      }
    } while count < 0 && (errno == EINTR || errno == EAGAIN)
    guard count == MemoryLayout<wherry_report>.size else { return nil }
    let step = withUnsafePointer(to: &report.step) {
      $0.withMemoryRebound(to: CChar.self, capacity: 112) { String(cString: $0) }
    }
    return Failure(
      .start, code: "bundle.step", message: "cannot \(step): \(sentence(ofErrno: report.error))",
      remedy: "see config.json, and whether the root file system has what it names")
  }

  /// Descriptors between the two, closed with this object.
  final class Ties {
    var report: [Int32] = [-1, -1]
    var parent: [Int32] = [-1, -1]
    var start: Int32 = -1
    var console: Int32 = -1
    var cgroup: Int32 = -1
    var userNamespace: Int32 = -1

    init() throws(Failure) {
      guard pipe(&report) == 0, socketpair(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue), 0, &parent) == 0 else {
        throw Failure(
          .internalError, code: "bundle.descriptors", message: "no descriptors: \(sentence(ofErrno: errno))",
          remedy: "raise the limit of open files")
      }
    }

    deinit {
      let descriptors = report + parent + [start, console, cgroup, userNamespace]
      for descriptor in descriptors where descriptor >= 0 { close(descriptor) }
    }

    /// The cgroup v2 that the child is born in.
    func open(cgroup directory: String?) throws(Failure) {
      guard let directory else { return }
      cgroup = Glibc.open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
      guard cgroup >= 0 else { throw BundleCgroup.failure(directory, errno) }
    }

    /// What the child has is its alone from now on: else this would wait for itself.
    func leaveToChild() {
      for descriptor in [report[1], parent[1]] { close(descriptor) }
      report[1] = -1
      parent[1] = -1
    }

    /// - Returns: nil = it has ended or closed.
    func meeting() -> LaunchOperation.Meeting? {
      var number: UInt8 = 0
      while true {
        let count = recv(parent[0], &number, 1, 0)
        if count < 0, errno == EINTR { continue }
        return count == 1 ? LaunchOperation.Meeting(rawValue: Int64(number)) : nil
      }
    }

    /// - Returns: nil = it came to nothing.
    func bornInside() -> Int32? {
      var number: Int32 = 0
      while true {
        let count = recv(parent[0], &number, MemoryLayout<Int32>.size, 0)
        if count < 0, errno == EINTR { continue }
        return count == MemoryLayout<Int32>.size && number > 0 ? number : nil
      }
    }

    func goOn() {
      var word: UInt8 = 1
      send(parent[0], &word, 1, Int32(MSG_NOSIGNAL))
    }
  }

  static func connectConsole(_ path: String) throws(Failure) -> Int32 {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    guard descriptor >= 0, bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
      throw BundleProgram.refusal("the console socket \(path) cannot be used", "choose a shorter path")
    }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard result == 0 else {
      let number = errno
      close(descriptor)
      throw BundleProgram.refusal(
        "the console socket \(path) does not answer: \(sentence(ofErrno: number))", "have somebody listen there")
    }
    return descriptor
  }

  static func writePIDFile(_ path: String, _ pid: Int32) throws(Failure) {
    let error = Files.write(Array("\(pid)".utf8), to: path + ".new")
    guard error == 0, rename(path + ".new", path) == 0 else {
      throw BundleProgram.refusal("the pid file \(path) cannot be written", "name a place in a directory that is there")
    }
  }
}
