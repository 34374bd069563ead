import Glibc

/// The terminal or pipe that the command talks to.
enum Console {
  static let isTerminal = isatty(STDOUT_FILENO) == 1

  /// Columns; 0 when the output is no terminal.
  static var width: Int {
    var size = winsize()
    guard isTerminal, ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0 else { return 0 }
    return Int(size.ws_col)
  }

  /// Unbuffered, so that what was printed is there when the process is killed.
  static func write(_ text: String, toError: Bool = false) {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let descriptor = toError ? STDERR_FILENO : STDOUT_FILENO
      let written = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if written < 0 {
        if errno == EINTR { continue }
        // The reader went away (`wherry … | head`): there is nobody left to tell.
        exit(1)
      }
      bytes = bytes.dropFirst(written)
    }
  }

  static func line(_ text: String = "") { write(text + "\n") }

  private enum Style: String {
    case red = "31"
    case green = "32"
    case yellow = "33"
    case dim = "2"
  }

  private static func styled(_ text: String, _ style: Style) -> String {
    isTerminal ? "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m" : text
  }

  static func good(_ text: String) -> String { styled(text, .green) }
  static func bad(_ text: String) -> String { styled(text, .red) }
  static func warn(_ text: String) -> String { styled(text, .yellow) }
  static func dim(_ text: String) -> String { styled(text, .dim) }

  /// Columns padded to their widest cell; escape sequences take no width.
  static func table(_ header: [String], _ rows: [[String]]) -> String {
    let all = [header] + rows
    let widths = header.indices.map { column in all.map { visibleWidth($0[column]) }.max() ?? 0 }
    return all.map { row in
      let cells = zip(row, widths).map { cell, width in
        cell + String(repeating: " ", count: max(0, width - visibleWidth(cell)))
      }
      let joined = cells.joined(separator: "  ")
      return String(joined.reversed().drop(while: { $0 == " " }).reversed())
    }.joined(separator: "\n") + "\n"
  }

  private static func visibleWidth(_ text: String) -> Int {
    var width = 0
    var isEscape = false
    for character in text {
      if character == "\u{1B}" { isEscape = true }
      if !isEscape { width += 1 }
      if isEscape, character == "m" { isEscape = false }
    }
    return width
  }

  /// `1.5 MB`, as people read sizes.
  static func bytes(_ count: Int64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"]
    var value = Double(count)
    var unit = 0
    while value >= 1000, unit < units.count - 1 {
      value /= 1000
      unit += 1
    }
    let tenths = Int((value * 10).rounded())
    return unit == 0 ? "\(count) B" : "\(tenths / 10).\(tenths % 10) \(units[unit])"
  }
}
