import CIsolation
import Glibc
import WherrySystem

/// The few file operations of this module, without Foundation.
enum Files {
  static func read(_ path: String, maximum: Int = 1 << 20) -> [UInt8]? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    return read(descriptor, maximum: maximum)
  }

  static func read(_ descriptor: Int32, maximum: Int) -> [UInt8]? {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while bytes.count < maximum {
      let count = Glibc.read(descriptor, &buffer, min(buffer.count, maximum - bytes.count))
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { return nil }
      if count == 0 { break }
      bytes.append(contentsOf: buffer[..<count])
    }
    return bytes
  }

  static func text(_ path: String) -> String? { read(path).map { String(decoding: $0, as: UTF8.self) } }

  /// Zero or an errno.
  @discardableResult
  static func write(_ bytes: [UInt8], to path: String, flags: Int32 = O_WRONLY | O_CREAT | O_TRUNC) -> Int32 {
    let descriptor = open(path, flags | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { return errno }
    defer { close(descriptor) }
    return write(bytes, to: descriptor)
  }

  static func write(_ bytes: [UInt8], to descriptor: Int32) -> Int32 { Descriptor.write(bytes, to: descriptor) }

  /// Zero or an errno. Tried again when a parent vanishes meanwhile: another agent may be tearing down its part.
  @discardableResult
  static func makeDirectories(_ path: String, mode: mode_t = 0o755) -> Int32 {
    var error: Int32 = 0
    for _ in 0..<4 {
      if mkdir(path, mode) == 0 || errno == EEXIST { return 0 }
      error = errno
      guard error == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return error }
      error = makeDirectories(String(path[..<slash]), mode: mode)
      if error != 0, error != ENOENT { return error }
    }
    return error == 0 ? ENOENT : error
  }

  static func names(in directory: String) -> [String] {
    guard let handle = opendir(directory) else { return [] }
    defer { closedir(handle) }
    var names: [String] = []
    while let entry = readdir(handle) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// Does not follow links and does not leave the file system that `path` is on.
  static func removeTree(_ path: String) {
    var status = stat()
    guard lstat(path, &status) == 0 else { return }
    if status.st_mode & S_IFMT == S_IFDIR {
      for name in names(in: path) { removeTree(path + "/" + name) }
      rmdir(path)
    } else {
      unlink(path)
    }
  }

  static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }
}

func sentence(ofErrno number: Int32) -> String { String(cString: strerror(number)) }
