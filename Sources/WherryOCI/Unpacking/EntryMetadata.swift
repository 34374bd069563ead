import CArchive
import Glibc

/// Owner, mode and time of an entry, within what the kernel takes.
struct EntryMetadata {
  let user: uid_t
  let group: gid_t
  let mode: mode_t
  let modified: timespec
  typealias Attribute = (name: String, value: [UInt8])
  var attributes: [Attribute] = []

  init(_ entry: OpaquePointer, rules: UnpackRules) {
    user = Self.identifier(archive_entry_uid(entry))
    group = Self.identifier(archive_entry_gid(entry))
    mode = mode_t(archive_entry_perm(entry)) & rules.modeMask
    let nanoseconds = archive_entry_mtime_nsec(entry)
    modified = timespec(
      tv_sec: archive_entry_mtime(entry), tv_nsec: (0..<1_000_000_000).contains(nanoseconds) ? nanoseconds : 0)
  }

  /// What is no identifier belongs to nobody.
  private static func identifier(_ number: la_int64_t) -> UInt32 {
    (0..<Int64(UInt32.max)).contains(Int64(number)) ? UInt32(number) : 65_534
  }

  /// Gives the file what it does not have by its making; each change costs the file system a journal entry.
  /// - Returns: false, with `errno` set, on failure.
  func apply(to descriptor: Int32, rules: UnpackRules) -> Bool {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { return false }
    var hasMode = status.st_mode & 0o7777 == mode
    if rules.keepsOwners, status.st_uid != user || status.st_gid != group {
      guard fchown(descriptor, user, group) == 0 else { return false }
      // That clears the set-id bits, so the mode comes second.
      if mode & 0o7000 != 0 { hasMode = false }
    }
    return hasMode || fchmod(descriptor, mode) == 0
  }

  /// A time that the file system cannot hold is no reason to refuse a file.
  func setTimes(of descriptor: Int32) { withTimes { _ = futimens(descriptor, $0) } }

  func setTimes(of name: [CChar], in parent: Int32) {
    withTimes { _ = utimensat(parent, name, $0, AT_SYMLINK_NOFOLLOW) }
  }

  private func withTimes(_ body: (UnsafePointer<timespec>) -> Void) {
    // UTIME_OMIT: the time of last reading is nobody's concern.
    let times = (timespec(tv_sec: 0, tv_nsec: 0x3fff_fffe), modified)
    withUnsafePointer(to: times) { pair in
      pair.withMemoryRebound(to: timespec.self, capacity: 2) { body($0) }
    }
  }
}
