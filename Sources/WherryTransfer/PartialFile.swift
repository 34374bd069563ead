import CCurl
import Glibc
import WherryCrypto
import WherryModel

/// The bytes of one blob as far as they have come, with their running digest. What an earlier run left behind is
/// read again before it is added to, so whatever is in the file has gone through the digest.
final class PartialFile {
  let path: String
  let size: Int64
  let digest: Digest
  private let descriptor: Int32
  private(set) var length: Int64 = 0
  /// Some of the bytes are from an earlier run or another place; a wrong digest may then be theirs.
  private(set) var isResumed = false
  private var hash = SHA256()

  /// - Parameter path: is locked against a second writer for as long as this object lives.
  init(path: String, size: Int64, digest: Digest) throws(TransferError) {
    self.path = path
    self.size = size
    self.digest = digest
    descriptor = try Self.openLocked(path)
    try adopt()
  }

  deinit { close(descriptor) }

  private static func openLocked(_ path: String) throws(TransferError) -> Int32 {
    while true {
      let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o644)
      guard descriptor >= 0 else { throw localError("cannot be opened", path) }
      var opened = stat()
      // The lock may have been waited for while its holder moved the file into the store: then look again.
      guard flock(descriptor, LOCK_EX) == 0, fstat(descriptor, &opened) == 0 else {
        let error = localError("cannot be locked", path)
        close(descriptor)
        throw error
      }
      if opened.st_nlink > 0 { return descriptor }
      close(descriptor)
    }
  }

  private static func localError(_ what: String, _ path: String) -> TransferError {
    let number = errno
    if number == ENOSPC || number == EDQUOT { return spaceFull(path) }
    return TransferError(
      .localFile, "\(path) \(what): \(String(cString: strerror(number)))",
      remedy: "check the directory's owner and mode and the disk's health")
  }

  private static func spaceFull(_ path: String) -> TransferError {
    TransferError(
      .spaceFull, "no space is left on the disk for \(path)",
      remedy: "free some space, or remove components that are no longer needed")
  }

  private func adopt() throws(TransferError) {
    var buffer = [UInt8](repeating: 0, count: 1 << 17)
    while true {
      let count = buffer.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
      guard count >= 0 else { throw Self.localError("cannot be read", path) }
      if count == 0 { break }
      length += Int64(count)
      // Longer than the blob can be: it is not this blob's.
      if length > size { return try restart() }
      buffer.withUnsafeBytes { hash.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
    }
    isResumed = length > 0
    guard length < size else { return }
    // Fails at once, before a byte has moved, when the rest does not fit.
    if ccurl_reserve(descriptor, off_t(length), off_t(size - length)) != 0, errno == ENOSPC || errno == EDQUOT {
      throw Self.spaceFull(path)
    }
  }

  var isComplete: Bool { length == size }

  func append(_ bytes: UnsafeRawBufferPointer) throws(TransferError) {
    precondition(length + Int64(bytes.count) <= size, "more than the declared \(size) bytes for \(path)")
    var rest = bytes
    while !rest.isEmpty {
      let count = write(descriptor, rest.baseAddress, rest.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw Self.localError("cannot be written", path) }
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
    hash.update(bytes)
    length += Int64(bytes.count)
  }

  func restart() throws(TransferError) {
    guard ftruncate(descriptor, 0) == 0, lseek(descriptor, 0, SEEK_SET) == 0 else {
      throw Self.localError("cannot be truncated", path)
    }
    length = 0
    isResumed = false
    hash = SHA256()
  }

  /// What is there came from somebody else than what follows.
  func distrust() { isResumed = length > 0 }

  enum Verdict: Hashable { case verified, mismatch(Digest) }

  /// Ends the digest; with the right one the bytes are on the disk when this returns.
  func verify() throws(TransferError) -> Verdict {
    precondition(isComplete, "verified at \(length) of \(size) bytes")
    let actual = hash.finish()
    guard actual == digest else { return .mismatch(actual) }
    guard fsync(descriptor) == 0 else { throw Self.localError("cannot be written to disk", path) }
    return .verified
  }

  func discard() { unlink(path) }
}
