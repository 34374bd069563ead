import Glibc

/// The terminal that a person sits at, while what is typed is for somebody else: every key is handed on, and the other
/// terminal is as large as this one.
package final class PersonsTerminal {
  private let master: Int32
  private var before: termios?

  /// - Parameter master: the other end of the other terminal. It is not closed by this.
  package init(master: Int32) {
    self.master = master
    var settings = termios()
    guard tcgetattr(STDIN_FILENO, &settings) == 0 else { return }
    before = settings
    cfmakeraw(&settings)
    tcsetattr(STDIN_FILENO, TCSANOW, &settings)
    resize()
  }

  deinit { if var before { tcsetattr(STDIN_FILENO, TCSANOW, &before) } }

  package func resize() {
    var size = winsize()
    if ioctl(STDIN_FILENO, UInt(TIOCGWINSZ), &size) == 0 { _ = ioctl(master, UInt(TIOCSWINSZ), &size) }
  }
}
