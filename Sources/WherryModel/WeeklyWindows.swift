/// Times of the week in somebody's own time: `22:00-06:00`, `Sat,Sun 00:00-24:00`; several are separated by semicolons.
/// A window without days opens every day; one whose end is not after its beginning ends on the next day.
package struct WeeklyWindows: Hashable, Sendable {
  private var windows: [Window]
  /// As it was written.
  package let text: String

  private struct Window: Hashable {
    /// 0 = Monday.
    var days: [Int64]
    /// Minutes of the day, 0 to 1440.
    var start: Int64
    var end: Int64

    /// Seconds since Monday 00:00; the end may lie in the next week.
    var spans: [(start: Int64, end: Int64)] {
      days.map { day in
        let start = (day * 1440 + start) * 60
        return (start, start + ((end > self.start ? end : end + 1440) - self.start) * 60)
      }
    }
  }

  package struct Problem: Error, Hashable, Sendable {
    package var message: String
    package var remedy: String
  }

  package static let weekSeconds: Int64 = 604_800
  private static let dayNames = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
  private static let windowsMaximum = 50

  package init(parsing text: String) throws(Problem) {
    self.text = text
    windows = []
    for part in text.split(separator: ";", omittingEmptySubsequences: false) { windows.append(try Self.window(part)) }
    guard windows.count <= Self.windowsMaximum else {
      throw Problem(
        message: "there are \(windows.count) windows", remedy: "write \(Self.windowsMaximum) of them at most")
    }
  }

  private static func window(_ text: Substring) throws(Problem) -> Window {
    let words = text.split(separator: " ")
    guard let span = words.last, words.count <= 2 else { throw malformed(text) }
    let ends = span.split(separator: "-", omittingEmptySubsequences: false)
    guard ends.count == 2, let start = minutes(ends[0]), let end = minutes(ends[1]), start < 1440, start != end else {
      throw malformed(text)
    }
    var days: [Int64] = []
    for name in words.count == 2 ? words[0].split(separator: ",", omittingEmptySubsequences: false) : [] {
      guard let day = dayNames.firstIndex(of: name.lowercased()) else {
        throw Problem(
          message: "\"\(name.prefix(40))\" in \"\(text.prefix(80))\" is no day of the week",
          remedy: "use Mon, Tue, Wed, Thu, Fri, Sat and Sun, separated by commas")
      }
      days.append(Int64(day))
    }
    return Window(days: days.isEmpty ? Array(0..<7) : days, start: start, end: end)
  }

  private static func minutes(_ text: Substring) -> Int64? {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2, parts.allSatisfy({ $0.utf8.count == 2 && $0.utf8.allSatisfy { (48...57).contains($0) } }),
      let hour = Int64(parts[0]), let minute = Int64(parts[1]), minute < 60, hour * 60 + minute <= 1440
    else { return nil }
    return hour * 60 + minute
  }

  private static func malformed(_ text: Substring) -> Problem {
    Problem(
      message: "\"\(text.prefix(80))\" is not a window", remedy: "write it as 22:00-06:00 or as Sat,Sun 00:00-24:00")
  }

  package enum Openness: Hashable, Sendable {
    /// Nil = for ever.
    case open(forSeconds: Int64?)
    case shut(forSeconds: Int64)
  }

  /// - Parameter second: of the week, since Monday 00:00, in the time that the windows are meant in.
  package func openness(atSecondOfWeek second: Int64) -> Openness {
    let spans = windows.flatMap(\.spans)
    let now = Self.withinWeek(second)
    var end = now
    // Windows that touch or overlap are one; a week of them never shuts.
    while let next = spans.lazy.compactMap({ Self.end(of: $0, at: end) }).max(), next > end {
      end = next
      if end - now >= Self.weekSeconds { return .open(forSeconds: nil) }
    }
    if end > now { return .open(forSeconds: end - now) }
    let waits = spans.map { Self.withinWeek($0.start - now) }
    return .shut(forSeconds: waits.min() ?? Self.weekSeconds)
  }

  /// When the span ends that holds the second, which may lie in a later week; nil = it does not.
  private static func end(of span: (start: Int64, end: Int64), at second: Int64) -> Int64? {
    let since = withinWeek(second - span.start)
    return since < span.end - span.start ? second + (span.end - span.start) - since : nil
  }

  /// 0 to a week, whichever week it was.
  private static func withinWeek(_ second: Int64) -> Int64 { (second % weekSeconds + weekSeconds) % weekSeconds }
}
