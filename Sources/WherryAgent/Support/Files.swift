import Glibc
import WherryModel
import WherrySystem

/// Whole small files and directories. Every failure names the path and what to do.
enum Files {
  static let readMaximum = 4 << 20

  static func exists(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0
  }

  static func size(_ path: String) -> Int64? {
    var status = stat()
    guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
    return Int64(status.st_size)
  }

  static func read(_ path: String, maximum: Int = readMaximum) throws(Failure) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure("open", path) }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 16 << 10)
    while true {
      let count = Glibc.read(descriptor, &buffer, buffer.count)
      if count == 0 { return bytes }
      guard count > 0 else {
        if errno == EINTR { continue }
        throw failure("read", path)
      }
      bytes.append(contentsOf: buffer[..<count])
      guard bytes.count <= maximum else {
        throw Failure(
          .internalError, code: "file.tooLarge", message: "\(path) has more than \(maximum) bytes",
          remedy: "see what wrote it")
      }
    }
  }

  static func text(_ path: String) throws(Failure) -> String { String(decoding: try read(path), as: UTF8.self) }

  /// The new content appears whole or not at all, also when the power fails.
  static func write(_ bytes: [UInt8], to path: String, mode: mode_t) throws(Failure) {
    let partial = path + ".new"
    unlink(partial)
    let descriptor = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)
    guard descriptor >= 0 else { throw failure("make", partial) }
    var isWritten = fchmod(descriptor, mode) == 0
    isWritten = isWritten && writeAll(bytes, to: descriptor) && fsync(descriptor) == 0
    let reason = errno
    close(descriptor)
    errno = reason
    guard isWritten, rename(partial, path) == 0 else {
      let error = failure("write", path)
      unlink(partial)
      throw error
    }
    syncParent(of: path)
  }

  static func writeAll(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
    Descriptor.write(bytes, to: descriptor) == 0
  }

  static func syncParent(of path: String) {
    guard let slash = path.lastIndex(of: "/") else { return }
    let descriptor = open(String(path[..<slash]), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    fsync(descriptor)
    close(descriptor)
  }

  /// What an administrator made keeps the mode that they gave it.
  static func ensureDirectory(_ path: String) throws(Failure) {
    if !exists(path) { try makeDirectory(path) }
  }

  /// With its parents. An existing directory gets the mode and owner, too.
  static func makeDirectory(_ path: String, mode: mode_t = 0o755, owner: UserAccount? = nil) throws(Failure) {
    if mkdir(path, mode) != 0 && errno != EEXIST {
      guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
        throw failure("make the directory", path)
      }
      try makeDirectory(String(path[..<slash]))
      guard mkdir(path, mode) == 0 || errno == EEXIST else { throw failure("make the directory", path) }
    }
    var status = stat()
    guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
      throw failure("use the directory", path, number: ENOTDIR)
    }
    if status.st_mode & 0o7777 != mode && chmod(path, mode) != 0 { throw failure("set the mode of", path) }
    guard let owner, status.st_uid != owner.user || status.st_gid != owner.group else { return }
    if chown(path, owner.user, owner.group) != 0 { throw failure("set the owner of", path) }
  }

  /// Without following a link in the directory's own place: somebody else may own what is around it.
  static func names(in directory: String) -> [String] {
    let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    guard descriptor >= 0 else { return [] }
    guard let stream = fdopendir(descriptor) else {
      close(descriptor)
      return []
    }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// What an unprivileged writer may still use.
  static func diskSpace(_ path: String) -> (free: Int64, total: Int64)? {
    var status = statvfs()
    guard statvfs(path, &status) == 0 else { return nil }
    let unit = UInt64(status.f_frsize)
    return (
      free: Int64(clamping: UInt64(status.f_bavail) &* unit), total: Int64(clamping: UInt64(status.f_blocks) &* unit)
    )
  }

  static func failure(_ verb: String, _ path: String, number: Int32 = errno) -> Failure {
    if number == ENOSPC || number == EDQUOT {
      return Failure(
        .space, code: "space.full", message: "no space is left on the disk for \(path)",
        remedy: "free some space, or remove components that are no longer needed")
    }
    return Failure(
      .internalError, code: "file.\(number == ENOENT ? "missing" : "failed")",
      message: "cannot \(verb) \(path): \(String(cString: strerror(number)))",
      remedy: "check that it is there, its owner and its mode")
  }
}
