import Glibc
import WherryCrypto
import WherryIsolation
import WherryModel

/// Who has a `docker` command, and what is mounted for them.
struct DockerAccess {
  let paths: AgentPaths
  /// `wherry-docker`.
  let program: String
  /// Whether the device has a docker of its own, which is not hidden from those who did not ask for this one.
  let hostHasDocker: Bool

  static let manager: ComponentName = "aws.greengrass.DockerApplicationManager"

  init(paths: AgentPaths, program: String, hostHasDocker: Bool = DockerAccess.isOnHost) {
    self.paths = paths
    self.program = program
    self.hostHasDocker = hostHasDocker
  }

  static var isOnHost: Bool {
    ["/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin"].contains {
      access("\($0)/docker", X_OK) == 0
    }
  }

  /// Components that list images or depend on Greengrass's manager of them; where the device has no docker of its own,
  /// also those whose scripts name it.
  func isFor(_ planned: PlannedComponent) -> Bool {
    guard planned.container == nil, Files.exists(program) else { return false }
    if !planned.images.isEmpty || planned.dependencies[Self.manager] != nil { return true }
    return !hostHasDocker && planned.lifecycle.steps.values.contains { Self.names(docker: $0.script) }
  }

  /// As a word of its own.
  static func names(docker script: String) -> Bool {
    script.split { !($0.isLetter || $0.isNumber || $0 == "-" || $0 == "_" || $0 == ".") }.contains("docker")
  }

  /// In a component's own view, first on its PATH.
  var programs: String { paths.docker + "/bin" }

  /// Its socket and the program, where the component looks for them. Whoever has the mount is the component.
  func mounts(_ key: DockerDoor.Key) throws(Failure) -> [WorkloadMount] {
    let directory = try DockerDoor.makeDirectory(key, in: paths)
    return [
      WorkloadMount(source: directory, target: paths.docker, readOnly: true),
      WorkloadMount(source: program, target: programs + "/docker", readOnly: true),
    ]
  }
}

/// The socket of one component. It is told apart by where it lies: no other component has it in its view, and on the
/// host only root gets there.
final class DockerDoor {
  struct Key: Hashable {
    var component: ComponentName
    /// Of steps with RequiresPrivilege.
    var isPrivileged: Bool
    init(_ component: ComponentName, isPrivileged: Bool) {
      self.component = component
      self.isPrivileged = isPrivileged
    }

    /// A name would be too long for a socket's path, and no two names may lead to one place.
    var directoryName: String {
      SHA256.digest(of: component.rawValue).hex.prefix(32) + (isPrivileged ? "-p" : "")
    }
  }

  let key: Key
  let server: LocalServer

  init(_ key: Key, in paths: AgentPaths) throws(Failure) {
    self.key = key
    let directory = try Self.makeDirectory(key, in: paths)
    let path = directory + "/socket"
    server = try LocalServer(path: path)
    // The component's user may speak; on the host the directory above lets nobody but root in.
    if chmod(path, 0o666) != 0 { throw Files.failure("set the mode of", path) }
  }

  /// It stays the same while a component has it mounted.
  static func makeDirectory(_ key: Key, in paths: AgentPaths) throws(Failure) -> String {
    let directory = "\(paths.docker)/\(key.directoryName)"
    try Files.makeDirectory(paths.docker, mode: 0o700)
    for path in [directory, directory + "/bin"] { try Files.makeDirectory(path) }
    // For the program to be mounted on.
    let place = directory + "/bin/docker"
    if !Files.exists(place) { try Files.write([], to: place, mode: 0o755) }
    return directory
  }
}
