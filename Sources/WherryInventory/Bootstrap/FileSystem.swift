import Glibc

/// Whole small files, written so that a crash leaves the old or the new one and never half of either.
enum SmallFile {
  /// nil when there is no such file. Whatever else keeps it from being read is a refusal: a file that cannot be read
  /// must not pass for one that was never there.
  static func load(_ path: String, maximumBytes: Int = 1 << 20) throws(Refusal) -> [UInt8]? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      if errno == ENOENT { return nil }
      throw unreadable(path)
    }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16_384)
    while bytes.count <= maximumBytes {
      let count = Glibc.read(descriptor, &chunk, chunk.count)
      if count < 0 { throw unreadable(path) }
      if count == 0 { return bytes }
      bytes += chunk[..<count]
    }
    errno = EFBIG
    throw unreadable(path)
  }

  static func loadText(_ path: String) throws(Refusal) -> String? {
    guard let bytes = try load(path) else { return nil }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func unreadable(_ path: String) -> Refusal {
    let reason = String(cString: strerror(errno))
    return Refusal(
      500, "data.unreadable", "cannot read \(path): \(reason)",
      remedy: "let the service's user read it, or restore it from a backup")
  }

  /// For hints: nil for every error.
  static func text(_ path: String) -> String? { try? loadText(path) }

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
    syncDirectory(of: path)
  }

  /// What is written afterwards, elsewhere, may rely on the new name. Not every file system can promise it.
  private static func syncDirectory(of path: String) {
    let parent = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    let descriptor = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    fsync(descriptor)
    close(descriptor)
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

enum Descriptors {
  /// What this process has open stays its own: neither what it was started with nor what a library opened is handed
  /// on to a child, which would hold a pipe or a connection open after this process is gone.
  static func closeOnExec() {
    guard let directory = opendir("/proc/self/fd") else { return }
    defer { closedir(directory) }
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      guard let descriptor = Int32(name), descriptor > STDERR_FILENO else { continue }
      _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    }
  }
}
