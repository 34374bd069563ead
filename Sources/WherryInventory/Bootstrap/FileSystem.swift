import Glibc

/// Whole small files, written so that a crash leaves the old or the new one and never half of either.
enum SmallFile {
  static func read(_ path: String, maximumBytes: Int = 1 << 20) -> [UInt8]? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16_384)
    while bytes.count <= maximumBytes {
      let count = Glibc.read(descriptor, &chunk, chunk.count)
      if count < 0 { return nil }
      if count == 0 { return bytes }
      bytes += chunk[..<count]
    }
    return nil
  }

  static func text(_ path: String) -> String? {
    read(path).map { String(decoding: $0, as: UTF8.self) }
  }

  static func write(_ bytes: [UInt8], to path: String, mode: mode_t) throws(Refusal) {
    let temporary = "\(path).new"
    unlink(temporary)
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
    guard descriptor >= 0 else { throw failure("create", temporary) }
    defer { close(descriptor) }
    var offset = 0
    while offset < bytes.count {
      let count = bytes[offset...].withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      guard count > 0 else { throw failure("write", temporary) }
      offset += count
    }
    guard fsync(descriptor) == 0, rename(temporary, path) == 0 else { throw failure("write", path) }
  }

  static func makeDirectory(_ path: String, mode: mode_t) throws(Refusal) {
    if mkdir(path, mode) == 0 { return }
    guard errno == EEXIST else { throw failure("create directory", path) }
    var status = stat()
    guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
      throw Refusal(
        500, "data.unusable", "\(path) is in the way: it is no directory", remedy: "move it, or choose another --data")
    }
  }

  static func failure(_ action: String, _ path: String) -> Refusal {
    let reason = String(cString: strerror(errno))
    return Refusal(
      500, "data.unusable", "cannot \(action) \(path): \(reason)",
      remedy: "give the service's user that permission, free space there, or choose another --data directory")
  }
}
