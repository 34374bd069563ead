import CMosquitto
import Glibc

/// A descriptor that one thread makes readable to wake another one out of `poll`.
final class WakeUp: Sendable {
  let descriptor: Int32

  /// nil when the process has no descriptor left.
  init?() {
    descriptor = wherry_eventfd()
    guard descriptor >= 0 else { return nil }
  }

  deinit {
    if descriptor >= 0 { close(descriptor) }
  }

  func signal() {
    var one: UInt64 = 1
    // It can only fail when 2^64 - 2 signals wait, and then the descriptor is readable anyway.
    _ = write(descriptor, &one, 8)
  }

  func clear() {
    var count: UInt64 = 0
    _ = read(descriptor, &count, 8)
  }
}
