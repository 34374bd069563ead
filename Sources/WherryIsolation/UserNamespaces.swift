import CIsolation
import Glibc
import WherryModel

/// Who the users of one container are outside of it: `first` is root, `first + 1` is 1, and so on.
struct ContainerUsers: Hashable, Sendable {
  /// Where the user namespace can be opened.
  var namespacePath: String
  var first: UInt32

  static let count: UInt32 = 65_536

  func onHost(_ id: UInt32) -> UInt32 { first + id }
}

/// The user namespaces of one agent's containers. Each has 65,536 users of its own from a part of the numbers that
/// neither people, services nor other container engines are given (systemd, "Users, Groups, UIDs and GIDs", has it as
/// unused). Files keep their numbers on the disk, so a container need not get the same users twice; mostly it does,
/// which helps whoever looks at a list of processes.
final class UserNamespaces {
  static let first: UInt32 = 0x7000_0000
  static let places: UInt32 = 4_094

  private var held: [String: Held] = [:]
  /// By file system: whether its mounts can be mapped, as an errno.
  private var verdicts: [UInt64: Int32] = [:]

  private struct Held {
    var place: UInt32
    /// Keeps the namespace until the container is in it; -1 = it was before this agent's time.
    var descriptor: Int32
  }

  deinit { for (_, namespace) in held where namespace.descriptor >= 0 { close(namespace.descriptor) } }

  /// Another one than every other workload here has.
  func take(_ id: String, agentID: String) throws(Failure) -> ContainerUsers {
    release(id)
    let taken = Set(held.values.map(\.place))
    var place = StableHash.narrow("\(agentID)/\(id)") % Self.places
    for _ in 0..<Self.places where taken.contains(place) { place = (place + 1) % Self.places }
    let first = Self.first + place * ContainerUsers.count
    let descriptor = wherry_user_namespace(first, ContainerUsers.count)
    guard descriptor >= 0 else { throw Self.unavailable(id, "it cannot be made: \(sentence(ofErrno: errno))") }
    held[id] = Held(place: place, descriptor: descriptor)
    return ContainerUsers(namespacePath: "/proc/\(getpid())/fd/\(descriptor)", first: first)
  }

  /// A workload that an earlier agent started has these.
  func adopt(_ id: String, first: UInt32) {
    guard first >= Self.first, held[id] == nil else { return }
    held[id] = Held(place: (first - Self.first) / ContainerUsers.count, descriptor: -1)
  }

  func release(_ id: String) {
    if let namespace = held.removeValue(forKey: id), namespace.descriptor >= 0 { close(namespace.descriptor) }
  }

  /// Why containers with files in these directories cannot have users of their own; nil = they can.
  func obstacle(_ directories: [String]) -> String? {
    guard Self.kernelKnowsMappedLayers else {
      return "this kernel has no overlay file system over mapped mounts (it came with Linux 5.19)"
    }
    for directory in directories {
      var status = stat()
      guard stat(directory, &status) == 0 else { continue }
      let error = verdicts[UInt64(status.st_dev)] ?? Self.verdict(directory)
      verdicts[UInt64(status.st_dev)] = error
      if error != 0 {
        return "mounts of the file system of \(directory) cannot be mapped to other users: \(sentence(ofErrno: error))"
      }
    }
    return nil
  }

  private static func verdict(_ directory: String) -> Int32 {
    let namespace = wherry_user_namespace(first, ContainerUsers.count)
    guard namespace >= 0 else { return errno }
    defer { close(namespace) }
    return wherry_supports_mapping(directory, namespace)
  }

  static let kernelKnowsMappedLayers: Bool = {
    let release = Files.text("/proc/sys/kernel/osrelease") ?? ""
    let numbers = release.split { $0 == "." || $0 == "-" }.prefix(2).compactMap { Int($0) }
    return numbers.count == 2 && (numbers[0], numbers[1]) >= (5, 19)
  }()

  static func unavailable(_ id: String, _ why: String) -> Failure {
    Failure(
      .start, code: "workload.userNamespace", message: "\(id) has no user namespace of its own: \(why)",
      remedy: "set user_namespaces = auto in agent.conf, or UserNamespace: host in the recipe")
  }
}
