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
    if fromEnd {
      openFile(path)
      if descriptor >= 0 { lseek(descriptor, 0, SEEK_END) }
    } else {
      openOldest()
    }
  }

  /// The lines that are new since the last call, at most `maximum`.
  package mutating func readLines(maximum: Int = 1000) -> [String] {
    var lines: [String] = []
    if descriptor < 0 { openOldest() }
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

  private mutating func openOldest() {
    for file in LogFile.paths(path) where descriptor < 0 { openFile(file) }
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

  /// False while the open file is still the current one. The shim may rotate between any two looks at the names: what
  /// was opened must be what was found.
  private mutating func openSuccessor() -> Bool {
    for attempt in 0..<Self.attemptsMaximum {
      let files = LogFile.paths(path)
      let inodes = files.map(Self.inode)
      guard inodes.last != inode else { return false }
      var next = inodes.lastIndex { $0 == inode }.map { $0 + 1 }
      // Not seen: moved while we looked, or, if it stays so, deleted; then on with the oldest.
      if next == nil, attempt >= Self.attemptsMaximum / 2 { next = 0 }
      guard let next, let place = inodes[next...].firstIndex(where: { $0 != nil }) else { continue }
      // What was written between our last read and the rotation.
      if readBlock() { return true }
      var successor = self
      successor.openFile(files[place])
      if successor.descriptor >= 0, successor.inode == inodes[place] {
        close()
        self = successor
        return true
      }
      successor.close()
    }
    return false
  }

  private static let attemptsMaximum = 8

  private static func inode(_ path: String) -> ino_t? {
    var status = stat()
    return stat(path, &status) == 0 ? status.st_ino : nil
  }
}
