import Glibc

/// Carries what goes over a container's terminal, both ways. Neither side is waited for: a container that does not read
/// may still write, and who does not look at its output may still type.
package struct TerminalRelay {
  private let master: Int32
  private var output: [UInt8] = []
  private var input: [UInt8] = []
  private var isTerminalOpen = true
  private var isInputOpen = true
  private var isOutputOpen = true

  /// Of what waits in one direction.
  private static let bytesMaximum = 1 << 16
  /// What poll(2) calls writable takes this much at once (pipe(7), PIPE_BUF).
  private static let pieceMaximum = 4_096

  /// - Parameter master: does not block.
  package init(master: Int32) {
    self.master = master
    // Whoever reads the output may go away before the container does.
    signal(SIGPIPE, SIG_IGN)
  }

  /// To be polled, in this order: the terminal, the person's input, and his output. What there is nothing to do for has
  /// no descriptor, so that its end does not keep poll from waiting.
  package var entries: [pollfd] {
    let reads = isTerminalOpen && output.count < Self.bytesMaximum
    let writes = isTerminalOpen && !input.isEmpty
    let events = (reads ? POLLIN : 0) | (writes ? POLLOUT : 0)
    let takes = isTerminalOpen && isInputOpen && input.count < Self.bytesMaximum
    return [
      pollfd(fd: events == 0 ? -1 : master, events: Int16(events), revents: 0),
      pollfd(fd: takes ? STDIN_FILENO : -1, events: Int16(POLLIN), revents: 0),
      pollfd(fd: output.isEmpty ? -1 : STDOUT_FILENO, events: Int16(POLLOUT), revents: 0),
    ]
  }

  package mutating func carry(_ entries: ArraySlice<pollfd>) {
    let happened = entries.map { Int32($0.revents) }
    guard happened.count == 3 else { return }
    if happened[0] & POLLIN != 0 { isTerminalOpen = take(from: master, to: \.output) }
    if happened[0] & POLLOUT != 0 { isTerminalOpen = isTerminalOpen && give(\.input, to: master) }
    // Everybody inside has closed it. What is left of its output comes with POLLIN.
    if happened[0] & (POLLHUP | POLLERR) != 0, happened[0] & POLLIN == 0 {
      if output.count < Self.bytesMaximum { isTerminalOpen = false } else { input = [] }
    }
    if happened[1] != 0 { isInputOpen = take(from: STDIN_FILENO, to: \.input) }
    if happened[2] != 0, !give(\.output, to: STDOUT_FILENO) { isOutputOpen = false }
    if !isOutputOpen { output = [] }
  }

  /// What the process wrote before its end. Others may go on writing, for which nobody waits.
  package mutating func finish() {
    var left = 2 * Self.bytesMaximum
    while isTerminalOpen, left > 0 {
      let before = output.count
      isTerminalOpen = take(from: master, to: \.output)
      if output.count == before { break }
      left -= output.count - before
    }
    while isOutputOpen, !output.isEmpty, give(\.output, to: STDOUT_FILENO) {}
  }

  /// - Returns: false when there is nothing more.
  private mutating func take(from source: Int32, to buffer: WritableKeyPath<Self, [UInt8]>) -> Bool {
    var piece = [UInt8](repeating: 0, count: Self.pieceMaximum)
    let count = read(source, &piece, piece.count)
    if count > 0 { self[keyPath: buffer] += piece[..<count] }
    return count > 0 || count < 0 && (errno == EAGAIN || errno == EINTR)
  }

  /// - Returns: false when nobody takes it any more.
  private mutating func give(_ buffer: WritableKeyPath<Self, [UInt8]>, to target: Int32) -> Bool {
    let count = write(target, self[keyPath: buffer], min(self[keyPath: buffer].count, Self.pieceMaximum))
    if count > 0 { self[keyPath: buffer].removeFirst(count) }
    return count > 0 || count < 0 && (errno == EAGAIN || errno == EINTR)
  }
}
