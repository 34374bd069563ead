import Glibc
import WherryJSON
import WherryModel

/// The cgroups of one container, in every hierarchy of the host, whatever mix of v1 and v2 that is.
package struct BundleCgroup: Sendable {
  /// v1 hierarchies by the name of their directory: `memory`, `cpu,cpuacct`, `systemd`.
  let legacy: [(name: String, mount: String)]
  /// Mount point of the v2 tree.
  let unified: String?
  /// From the roots of the hierarchies, with a slash in front.
  package let path: String

  /// - Parameters:
  ///   - path: as `cgroupsPath` has it; a relative one is relative to the roots.
  ///   - root: where hierarchies are mounted.
  package init(path: String, root: String = "/sys/fs/cgroup") {
    let parts = path.split(separator: "/").filter { $0 != "." && $0 != ".." }
    self.path = "/" + parts.joined(separator: "/")
    if Files.exists(root + "/cgroup.controllers") {
      unified = root
      legacy = []
      return
    }
    var found: [(name: String, mount: String)] = []
    var unified: String?
    for name in Files.names(in: root) {
      let directory = "\(root)/\(name)"
      var status = stat()
      // `cpu` may be a link to `cpu,cpuacct`: one hierarchy is joined once.
      guard lstat(directory, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else { continue }
      if Files.exists(directory + "/cgroup.controllers") {
        unified = directory
      } else if Files.exists(directory + "/tasks") {
        found.append((name, directory))
      }
    }
    legacy = found
    self.unified = unified
  }

  /// The hierarchies themselves: nothing of a container's.
  var isRoot: Bool { path == "/" }
  var unifiedDirectory: String? { unified.map { $0 + path } }
  package var directories: [String] { legacy.map { $0.mount + path } + [unifiedDirectory].compactMap { $0 } }
  var joinFiles: [String] { legacy.map { "\($0.mount)\(path)/tasks" } }

  /// Where a v1 controller's files of this container are.
  func directory(of controller: String) -> String? {
    legacy.first { $0.name.split(separator: ",").contains(Substring(controller)) }.map { $0.mount + path }
  }

  package func create() throws(Failure) {
    for (_, mount) in legacy { try make(mount) }
    guard let unified else { return }
    delegate(below: unified)
    try make(unified)
  }

  private func make(_ mount: String) throws(Failure) {
    var directory = mount
    for part in path.split(separator: "/") {
      let parent = directory
      directory += "/\(part)"
      guard mkdir(directory, 0o755) == 0 || errno == EEXIST else { throw Self.failure(directory, errno) }
      // A cpuset without processors takes no process in.
      for file in ["cpuset.cpus", "cpuset.mems"] where Files.exists("\(directory)/\(file)") {
        guard mount != unified, (Files.text("\(directory)/\(file)") ?? "").allSatisfy({ $0 == "\n" }) else { continue }
        Files.write(Array((Files.text("\(parent)/\(file)") ?? "").utf8), to: "\(directory)/\(file)", flags: O_WRONLY)
      }
    }
  }

  /// On v2 a controller reaches a cgroup only when every ancestor hands it down.
  private func delegate(below unified: String) {
    let names = (Files.text(unified + "/cgroup.controllers") ?? "").split { $0 == " " || $0 == "\n" }
    var directory = unified
    for part in path.split(separator: "/") {
      for name in names {
        Files.write(Array("+\(name)".utf8), to: directory + "/cgroup.subtree_control", flags: O_WRONLY)
      }
      directory += "/\(part)"
      mkdir(directory, 0o755)
    }
  }

  static func failure(_ place: String, _ number: Int32) -> Failure {
    Failure(
      .start, code: "workload.cgroup",
      message: "the cgroup \(place) cannot be made or used: \(sentence(ofErrno: number))",
      remedy: "run as root with a writable cgroup file system, or name another cgroupsPath")
  }

  /// Where one more process of the container is born. Once it hands controllers down itself, only cgroups below it take
  /// processes (cgroup-v2.rst, "No Internal Process Constraint"), and that of its first process does.
  /// - Parameter membership: /proc/<pid>/cgroup of the first process.
  func directoryForMore(membership: String) -> String? {
    guard let unified, let own = unifiedDirectory,
      let controllers = Files.text(own + "/cgroup.subtree_control"), controllers.contains(where: \.isLetter)
    else { return unifiedDirectory }
    let line = membership.split(separator: "\n").first { $0.hasPrefix("0::") }
    guard let place = line?.dropFirst(3), place.hasPrefix(path + "/"), !place.hasSuffix(" (deleted)") else {
      return own
    }
    return unified + place
  }

  /// Somebody is in it or in one below it.
  var isInhabited: Bool { directories.contains(where: Self.isInhabited) }

  private static func isInhabited(_ directory: String) -> Bool {
    if !Cgroup.processes(in: [directory]).isEmpty { return true }
    return Files.names(in: directory).contains { name in
      let below = "\(directory)/\(name)"
      return Files.exists(below + "/cgroup.procs") && isInhabited(below)
    }
  }

  package var processes: [Int32] { Cgroup.processes(in: directories) }

  /// To everything in it.
  package func signal(_ number: Int32) {
    guard !isRoot else { return }
    if number == SIGKILL, let directory = unifiedDirectory,
      Files.write(Array("1".utf8), to: directory + "/cgroup.kill", flags: O_WRONLY) == 0
    {
      return
    }
    for process in processes { kill(process, number) }
  }

  /// True = it is not there (any more). Processes leave a cgroup a moment after they end.
  package func remove() -> Bool { isRoot || directories.map(Cgroup.remove).allSatisfy { $0 } }

  /// Stops everything in it where it is, or lets it go on.
  package func freeze(_ isFrozen: Bool) throws(Failure) {
    let (file, value) =
      if let directory = directory(of: "freezer") {
        ("\(directory)/freezer.state", isFrozen ? "FROZEN" : "THAWED")
      } else { ("\(unifiedDirectory ?? "")/cgroup.freeze", isFrozen ? "1" : "0") }
    let error = Files.write(Array(value.utf8), to: file, flags: O_WRONLY)
    guard error == 0 else {
      throw Failure(
        .start, code: "workload.freeze", message: "\(file) does not take \(value): \(sentence(ofErrno: error))",
        remedy: "use a kernel with the freezer")
    }
  }

  package var isFrozen: Bool {
    if let directory = directory(of: "freezer") {
      return (Files.text("\(directory)/freezer.state") ?? "").hasPrefix("FR")
    }
    return unifiedDirectory.flatMap { Files.text($0 + "/cgroup.freeze") }?.hasPrefix("1") ?? false
  }

  /// - Parameter devices: whether to apply what is said of devices, and that alone. It comes last: what the container
  ///   gets in /dev has to be made before.
  package func apply(_ resources: JSON, devices: Bool) throws(Failure) {
    let settings: [BundleSetting]
    let rules: [DeviceRule]
    do throws(JSONShapeError) {
      let cursor = JSONCursor(resources, path: "/linux/resources")
      settings = try BundleResources(cursor, for: self).settings()
      rules = try DeviceRule.list(cursor)
    } catch { throw BundleProgram.refusal("\(error)", "mend it in config.json") }
    if devices, !rules.isEmpty, directory(of: "devices") == nil, let unifiedDirectory {
      try DeviceFilter(rules).attach(to: unifiedDirectory)
    }
    for setting in settings where (setting.name == "devices") == devices {
      guard let file = setting.file else {
        throw BundleProgram.refusal(
          "\(setting.name) cannot be limited: this host has no such cgroup controller",
          "boot with the controller, or leave the limit out")
      }
      let error = Files.write(Array(setting.value.utf8), to: file, flags: O_WRONLY)
      guard error == 0 || setting.isOptional else {
        throw Failure(
          .start, code: "workload.limit",
          message: "\(setting.value) is refused by \(file): \(sentence(ofErrno: error))",
          remedy: "choose a limit that this host can keep")
      }
    }
  }
}

/// One line for one file of a cgroup.
struct BundleSetting: Hashable, Sendable {
  /// As config.json calls it.
  var name: String
  /// nil = the host has not got the controller.
  var file: String?
  var value: String
  var isOptional = false
}
