import Glibc

/// Reads what is appended to a log, over rotations: it keeps the file open that it reads, whatever its name is by now,
/// and goes on with the next younger one when it has come to its end.
package struct LogFollower {
  private let path: String
  private var descriptor: Int32 = -1
  private var inode: ino_t = 0
  private var rest: [UInt8] = []

  /// Starts at the end when `fromEnd`, else at the oldest line kept.
  package init(path: String, fromEnd: Bool) {
    self.path = path
    let files = fromEnd ? [path] : LogFile.paths(path)
    for file in files where descriptor < 0 { openFile(file) }
    if fromEnd, descriptor >= 0 { lseek(descriptor, 0, SEEK_END) }
  }

  /// The lines that are new since the last call, at most `maximum`.
  package mutating func readLines(maximum: Int = 1000) -> [String] {
    var lines: [String] = []
    if descriptor < 0 { openFile(path) }
    while lines.count < maximum, descriptor >= 0 {
      if let newline = rest.firstIndex(of: 10) {
        lines.append(String(decoding: rest[..<newline], as: UTF8.self))
        rest.removeSubrange(...newline)
      } else if !readBlock(), !openSuccessor() {
        break
      }
    }
    return lines
  }

  package mutating func close() {
    if descriptor >= 0 { Glibc.close(descriptor) }
    descriptor = -1
  }

  private mutating func openFile(_ file: String) {
    descriptor = open(file, O_RDONLY | O_CLOEXEC)
    var status = stat()
    if descriptor >= 0, fstat(descriptor, &status) == 0 { inode = status.st_ino }
  }

  private mutating func readBlock() -> Bool {
    var block = [UInt8](repeating: 0, count: 1 << 14)
    let count = read(descriptor, &block, block.count)
    guard count > 0 else { return false }
    rest.append(contentsOf: block[..<count])
    return true
  }

  /// False while the open file is still the current one.
  private mutating func openSuccessor() -> Bool {
    let files = LogFile.paths(path)
    let inodes = files.map(Self.inode)
    guard inodes.last != inode else { return false }
    // The next younger after ours; the oldest when ours has been deleted meanwhile.
    let place = inodes.lastIndex { $0 == inode }.map { $0 + 1 } ?? 0
    guard let next = files[place...].first(where: { Self.inode($0) != nil }) else { return false }
    // What was written between our last read and the rotation.
    if readBlock() { return true }
    close()
    openFile(next)
    return descriptor >= 0
  }

  private static func inode(_ path: String) -> ino_t? {
    var status = stat()
    return stat(path, &status) == 0 ? status.st_ino : nil
  }
}
