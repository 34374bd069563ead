/// A point in time, in milliseconds. The core never reads a clock: whoever calls it says what time it is.
/// On the device it is the boot clock for timers; in messages it is milliseconds since 1970 (UTC).
package struct Instant: Hashable, Sendable, Comparable, CustomStringConvertible {
  package let milliseconds: Int64
  package init(milliseconds: Int64) { self.milliseconds = milliseconds }
  package static let zero = Instant(milliseconds: 0)

  package func advanced(byMilliseconds delta: Int64) -> Instant {
    let (sum, overflow) = milliseconds.addingReportingOverflow(delta)
    return Instant(milliseconds: overflow ? (delta < 0 ? .min : .max) : sum)
  }
  package func advanced(bySeconds seconds: Int) -> Instant {
    let (delta, overflow) = Int64(seconds).multipliedReportingOverflow(by: 1000)
    return advanced(byMilliseconds: overflow ? (seconds < 0 ? .min : .max) : delta)
  }
  package func milliseconds(since earlier: Instant) -> Int64 { milliseconds - earlier.milliseconds }
  package static func < (left: Self, right: Self) -> Bool { left.milliseconds < right.milliseconds }
  package var description: String { "\(milliseconds)ms" }
}
