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

/// `2026-11-24T03:04:05.123Z`, as the shim writes it in front of each line; texts sort as the times do.
enum Timestamp {
  static func text(of instant: Instant) -> String {
    var seconds = time_t(instant.milliseconds / 1000)
    var parts = tm()
    gmtime_r(&seconds, &parts)
    let date = "\(Int(parts.tm_year) + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
    let fraction = String(instant.milliseconds % 1000 + 1000).dropFirst()
    return "\(date)T\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)).\(fraction)Z"
  }

  private static func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
}
