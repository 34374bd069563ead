import Glibc

/// A file that could not be read or written, in one sentence.
struct FileError: Error, CustomStringConvertible {
  let description: String
  init(_ verb: String, _ path: String) {
    description = "cannot \(verb) \(path): \(String(cString: strerror(errno)))"
  }
}

enum Files {
  static func read(_ path: String, bytesMaximum: Int = 16 << 20) throws -> [UInt8] {
    let descriptor = path == "-" ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileError("read", path) }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let count = buffer.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw FileError("read", path) }
      if count == 0 { return bytes }
      guard bytes.count + count <= bytesMaximum else {
        errno = EFBIG
        throw FileError("read", path)
      }
      bytes += buffer[..<count]
    }
  }

  static func text(_ path: String) throws -> String { String(decoding: try read(path), as: UTF8.self) }

  /// Replaces the file as a whole, readable by its owner alone.
  static func writePrivate(_ text: String, to path: String) throws {
    let partial = path + ".partial"
    let descriptor = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw FileError("write", partial) }
    defer { close(descriptor) }
    let bytes = Array(text.utf8)
    guard bytes.withUnsafeBytes({ Glibc.write(descriptor, $0.baseAddress, $0.count) }) == bytes.count,
      fsync(descriptor) == 0, rename(partial, path) == 0
    else { throw FileError("write", path) }
  }

  static func isDirectory(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  static func isFile(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
  }

  /// Names in a directory, sorted, without `.` and `..`.
  static func list(_ path: String) throws -> [String] {
    guard let directory = opendir(path) else { throw FileError("list", path) }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  static func makeDirectories(_ path: String) throws {
    var built = path.hasPrefix("/") ? "" : "."
    for part in path.split(separator: "/") {
      built += "/" + part
      guard mkdir(built, 0o700) == 0 || errno == EEXIST else { throw FileError("create", built) }
    }
  }

  static func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
}

/// A folder for files on their way; without folders in it.
struct TemporaryFolder {
  let path: String

  init() throws {
    let base = Files.environment("TMPDIR") ?? "/tmp"
    var template = Array("\(base)/wherry.XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw FileError("create a folder in", base) }
    path = template.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
  }

  func remove() {
    for name in (try? Files.list(path)) ?? [] { unlink("\(path)/\(name)") }
    rmdir(path)
  }
}
