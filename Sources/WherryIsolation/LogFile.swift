/// A workload's log as the shim writes it: `2026-11-24T03:04:05.123Z O text`, rotated into `<path>.1` … `<path>.3`.
package enum LogFile {
  /// The last lines, oldest first, whole as stored.
  package static func tail(path: String, lines: Int) -> [String] { [] }
}

/// Reads what is appended to a log, over rotations.
package struct LogFollower {
  /// Starts at the end when `fromEnd`, else at the oldest line kept.
  package init(path: String, fromEnd: Bool) {}
  /// The lines that are new since the last call, at most `maximum`.
  package mutating func readLines(maximum: Int = 1000) -> [String] { [] }
  package mutating func close() {}
}
