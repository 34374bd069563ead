import Glibc
import WherryModel

/// Adds up what trees take of the disk, some entries at a time. A file with several names is counted once; no link is
/// followed. What disappears meanwhile is not counted.
final class DiskMeasure: Chore {
  private static let entriesPerStep = 512
  /// Deeper than this nothing is looked at: paths become longer than the kernel takes.
  private static let depthMaximum = 128

  /// Allocated, so a sparse file counts for what it holds.
  private(set) var bytes: Int64 = 0
  private var pending: [(path: String, depth: Int)]
  private var seen: Set<FileIdentity> = []

  private struct FileIdentity: Hashable {
    var device: UInt
    var node: UInt
  }

  init(_ paths: [String]) { pending = paths.map { ($0, 0) } }

  func step() -> Bool {
    var entries = 0
    while entries < Self.entriesPerStep, let (path, depth) = pending.popLast() {
      entries += 1
      var status = stat()
      guard lstat(path, &status) == 0 else { continue }
      let isDirectory = status.st_mode & S_IFMT == S_IFDIR
      if !isDirectory && status.st_nlink > 1 {
        guard seen.insert(FileIdentity(device: UInt(status.st_dev), node: UInt(status.st_ino))).inserted else {
          continue
        }
      }
      bytes += Int64(status.st_blocks) * 512
      if isDirectory && depth < Self.depthMaximum {
        let names = Files.names(in: path)
        entries += names.count
        pending += names.map { ("\(path)/\($0)", depth + 1) }
      }
    }
    return pending.isEmpty
  }

  /// All of it at once, for a command that has nothing else to do.
  static func bytes(of paths: [String]) -> Int64 {
    let measure = DiskMeasure(paths)
    while !measure.step() {}
    return measure.bytes
  }
}
