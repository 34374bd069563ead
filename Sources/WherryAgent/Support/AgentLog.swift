import Glibc
import WherryModel

package enum LogLevel: Int, Comparable, Sendable {
  case error, warning, info, debug

  package init?(_ text: String) {
    switch text {
    case "error": self = .error
    case "warning": self = .warning
    case "info": self = .info
    case "debug": self = .debug
    default: return nil
    }
  }

  var word: String {
    switch self {
    case .error: "error"
    case .warning: "warning"
    case .info: "info"
    case .debug: "debug"
    }
  }

  package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// The agent's own log: one line per entry, `time level message key=value …`. A logging library would be the largest
/// part of the program after the standard library.
package struct AgentLog {
  package var level: LogLevel
  private let sink: (String) -> Void

  package init(level: LogLevel, sink: @escaping (String) -> Void = AgentLog.toStandardError) {
    self.level = level
    self.sink = sink
  }

  package func error(_ message: String, _ metadata: KeyValuePairs<String, String> = [:]) {
    write(.error, message, metadata)
  }
  package func warning(_ message: String, _ metadata: KeyValuePairs<String, String> = [:]) {
    write(.warning, message, metadata)
  }
  package func info(_ message: String, _ metadata: KeyValuePairs<String, String> = [:]) {
    write(.info, message, metadata)
  }
  package func debug(_ message: @autoclosure () -> String, _ metadata: KeyValuePairs<String, String> = [:]) {
    if level >= .debug { write(.debug, message(), metadata) }
  }

  private func write(_ level: LogLevel, _ message: String, _ metadata: KeyValuePairs<String, String>) {
    guard level <= self.level else { return }
    var line = "\(Timestamp.sortable(SystemClock.wallNow)) \(level.word) \(message)"
    for (key, value) in metadata { line += " \(key)=\(Self.quoted(value))" }
    // A line is a line, whatever a broker's answer holds.
    let bytes = line.utf8.map { $0 < 0x20 ? UInt8(ascii: " ") : $0 }
    sink(String(decoding: bytes, as: UTF8.self) + "\n")
  }

  private static func quoted(_ value: String) -> String {
    let isPlain = !value.isEmpty && value.utf8.allSatisfy { $0 > 0x20 && $0 != UInt8(ascii: "\"") }
    return isPlain ? value : "\"\(value)\""
  }

  package static let toStandardError: @Sendable (String) -> Void = { line in
    let bytes = Array(line.utf8)
    // Nobody is left to tell when this fails.
    _ = Glibc.write(STDERR_FILENO, bytes, bytes.count)
  }
}
