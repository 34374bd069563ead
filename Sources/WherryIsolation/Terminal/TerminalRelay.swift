import Glibc

/// Between the person at this process's streams and the other end of a terminal. Nothing waits for one side while the
/// other has something: a program that does not read what is typed can still be heard, and ended.
package final class TerminalRelay {
  private var master: Int32
  private var isInputOpen = true
  /// Typed, and not taken yet.
  private var pending: [UInt8] = []
  private var settingsBefore: termios?

  private static let pendingMaximum = 64 << 10

  /// Owns the descriptor. Where the input is a terminal itself it hands every key on from now on.
  package init(master: Int32) {
    self.master = master
    _ = fcntl(master, F_SETFL, fcntl(master, F_GETFL) | O_NONBLOCK)
    var settings = termios()
    guard tcgetattr(STDIN_FILENO, &settings) == 0 else { return }
    settingsBefore = settings
    cfmakeraw(&settings)
    tcsetattr(STDIN_FILENO, TCSADRAIN, &settings)
    resize()
  }

  deinit {
    if var settingsBefore { tcsetattr(STDIN_FILENO, TCSADRAIN, &settingsBefore) }
    if master >= 0 { close(master) }
  }

  /// As large as the person's own.
  package func resize() {
    var size = winsize()
    if ioctl(STDIN_FILENO, UInt(TIOCGWINSZ), &size) == 0 { _ = ioctl(master, UInt(TIOCSWINSZ), &size) }
  }

  /// Waits until there is something to do, here or at one of the descriptors, and does what there is here.
  package func turn(watching descriptors: [Int32]) {
    var entries = descriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
    let masterEvents = POLLIN | (pending.isEmpty ? 0 : POLLOUT)
    entries.append(pollfd(fd: master, events: Int16(masterEvents), revents: 0))
    let mayRead = isInputOpen && master >= 0 && pending.count < Self.pendingMaximum
    entries.append(pollfd(fd: mayRead ? STDIN_FILENO : -1, events: Int16(POLLIN), revents: 0))
    guard poll(&entries, nfds_t(entries.count), -1) > 0 else { return }
    if entries[descriptors.count + 1].revents != 0 { readInput() }
    writePending()
    if entries[descriptors.count].revents & Int16(POLLIN | POLLHUP | POLLERR) != 0 { _ = readMaster() }
  }

  /// What was written before the process ended. Others that it left behind may go on writing and are not waited for.
  package func drain() {
    for _ in 0..<Self.drainMaximum where readMaster() {}
  }

  /// A terminal holds some kilobytes at the most.
  private static let drainMaximum = 64

  private func readInput() {
    var buffer = [UInt8](repeating: 0, count: 4_096)
    let count = read(STDIN_FILENO, &buffer, buffer.count)
    if count < 0 && (errno == EINTR || errno == EAGAIN) { return }
    guard count > 0 else {
      isInputOpen = false
      // Whoever reads from a terminal learns of the end by this key (termios(3), VEOF).
      pending.append(4)
      return
    }
    pending += buffer[..<count]
  }

  private func writePending() {
    guard master >= 0, !pending.isEmpty else { return }
    let count = write(master, pending, pending.count)
    if count > 0 { pending.removeFirst(count) }
  }

  /// False = there is nothing at the moment, or ever again.
  private func readMaster() -> Bool {
    guard master >= 0 else { return false }
    var buffer = [UInt8](repeating: 0, count: 16_384)
    let count = read(master, &buffer, buffer.count)
    if count < 0 && (errno == EINTR || errno == EAGAIN) { return false }
    guard count > 0 else {
      // Nobody has the other end open any more (EIO). It would be ready for ever.
      close(master)
      master = -1
      return false
    }
    var rest = buffer[..<count]
    while !rest.isEmpty {
      let written = rest.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
      if written < 0 && errno == EINTR { continue }
      guard written > 0 else { return true }
      rest = rest.dropFirst(written)
    }
    return true
  }
}
