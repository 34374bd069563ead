import Glibc

/// A workload's log as the shim writes it: `2026-11-24T03:04:05.123Z O text`, rotated into `<path>.1` … `<path>.3`.
/// O is standard output, E standard error; `o` and `e` say that the line goes on in the next one; S is the shim itself.
package enum LogFile {
  static let generations = 4

  /// Oldest first.
  static func paths(_ path: String) -> [String] {
    (1..<generations).reversed().map { "\(path).\($0)" } + [path]
  }

  /// The last lines, oldest first, whole as stored.
  package static func tail(path: String, lines wanted: Int) -> [String] {
    guard wanted > 0 else { return [] }
    var lines: [String] = []
    for file in paths(path).reversed() {
      lines = lastLines(of: file, wanted - lines.count) + lines
      if lines.count >= wanted { break }
    }
    return lines
  }

  /// Reads the file from its end on, in blocks, as far as needed.
  private static func lastLines(of path: String, _ wanted: Int) -> [String] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return [] }
    defer { close(descriptor) }
    var position = lseek(descriptor, 0, SEEK_END)
    var bytes: [UInt8] = []
    var newlines = 0
    // One newline more than lines, unless the file begins there.
    while position > 0, newlines <= wanted {
      let count = min(position, 1 << 14)
      position -= count
      var block = [UInt8](repeating: 0, count: count)
      guard pread(descriptor, &block, count, position) == count else { return [] }
      newlines += block.lazy.filter { $0 == 10 }.count
      bytes = block + bytes
    }
    // A last line without its end is being written just now.
    guard let end = bytes.lastIndex(of: 10) else { return [] }
    let lines = bytes[..<end].split(separator: 10, omittingEmptySubsequences: false)
    return lines.suffix(wanted).map { String(decoding: $0, as: UTF8.self) }
  }
}
