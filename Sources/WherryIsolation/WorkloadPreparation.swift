import CIsolation
import Glibc
import WherryModel

/// What has to be looked up or written on the host before a launch program can be built.
struct WorkloadPreparation {
  let spec: WorkloadSpec
  let directory: WorkloadDirectory

  private var roots: [String] {
    switch spec.root {
    case .host: ["/"]
    case .overlay(let lower, let upper, _, _): [upper] + lower
    }
  }

  func user() throws(Failure) -> ResolvedUser {
    if let user = UserLookup(roots: roots).resolve(spec.user) { return user }
    var name = ""
    if case .named(let text) = spec.user { name = text }
    throw Failure(
      .start, code: "workload.user", message: "\(spec.id) is to run as \"\(name)\", whom its /etc/passwd does not know",
      remedy: "name a user of the image (or of the host for a process component), or give numbers: 1000:1000")
  }

  func devices() throws(Failure) -> [DeviceNode] {
    guard case .overlay = spec.root else { return [] }
    var nodes: [DeviceNode] = []
    for text in spec.devices {
      let parts = text.split(separator: ":").map(String.init)
      var status = stat()
      guard let source = parts.first, stat(source, &status) == 0,
        status.st_mode & S_IFMT == S_IFCHR || status.st_mode & S_IFMT == S_IFBLK
      else {
        throw Failure(
          .start, code: "workload.device", message: "\(spec.id) asks for the device \(text), which this host has not",
          remedy: "connect the device, or leave it out of Devices")
      }
      let target = parts.count > 1 && parts[1].hasPrefix("/") ? parts[1] : source
      guard target.hasPrefix("/dev/"), !target.split(separator: "/").contains("..") else {
        throw Failure(
          .rejected, code: "workload.device",
          message: "\(spec.id) asks for the device \(text), which is not under /dev",
          remedy: "name it as /dev/NAME, or /dev/NAME:/dev/OTHER")
      }
      let device = UInt64(status.st_rdev)
      nodes.append(
        DeviceNode(
          path: target, mode: Int64(status.st_mode), major: Int64(wherry_major(device)),
          minor: Int64(wherry_minor(device)), group: Int64(status.st_gid)))
    }
    return nodes
  }

  /// Makes the directories of a writable overlay, and the small files that every container has; `owner`: whose they
  /// are, where that is not the host's root.
  func files(hosts: String, owner: UInt32?) throws(Failure) -> [WorkloadMount] {
    guard case .overlay(_, let upper, let work, let readOnly) = spec.root else { return [] }
    if !readOnly { try make(upper, work) }
    if spec.network == .host {
      let shared = ["/etc/hosts", "/etc/resolv.conf"].filter(Files.exists)
      return shared.map { WorkloadMount(source: $0, target: $0, readOnly: true) }
    }
    var files = [("hosts", hosts), ("resolv.conf", Self.resolvers(Files.text("/etc/resolv.conf")))]
    if !spec.hostName.isEmpty { files.append(("hostname", spec.hostName + "\n")) }
    var mounts: [WorkloadMount] = []
    for (name, text) in files {
      let path = directory.file(name)
      guard Files.write(Array(text.utf8), to: path) == 0, chmod(path, 0o644) == 0 else { continue }
      if let owner { chown(path, owner, owner) }
      mounts.append(WorkloadMount(source: path, target: "/etc/" + name, readOnly: true))
    }
    return mounts
  }

  private func make(_ upper: String, _ work: String) throws(Failure) {
    for path in [upper, work] {
      let error = Files.makeDirectories(path)
      guard error == 0 else {
        throw Failure(
          error == ENOSPC ? .space : .start, code: "workload.directory",
          message: "\(spec.id) cannot be started: \(path) cannot be made: \(sentence(ofErrno: error))",
          remedy: "see that its file system is writable and has space")
      }
    }
    // The root's own mode is the upper directory's.
    chmod(upper, 0o755)
  }

  /// Who is restricted may still ask what names mean.
  var nameServers: [EgressRule] {
    Self.resolvers(Files.text("/etc/resolv.conf")).split(separator: "\n").compactMap { line in
      let words = line.split { $0 == " " || $0 == "\t" }
      guard words.first == "nameserver", words.count > 1, var rule = EgressRule(String(words[1])) else { return nil }
      rule.port = 53
      return rule
    }
  }

  /// The host's, without resolvers on its loopback, which a container cannot reach.
  static func resolvers(_ text: String?) -> String {
    let lines = (text ?? "").split(separator: "\n").filter { line in
      let words = line.split { $0 == " " || $0 == "\t" }
      guard words.first == "nameserver", words.count > 1 else { return words.first.map { !$0.hasPrefix("#") } ?? false }
      return !words[1].hasPrefix("127.") && words[1] != "::1"
    }
    return lines.map { $0 + "\n" }.joined()
  }
}
