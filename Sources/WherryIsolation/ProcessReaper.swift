import Glibc

/// Children that nobody waits for any more: they ended, or were killed and end when the kernel lets them. In an
/// uninterruptible call that may be never, and the agent has one thread, so they are only looked at.
package final class ProcessReaper {
  private var children: [Int32] = []

  package init() {}

  package var isEmpty: Bool { children.isEmpty }

  /// Takes over a child of this process. Its number stays its own until it is reaped here.
  package func take(_ pid: Int32) {
    if !Self.isReaped(pid) { children.append(pid) }
  }

  /// One look at each, never waiting.
  package func reap() { children.removeAll(where: Self.isReaped) }

  static func isReaped(_ pid: Int32) -> Bool { waitpid(pid, nil, WNOHANG) != 0 }
}

/// A shim that is a child of this process. After an agent restart it is somebody else's child and reaped by them.
final class ShimProcess {
  private var pid: Int32?

  init(pid: Int32) { self.pid = pid }

  /// True when there is nothing left to reap.
  @discardableResult
  func reapIfEnded() -> Bool {
    if let pid, ProcessReaper.isReaped(pid) { self.pid = nil }
    return pid == nil
  }

  /// For one that nobody asks for any more: it ends by itself, now or later.
  func leave(to reaper: ProcessReaper) {
    if let pid { reaper.take(pid) }
    pid = nil
  }
}
