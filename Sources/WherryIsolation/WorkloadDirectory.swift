import CIsolation
import Glibc
import WherryModel

/// `<stateDirectory>/workloads/<id>/`: what of a workload outlives the agent. The shim works in it.
struct WorkloadDirectory: Sendable {
  let path: String

  func file(_ name: String) -> String { path + "/" + name }

  /// The identity that a workload was started with. It gets its name once the shim is spawned: a directory without it
  /// is of a start that never came to that.
  static let identityName = "identity"
  static let identityPartialName = "identity.new"

  /// A named pipe, for workloads with an input.
  static let inputName = "stdin"

  var identity: String {
    Files.text(file(Self.identityName)) ?? Files.text(file(Self.identityPartialName)) ?? ""
  }

  var isLaunched: Bool { Files.exists(file(Self.identityName)) }

  /// Zero or an errno. On the way to a launch, and after it: a rename needs no space.
  func prepare(identity: String) -> Int32 { Files.write(Array(identity.utf8), to: file(Self.identityPartialName)) }
  func markLaunched() -> Int32 {
    rename(file(Self.identityPartialName), file(Self.identityName)) == 0 ? 0 : errno
  }

  /// By the machine's clock, a little before the shim was spawned; a rename leaves that time alone.
  var startedAt: Instant? {
    var status = stat()
    let names = [Self.identityName, Self.identityPartialName]
    guard names.contains(where: { stat(file($0), &status) == 0 }) else { return nil }
    return Instant(
      milliseconds: Int64(status.st_mtim.tv_sec) * 1000 + Int64(status.st_mtim.tv_nsec) / 1_000_000)
  }

  /// The first of its users on the host; nil = it has the host's.
  var usersFirst: UInt32? { Files.text(file("users")).flatMap { UInt32($0) } }
  func write(usersFirst: UInt32) -> Int32 { Files.write(Array("\(usersFirst)".utf8), to: file("users")) }

  /// The host's numbers of the first process and of its shim; nil before it runs.
  var pids: (workload: Int32, shim: Int32)? {
    let words = Files.text(file("pid"))?.split { $0 == " " || $0 == "\n" }.compactMap { Int32($0) } ?? []
    return words.count == 2 ? (workload: words[0], shim: words[1]) : nil
  }

  enum Connection {
    case connected(Int32)
    /// There is no shim: the kernel refuses a connection as soon as nobody holds the listening end.
    case gone
    /// With an errno. It says nothing about the shim, which may be stopped or slow; or this process has no descriptor
    /// left.
    case unreachable(Int32)
  }

  func reach() -> Connection {
    let descriptor = wherry_connect(path, "ctl.sock")
    if descriptor >= 0 { return .connected(descriptor) }
    let error = errno
    return error == ECONNREFUSED || error == ENOENT ? .gone : .unreachable(error)
  }

  /// What the shim wrote down before it ended.
  func readEnd() -> WorkloadEvent? {
    guard let text = Files.text(file("exit")) else { return nil }
    let words = text.split(separator: "\n").first?.split(separator: " ", maxSplits: 2).map(String.init) ?? []
    guard words.count == 3, let number = Int32(words[1]) else { return nil }
    if words[0] == "failed" { return .failure(step: words[2], errno: number) }
    let rest = words[2].split(separator: " ").compactMap { Int32($0) }
    guard words[0] == "exited", rest.count == 2 else { return nil }
    return .exited(WorkloadExit(code: number, signal: rest[0], oom: rest[1]))
  }

  /// What `execute` needs to know of the workload, written at start so that it is still known after an adoption.
  struct Probe: Equatable {
    /// Encoded.
    struct Steps: Equatable {
      var bytes: [UInt8]
      var count: Int
    }
    var environment: [String]
    /// Empty in what an older agent wrote down, which had all of it in `privileges`.
    var entry: Steps
    var privileges: Steps
    /// The host's number of the user that it runs as.
    var user: UInt32
  }

  func write(_ probe: Probe) -> Int32 {
    let environment = Array(probe.environment.joined(separator: "\0").utf8)
    let (entry, privileges) = (probe.entry, probe.privileges)
    let head = "\(privileges.count) \(environment.count) \(entry.count) \(entry.bytes.count) \(probe.user)\n"
    return Files.write(Array(head.utf8) + environment + entry.bytes + privileges.bytes, to: file("probe"))
  }

  func readProbe() -> Probe? {
    guard let bytes = Files.read(file("probe"), maximum: 4 << 20), let newline = bytes.firstIndex(of: 10) else {
      return nil
    }
    let numbers = String(decoding: bytes[..<newline], as: UTF8.self).split(separator: " ").compactMap { Int($0) }
    let (entryCount, entrySize) = numbers.count == 5 ? (numbers[2], numbers[3]) : (0, 0)
    guard numbers.count == 2 || numbers.count == 5, numbers.allSatisfy({ $0 >= 0 }),
      numbers[1] <= bytes.count, entrySize <= bytes.count, newline + 1 + numbers[1] + entrySize <= bytes.count
    else { return nil }
    let environmentEnd = newline + 1 + numbers[1]
    let environment = bytes[(newline + 1)..<environmentEnd].split(separator: 0)
    let entryEnd = environmentEnd + entrySize
    return Probe(
      environment: environment.map { String(decoding: $0, as: UTF8.self) },
      entry: Probe.Steps(bytes: Array(bytes[environmentEnd..<entryEnd]), count: entryCount),
      privileges: Probe.Steps(bytes: Array(bytes[entryEnd...]), count: numbers[0]),
      user: numbers.count == 5 ? UInt32(clamping: numbers[4]) : 0)
  }
}

extension WorkloadExit {
  /// As the shim says it: -1 and 0 stand for none.
  init(code: Int32, signal: Int32, oom: Int32) {
    self.init(code: code < 0 ? nil : code, signal: signal == 0 ? nil : signal, outOfMemory: oom != 0)
  }
}

extension WorkloadEvent {
  static func failure(step: String, errno number: Int32) -> WorkloadEvent {
    var sentence = "could not \(step): \(WherryIsolation.sentence(ofErrno: number))"
    if step.hasPrefix("execute"), number == ENOENT {
      sentence += " (neither the program nor, for a script, its interpreter may be missing)"
    } else if step.hasPrefix("execute"), number == ENOEXEC {
      sentence += " (it is not a program for this machine; a script needs a #! line)"
    }
    return .failedToStart(step: step, errno: number, sentence: sentence)
  }
}
