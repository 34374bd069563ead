import Glibc

/// Removes a directory with all that is in it, however deep: nested directories are moved up before they are entered,
/// so three descriptors are enough and no link is ever followed.
package enum TreeRemoval {
  package static func remove(path: String) -> Bool { remove(Array(path.utf8CString), in: AT_FDCWD) }

  /// - Returns: false, with `errno` set, when something could not be removed. Absence is success.
  static func remove(_ name: [CChar], in parent: Int32) -> Bool {
    if unlinkat(parent, name, 0) == 0 || errno == ENOENT { return true }
    guard errno == EISDIR || errno == EPERM else { return false }
    guard let top = openDirectory(name, in: parent) else { return false }
    defer { close(top) }
    var counter = 0
    while true {
      guard let directories = empty(top, into: top, counter: &counter) else { return false }
      if directories.isEmpty { break }
      for directory in directories {
        guard let descriptor = openDirectory(directory, in: top) else { return false }
        let isEmptied = empty(descriptor, into: top, counter: &counter) != nil
        close(descriptor)
        guard isEmptied, unlinkat(top, directory, AT_REMOVEDIR) == 0 else { return false }
      }
    }
    return unlinkat(parent, name, AT_REMOVEDIR) == 0
  }

  private static func openDirectory(_ name: [CChar], in parent: Int32) -> Int32? {
    let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
    var descriptor = openat(parent, name, flags)
    if descriptor < 0, errno == EACCES, fchmodat(parent, name, 0o700, 0) == 0 {
      descriptor = openat(parent, name, flags)
    }
    guard descriptor >= 0 else { return nil }
    // Without the right to write nothing in it can be removed; its owner may give it to himself.
    _ = fchmod(descriptor, 0o700)
    return descriptor
  }

  /// Unlinks the files of `directory` and moves its directories to `top` under fresh names.
  /// - Returns: the names of the directories when `directory` is `top`; nil on failure.
  private static func empty(_ directory: Int32, into top: Int32, counter: inout Int) -> [[CChar]]? {
    let copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard copy >= 0, let stream = fdopendir(copy) else { return nil }
    defer { closedir(stream) }
    var directories: [[CChar]] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        bytes.prefix { $0 != 0 }.map { CChar(bitPattern: $0) } + [0]
      }
      if name == [0x2e, 0] || name == [0x2e, 0x2e, 0] { continue }
      if unlinkat(directory, name, 0) == 0 { continue }
      guard errno == EISDIR || errno == EPERM else { return nil }
      if directory == top {
        directories.append(name)
      } else {
        guard move(name, from: directory, to: top, counter: &counter) else { return nil }
      }
    }
    return directories
  }

  private static func move(_ name: [CChar], from: Int32, to top: Int32, counter: inout Int) -> Bool {
    // Moving a directory changes its "..", for which it must be writable.
    _ = fchmodat(from, name, 0o700, 0)
    while true {
      counter += 1
      let fresh = Array(".removed-\(counter)".utf8CString)
      if renameat(from, name, top, fresh) == 0 { return true }
      // Taken by something of that name; the next number.
      guard errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR else { return false }
    }
  }
}
