import Glibc

/// What mosquitto says on standard error. Anybody who reaches the port makes it write a line, so its size is bounded:
/// the file and its predecessor `.1` hold `bytesMaximum` each, and what comes within one period.
struct BrokerLog: Sendable {
  static let bytesMaximum = 1 << 20
  static let periodSeconds = 60

  let path: String
  var olderPath: String { path + ".1" }

  /// Copies the end of a log that has grown too large aside and empties it in place: mosquitto keeps its descriptor,
  /// which appends, and so goes on at the beginning. What it says between the two is lost.
  func bound() {
    let descriptor = open(path, O_RDWR | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    defer { close(descriptor) }
    let size = lseek(descriptor, 0, SEEK_END)
    guard size > Self.bytesMaximum else { return }
    // Without room for the copy the bound counts more than the words.
    try? SmallFile.write(end(of: descriptor, size: size), to: olderPath, mode: 0o600)
    _ = ftruncate(descriptor, 0)
  }

  private func end(of descriptor: Int32, size: off_t) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Self.bytesMaximum)
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeMutableBytes { buffer in
        pread(
          descriptor, buffer.baseAddress?.advanced(by: done), buffer.count - done,
          size - off_t(Self.bytesMaximum - done))
      }
      guard count > 0 else { break }
      done += count
    }
    return Array(bytes.prefix(done))
  }
}
