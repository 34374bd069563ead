import Glibc
import WherryDocker
import WherryIsolation
import WherryModel

/// What a component may ask of its containers: no more than it may do by itself. A step with RequiresPrivilege is root,
/// and its containers may have what root has.
struct DockerAuthority {
  let paths: AgentPaths
  /// Runs process components.
  let account: UserAccount
  let own: PlannedComponent
  let dependencies: [PlannedComponent]
  let isPrivileged: Bool

  static let containersMaximum = 32

  /// The container that is meant, or why it is not allowed.
  func container(
    _ run: DockerRun, image: PlannedImage, directory: String
  ) throws(Failure) -> ContainerSpec {
    if run.isPrivileged && !isPrivileged {
      throw refusal("--privileged is for steps with RequiresPrivilege", "set RequiresPrivilege: true for the step")
    }
    var spec = ContainerSpec(image: run.image)
    spec.command = command(run, image)
    for line in run.environment {
      let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      if parts.count == 2 { spec.environment[parts[0]] = parts[1] }
    }
    spec.user = run.user
    spec.workingDirectory = run.workingDirectory
    spec.ports = run.ports
    spec.network = run.network
    spec.readOnlyRoot = run.hasReadOnlyRoot
    spec.limits = run.limits
    spec.resources = resources(run)
    spec.capabilitiesAdded = try capabilities(run)
    spec.capabilitiesDropped = run.capabilitiesDropped
    // Root inside shall be nobody outside, also on the host's network.
    spec.userNamespace = isPrivileged ? (run.isPrivileged ? .host : nil) : .own
    if run.isPrivileged { spec.seccomp = SeccompChoice(isUnconfined: true) }
    for device in run.devices { try check(device: device) }
    spec.devices = run.devices
    for volume in run.volumes { spec.volumes.append(try self.volume(volume, directory)) }
    return spec
  }

  private func command(_ run: DockerRun, _ image: PlannedImage) -> [String]? {
    guard let entrypoint = run.entrypoint else {
      return run.arguments.isEmpty ? nil : image.entrypoint + run.arguments
    }
    return (entrypoint.isEmpty ? [] : [entrypoint]) + run.arguments
  }

  /// Each container within what its component may use.
  private func resources(_ run: DockerRun) -> Resources {
    func least<Number: Comparable>(_ one: Number?, _ other: Number?) -> Number? {
      [one, other].compactMap { $0 }.min()
    }
    var resources = own.resources
    resources.cpuMillis = least(run.cpuMillis, resources.cpuMillis)
    resources.memoryBytes = least(run.memoryBytes, resources.memoryBytes)
    resources.pids = least(run.pids, resources.pids)
    return resources
  }

  private func capabilities(_ run: DockerRun) throws(Failure) -> [String] {
    if run.isPrivileged { return Capability.numbers.keys.sorted() }
    for name in run.capabilitiesAdded where !isPrivileged {
      guard let plain = Capability.normalized(name), ContainerSpec.capabilitiesOverOwnUsers.contains(plain) else {
        throw refusal(
          "--cap-add \(name.prefix(40)) is for steps with RequiresPrivilege", "leave it out, or set RequiresPrivilege")
      }
    }
    return run.capabilitiesAdded
  }

  /// A container's root owns the nodes that it is given.
  private func check(device: String) throws(Failure) {
    guard !isPrivileged else { return }
    let path = String(device.prefix { $0 != ":" })
    var status = stat()
    guard stat(path, &status) == 0 else { return }
    guard Self.mayUse(mode: status.st_mode, owner: status.st_uid, group: status.st_gid, account) else {
      throw refusal(
        "--device \(path.prefix(80)): the component's user \(account.name) may not read and write it",
        "add the user to the device's group, or set RequiresPrivilege for the step")
    }
  }

  /// Both reading and writing.
  static func mayUse(mode: mode_t, owner: UInt32, group: UInt32, _ account: UserAccount) -> Bool {
    if owner == account.user { return mode >> 6 & 0o6 == 0o6 }
    let isMember = account.group == group || account.groups.contains(group)
    return mode >> (isMember ? 3 : 0) & 0o6 == 0o6
  }

  // MARK: Volumes

  private func volume(
    _ volume: DockerVolume, _ directory: String
  ) throws(Failure) -> Volume {
    guard !volume.isNamed else {
      return Volume(source: .named(volume.source), path: volume.path, readOnly: volume.isReadOnly)
    }
    let path = Self.plain(volume.source.hasPrefix("/") ? volume.source : directory + "/" + volume.source)
    if isPrivileged { return Volume(source: .hostPath(path), path: volume.path, readOnly: volume.isReadOnly) }
    let readable = [own] + dependencies
    let work = paths.work(own.name)
    let roots = [work] + readable.map { paths.artifacts($0) } + dependencies.map { paths.work($0.name) }
    guard let root = roots.first(where: { path == $0 || path.hasPrefix($0 + "/") }) else {
      throw refusal(
        "-v \(path.prefix(200)) is neither in the component's work directory nor among its artifacts",
        "use {work:path}, {artifacts:path} or a named volume (-v NAME:PATH), or set RequiresPrivilege for the step")
    }
    return Volume(
      source: .hostPath(Self.real(root) + path.dropFirst(root.count)), path: volume.path,
      readOnly: volume.isReadOnly || root != work)
  }

  /// A link in the configured path (/var/run) is meant; below it the launch follows none, whoever laid it.
  private static func real(_ path: String) -> String {
    guard let real = realpath(path, nil) else { return path }
    defer { free(real) }
    return String(cString: real)
  }

  /// Without `.`, `..` and doubled slashes.
  static func plain(_ path: String) -> String {
    var parts: [Substring] = []
    for part in path.split(separator: "/") where part != "." {
      if part == ".." { _ = parts.popLast() } else { parts.append(part) }
    }
    return "/" + parts.joined(separator: "/")
  }

  private func refusal(_ message: String, _ remedy: String) -> Failure {
    Failure(
      .rejected, code: "docker.notAllowed", message: "docker run: \(message)", remedy: remedy, component: own.name)
  }
}
