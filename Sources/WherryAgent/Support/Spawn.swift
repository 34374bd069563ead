import Glibc
import WherryModel

/// Starts a program with the given standard input and output, the agent's standard error, and nothing else of its own.
enum Spawn {
  static func start(_ arguments: [String], input: Int32, output: Int32) throws(Failure) -> pid_t {
    closeOthersOnExec()
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO)
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var defaults = sigset_t()
    sigemptyset(&defaults)
    for signal in [SIGPIPE, SIGTERM, SIGINT, SIGHUP] { sigaddset(&defaults, signal) }
    posix_spawnattr_setsigdefault(&attributes, &defaults)
    // A group of its own: Ctrl-C on the agent's terminal is the agent's affair.
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))
    var pointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
    pointers.append(nil)
    defer { for pointer in pointers { free(pointer) } }
    var pid: pid_t = 0
    let code = posix_spawn(&pid, arguments[0], &actions, &attributes, pointers, environ)
    guard code == 0 else {
      throw Files.failure("start", arguments[0], number: code)
    }
    return pid
  }

  /// Libraries open descriptors without the flag, libmosquitto its connection to the broker among them, which a worker
  /// that reads hostile bytes must not have. `posix_spawn` could close them itself, but Glibc hides how from Swift.
  static func closeOthersOnExec() {
    for name in Files.names(in: "/proc/self/fd") {
      guard let descriptor = Int32(name), descriptor > STDERR_FILENO else { continue }
      _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    }
  }

  /// Two ends that close on exec from their first moment on, which a pipe cannot have here: Glibc's pipe2 is hidden.
  static func channel() throws(Failure) -> (read: Int32, write: Int32) {
    var ends: [Int32] = [-1, -1]
    let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
    guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else { throw Files.failure("make", "a pair of sockets") }
    return (ends[0], ends[1])
  }

  static func setNonBlocking(_ descriptor: Int32) {
    _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
  }
}

/// Cuts what arrives in pieces into lines; a line that never ends is given up.
struct LineBuffer {
  private var bytes: [UInt8] = []
  let lineMaximum: Int
  private(set) var isOverflown = false

  init(lineMaximum: Int = 1 << 20) { self.lineMaximum = lineMaximum }

  mutating func append(_ more: some Collection<UInt8>) -> [[UInt8]] {
    var lines: [[UInt8]] = []
    for byte in more {
      if byte == UInt8(ascii: "\n") {
        lines.append(bytes)
        bytes.removeAll(keepingCapacity: true)
      } else if bytes.count < lineMaximum {
        bytes.append(byte)
      } else {
        isOverflown = true
      }
    }
    return lines
  }
}
