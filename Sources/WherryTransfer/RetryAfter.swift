/// When a server wants to be asked again (RFC 9110 §10.2.3): in so many seconds, or at a time. A time is read by the
/// server's own clock, its `Date` header: a device that has just started may not know the time.
package enum RetryAfter {
  /// Longer than this nobody is believed.
  package static let millisecondsMaximum: Int64 = 300_000

  /// - Parameter headers: names in lower case.
  /// - Returns: nil when it does not say, or says what cannot be read.
  package static func milliseconds(in headers: [String: String]) -> Int64? {
    guard let text = headers["retry-after"] else { return nil }
    if text.utf8.allSatisfy({ (48...57).contains($0) }), !text.isEmpty {
      // More digits than fit are a long time, too.
      return min(Int64(text) ?? .max, millisecondsMaximum / 1_000) * 1_000
    }
    guard let then = seconds(text), let now = headers["date"].flatMap({ seconds($0) }) else { return nil }
    return min(max(0, then - now), millisecondsMaximum / 1_000) * 1_000
  }

  private static let months = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
  ]

  /// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT`, the one form that servers may write (RFC 9110 §5.6.7).
  private static func seconds(_ text: String) -> Int64? {
    let words = text.split(separator: " ")
    guard words.count == 6, words[0].utf8.count == 4, words[5] == "GMT", let day = number(words[1], 2, 1...31),
      let month = months.firstIndex(of: String(words[2])), let year = number(words[3], 4, 1970...9999)
    else { return nil }
    let clock = words[4].split(separator: ":", omittingEmptySubsequences: false)
    guard clock.count == 3, let hour = number(clock[0], 2, 0...23), let minute = number(clock[1], 2, 0...59),
      let second = number(clock[2], 2, 0...60)
    else { return nil }
    return days(year, Int64(month) + 1, day) * 86_400 + hour * 3_600 + minute * 60 + second
  }

  private static func number(_ text: Substring, _ digits: Int, _ range: ClosedRange<Int64>) -> Int64? {
    guard text.utf8.count == digits, text.utf8.allSatisfy({ (48...57).contains($0) }), let value = Int64(text),
      range.contains(value)
    else { return nil }
    return value
  }

  /// Since 1970, in the Gregorian calendar. A year is counted from March, so that the leap day is its last.
  private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
    let year = month > 2 ? year : year - 1
    let sinceMarch = (month + 9) % 12
    let dayOfYear = (153 * sinceMarch + 2) / 5 + day - 1
    return year * 365 + year / 4 - year / 100 + year / 400 + dayOfYear - 719_468
  }
}
