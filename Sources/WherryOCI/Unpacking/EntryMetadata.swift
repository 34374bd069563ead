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

  /// - Returns: false, with `errno` set, on failure.
  func apply(to descriptor: Int32, rules: UnpackRules) -> Bool {
    // Changing the owner clears the set-id bits, so the mode comes second.
    if rules.keepsOwners, fchown(descriptor, user, group) != 0 { return false }
    return fchmod(descriptor, mode) == 0
  }

  private var times: [timespec] {
    // UTIME_OMIT: the time of last reading is nobody's concern.
    [timespec(tv_sec: 0, tv_nsec: 0x3fff_fffe), modified]
  }

  /// A time that the file system cannot hold is no reason to refuse a file.
  func setTimes(of descriptor: Int32) { _ = futimens(descriptor, times) }

  func setTimes(of name: [CChar], in parent: Int32) { _ = utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) }
}
