/// Times in UTC as text, without a date library: days since 1970 to a civil date (Howard Hinnant's algorithm).
package enum Timestamp {
  /// For people: `2026-11-24 03:47:12Z`.
  package static func text(_ instant: Instant) -> String {
    let (date, time) = parts(instant)
    return "\(date) \(time)Z"
  }

  /// For logs: `2026-11-24T03:04:05.123Z`, as the shim writes it in front of each line; texts sort as the times do.
  package static func sortable(_ instant: Instant) -> String {
    let (date, time) = parts(instant)
    return "\(date)T\(time).\(String(instant.milliseconds % 1000 + 1000).dropFirst())Z"
  }

  private static func parts(_ instant: Instant) -> (date: String, time: String) {
    let seconds = instant.milliseconds / 1000
    let (year, month, day) = civil(seconds / 86_400)
    let rest = seconds % 86_400
    return ("\(year)-\(two(month))-\(two(day))", "\(two(rest / 3_600)):\(two(rest / 60 % 60)):\(two(rest % 60))")
  }

  private static func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }

  private static func civil(_ days: Int64) -> (Int64, Int64, Int64) {
    let shifted = days + 719_468
    let era = shifted / 146_097
    let dayOfEra = shifted % 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
  }
}
