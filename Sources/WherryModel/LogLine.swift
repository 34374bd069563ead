/// A line of a component's log, `2026-11-24T03:04:05.123Z O text`, as wherry-shim writes it.
package struct LogLine: Hashable, Sendable {
  /// Of the standard errors, not of the standard output.
  package var isError: Bool
  /// It was too long for one line, and goes on in the next.
  package var goesOn: Bool
  package var text: Substring

  /// Nil when it is none.
  package init?(_ line: String) {
    let parts = line.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 3, let mark = parts[1].first else { return nil }
    isError = mark == "E" || mark == "e"
    goesOn = mark == "o" || mark == "e"
    text = parts[2]
  }

  /// As the component wrote it.
  package var written: String { goesOn ? String(text) : text + "\n" }
}
