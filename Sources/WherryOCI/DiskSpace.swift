import Glibc

/// How much of a file system may still be filled.
package struct DiskSpace: Hashable, Sendable {
  package let available: Int64
  package let total: Int64

  package init?(descriptor: Int32) {
    var status = statvfs()
    guard fstatvfs(descriptor, &status) == 0 else { return nil }
    self.init(status)
  }

  package init?(path: String) {
    var status = statvfs()
    guard statvfs(path, &status) == 0 else { return nil }
    self.init(status)
  }

  private init(_ status: statvfs) {
    available = Int64(clamping: status.f_bavail) * Int64(clamping: status.f_frsize)
    total = Int64(clamping: status.f_blocks) * Int64(clamping: status.f_frsize)
  }

  /// A full disk stops what runs, so some of it is left alone.
  /// - Parameter headroom: as the device's owner has it; nil = a twentieth of the disk, at most 64 MiB.
  package func usable(leaving headroom: Int64?) -> Int64 {
    max(0, available - (headroom ?? min(total / 20, 64 << 20)))
  }
}
