import Glibc

/// A fresh directory that goes away with this object, contents and all.
package final class TemporaryDirectory: Sendable {
  package let path: String

  package init() {
    let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    var template = Array("\(base)/wherry-test-XXXXXX".utf8CString)
    precondition(mkdtemp(&template) != nil, "no temporary directory could be made under \(base)")
    path = template.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
  }

  deinit { Self.remove(path) }

  package static func remove(_ path: String) { remove(Array(path.utf8CString.dropLast())) }

  /// Bytes, since names need not be UTF-8.
  private static func remove(_ path: [CChar]) {
    let terminated = path + [0]
    var status = stat()
    guard lstat(terminated, &status) == 0 else { return }
    if status.st_mode & S_IFMT == S_IFDIR, let directory = opendir(terminated) {
      while let entry = readdir(directory) {
        let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
          bytes.prefix { $0 != 0 }.map { CChar(bitPattern: $0) }
        }
        if name != [0x2e], name != [0x2e, 0x2e] { remove(path + [0x2f] + name) }
      }
      closedir(directory)
    }
    _ = Glibc.remove(terminated)
  }

  package func file(_ name: String) -> String { path + "/" + name }
}

/// Whole files, for tests.
package enum TestFile {
  package static func read(_ path: String) -> [UInt8]? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = Glibc.read(descriptor, &buffer, buffer.count)
      guard count >= 0 else { return nil }
      if count == 0 { return bytes }
      bytes.append(contentsOf: buffer[..<count])
    }
  }

  package static func write(_ bytes: some Collection<UInt8>, to path: String) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    precondition(descriptor >= 0, "\(path) cannot be written")
    defer { close(descriptor) }
    let bytes = Array(bytes)
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.write(descriptor, $0.baseAddress?.advanced(by: done), bytes.count - done)
      }
      precondition(count > 0, "\(path) cannot be written")
      done += count
    }
  }

  package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }
}
