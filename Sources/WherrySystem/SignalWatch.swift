import CIsolation
import Glibc

/// Signals for somebody else, held from now on so that none ends this process (signalfd(2)).
package final class SignalWatch {
  package let descriptor: Int32

  private var before = sigset_t()

  private static let passedOn = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH]

  /// - Parameter hasChildren: also SIGCHLD, for who has children to wait for.
  package init(hasChildren: Bool = false) {
    var set = sigset_t()
    sigemptyset(&set)
    for number in Self.passedOn + (hasChildren ? [SIGCHLD] : []) { sigaddset(&set, number) }
    sigprocmask(SIG_BLOCK, &set, &before)
    descriptor = wherry_signal_descriptor(&set)
    _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// For who goes on afterwards, in the same thread: what it starts would be deaf to these signals for ever.
  package func end() { sigprocmask(SIG_SETMASK, &before, nil) }

  /// The next that has come; nil = none.
  package func next() -> Int32? {
    let number = wherry_next_signal(descriptor)
    return number > 0 ? number : nil
  }
}
