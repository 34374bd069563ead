import Glibc
import WherryJSON
import WherryModel
import WherryOCI
import WherrySystem

/// This program once more, in another mode, with a few open files.
final class ChildWorker {
  enum End: Equatable, CustomStringConvertible {
    case exited(Int32)
    case killed(Int32)
    var description: String {
      switch self {
      case .exited(let code): "ended with code \(code)"
      case .killed(let signal): "was killed by signal \(signal)"
      }
    }
  }

  /// Where the child finds the first file; the others follow it.
  static let inheritedDescriptor: Int32 = 3
  private static let outputBytesMaximum = 1 << 16

  private let process: pid_t
  private let output: Int32
  private var said: [UInt8] = []

  init(mode: String, job: JSON, inherited: [Int32]) throws(Failure) {
    // All are duplicated above what the child uses, so that no dup2 overwrites one that is still needed.
    guard let input = Self.pipe(), let output = Self.pipe() else { throw Self.failure("no pipe") }
    let files = inherited.map { fcntl($0, F_DUPFD_CLOEXEC, 10) }
    defer { for descriptor in [input.read, output.write] + files { close(descriptor) } }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, input.read, STDIN_FILENO)
    posix_spawn_file_actions_adddup2(&actions, output.write, STDOUT_FILENO)
    for (place, file) in zip(Self.inheritedDescriptor..., files) {
      posix_spawn_file_actions_adddup2(&actions, file, place)
    }
    var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("wherry-fetch"), strdup(mode), nil]
    var environment: [UnsafeMutablePointer<CChar>?] = [nil]
    defer { for argument in arguments { free(argument) } }
    var process: pid_t = 0
    // Its own are duplicates, which stay open.
    Confinement.closeOthersOnExec()
    let code = posix_spawn(&process, "/proc/self/exe", &actions, nil, &arguments, &environment)
    guard code == 0 else {
      close(input.write)
      close(output.read)
      errno = code
      throw Self.failure("no process")
    }
    self.process = process
    self.output = output.read
    // A job is far smaller than a pipe holds; a child that dies at once only makes this fail quietly.
    Descriptor.write(job.canonicalBytes, to: input.write)
    close(input.write)
  }

  private static func failure(_ what: String) -> Failure {
    Failure(
      .internalError, code: "worker.failed", message: "\(what) could be had: \(String(cString: strerror(errno)))",
      remedy: "look at the device's memory and process limits")
  }

  private static func pipe() -> (read: Int32, write: Int32)? {
    var ends: [Int32] = [-1, -1]
    guard Glibc.pipe(&ends) == 0 else { return nil }
    let raised = ends.map { fcntl($0, F_DUPFD_CLOEXEC, 10) }
    for end in ends { close(end) }
    return raised.contains { $0 < 0 } ? nil : (raised[0], raised[1])
  }

  /// Can be read when it has said something, or nothing more will come.
  var descriptor: Int32 { output }

  /// Takes what it has said.
  /// - Returns: whether more may come.
  func listen() -> Bool {
    var buffer = [UInt8](repeating: 0, count: 4_096)
    let count = read(output, &buffer, buffer.count)
    if count < 0, errno == EINTR { return true }
    guard count > 0 else { return false }
    said += buffer[..<count]
    return said.count <= Self.outputBytesMaximum
  }

  /// It ends soon; whatever it was doing stays half done.
  func cancel() { kill(process, SIGKILL) }

  /// Its whole output, and how it ended, for which this waits.
  func conclude() -> ([UInt8], End) {
    // One that still talks gets to know that nobody listens.
    close(output)
    var status: Int32 = 0
    while waitpid(process, &status, 0) < 0, errno == EINTR {}
    let signal = status & 0x7f
    return (said, signal == 0 ? .exited((status >> 8) & 0xff) : .killed(signal))
  }
}
