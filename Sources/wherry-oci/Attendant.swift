import CIsolation
import Glibc
import WherryIsolation
import WherryModel

/// A terminal between the person at this one and the container: its other end comes over a socket as it would to
/// conmon.
final class OwnTerminal {
  let path: String
  private let directory: String
  private let listener: Int32
  private(set) var master: Int32 = -1
  private var before: termios?

  init() throws {
    var template = Array("/tmp/wherry-oci.XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw Options.Misuse(description: "no directory can be made in /tmp") }
    directory = template.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
    path = directory + "/console"
    listener = wherry_listen_stream(path)
    guard listener >= 0 else { throw Options.Misuse(description: "no socket can be made at \(path)") }
  }

  deinit {
    if var before { tcsetattr(STDIN_FILENO, TCSANOW, &before) }
    for descriptor in [master, listener] where descriptor >= 0 { close(descriptor) }
    unlink(path)
    rmdir(directory)
  }

  /// It has been sent by now, if the process wanted one.
  func receive() -> Bool {
    var entry = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
    guard poll(&entry, 1, 0) > 0 else { return false }
    master = wherry_receive_descriptor(listener)
    return master >= 0
  }

  func begin() {
    guard isatty(STDIN_FILENO) == 1 else { return }
    var now = termios()
    tcgetattr(STDIN_FILENO, &now)
    before = now
    cfmakeraw(&now)
    tcsetattr(STDIN_FILENO, TCSANOW, &now)
    resize()
  }

  func resize() {
    var size = winsize()
    if ioctl(STDIN_FILENO, UInt(TIOCGWINSZ), &size) == 0 { _ = ioctl(master, UInt(TIOCSWINSZ), &size) }
  }
}

/// Stays with a process until it ends, passes signals on, and carries what goes over its terminal.
struct Attendant {
  let pid: Int32
  let terminal: OwnTerminal?

  private static let passedOn = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH]

  /// Before the process is made, so that none is lost.
  static func holdSignals() {
    var set = sigset_t()
    sigemptyset(&set)
    for number in passedOn + [SIGCHLD] { sigaddset(&set, number) }
    sigprocmask(SIG_BLOCK, &set, nil)
  }

  /// - Returns: its exit code, or 128 and the signal that ended it.
  func wait() -> Int32 {
    var set = sigset_t()
    sigemptyset(&set)
    for number in Self.passedOn + [SIGCHLD] { sigaddset(&set, number) }
    let signals = wherry_signal_descriptor(&set)
    let hasTerminal = terminal?.receive() == true
    if hasTerminal { terminal?.begin() }
    var isInputOpen = hasTerminal
    while true {
      var entries = [
        pollfd(fd: signals, events: Int16(POLLIN), revents: 0),
        pollfd(fd: hasTerminal ? terminal?.master ?? -1 : -1, events: Int16(POLLIN), revents: 0),
        pollfd(fd: isInputOpen ? STDIN_FILENO : -1, events: Int16(POLLIN), revents: 0),
      ]
      poll(&entries, 3, -1)
      if entries[1].revents != 0 { _ = Self.carry(terminal?.master ?? -1, STDOUT_FILENO) }
      if entries[2].revents != 0, !Self.carry(STDIN_FILENO, terminal?.master ?? -1) { isInputOpen = false }
      if entries[0].revents != 0, let code = handle(signals) {
        // What it wrote last is still on its way.
        while hasTerminal, Self.carry(terminal?.master ?? -1, STDOUT_FILENO) {}
        return code
      }
    }
  }

  private func handle(_ signals: Int32) -> Int32? {
    let number = wherry_next_signal(signals)
    if number == SIGWINCH { terminal?.resize() } else if number > 0, number != SIGCHLD { kill(pid, number) }
    var status: Int32 = 0
    let ended = waitpid(pid, &status, WNOHANG)
    // Not a child of this process any more when somebody else has looked after it.
    if ended < 0, errno == ECHILD { return 1 }
    guard ended == pid else { return nil }
    return status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f
  }

  /// - Returns: false when there is nothing more.
  private static func carry(_ source: Int32, _ target: Int32) -> Bool {
    var buffer = [UInt8](repeating: 0, count: 4_096)
    let count = read(source, &buffer, buffer.count)
    guard count > 0 else { return false }
    return write(target, buffer, count) == count
  }
}
