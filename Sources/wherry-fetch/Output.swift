import Glibc
import WherryJSON

/// Standard output, one event per line, unbuffered.
enum Output {
  static func event(_ json: JSON) { line(json.canonical + "\n") }

  static func line(_ text: String) {
    // Nobody listens any more: whoever started this is gone, and the work with it.
    guard write(Array(text.utf8), to: STDOUT_FILENO) else { exit(1) }
  }

  static func error(_ text: String) { _ = write(Array(text.utf8), to: STDERR_FILENO) }

  static func write(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.write(descriptor, $0.baseAddress?.advanced(by: done), bytes.count - done)
      }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return false }
      done += count
    }
    return true
  }
}
