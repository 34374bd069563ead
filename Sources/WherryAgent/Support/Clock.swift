import Glibc
import WherryModel

package protocol AgentClock: AnyObject {
  /// Boot clock: runs while the machine sleeps, starts anew with each boot, is never set. For timers.
  var now: Instant { get }
  /// Milliseconds since 1970, as far as the device knows. For what others wrote a time into.
  var wall: Instant { get }
}

package final class SystemClock: AgentClock {
  package init() {}
  package var now: Instant { Self.read(CLOCK_BOOTTIME) }
  package var wall: Instant { Self.wallNow }

  static var wallNow: Instant { read(CLOCK_REALTIME) }

  private static func read(_ clock: clockid_t) -> Instant {
    var time = timespec()
    clock_gettime(clock, &time)
    return Instant(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
  }
}
