import Glibc
import WherryCrypto
import WherryModel

/// A `BlobStore` in a directory:
///
///     <root>/sha256/<64 hex digits>     whole, verified, on the disk
///     <root>/incoming/<64 hex digits>   partial: a download under way or cut off
///
/// A blob comes into `sha256/` by rename after fsync, so after a crash at any moment it is there whole or not at all.
package final class ContentStore: BlobStore, Sendable {
  package let root: String
  private var blobs: String { root + "/sha256" }
  private var incoming: String { root + "/incoming" }

  package init(root: String) throws(Failure) {
    self.root = root
    for directory in [root, root + "/sha256", root + "/incoming"] {
      guard mkdir(directory, 0o755) == 0 || errno == EEXIST else {
        throw Self.failure("cannot be made", directory)
      }
    }
  }

  package func path(of digest: Digest) -> String { "\(blobs)/\(digest.hex)" }
  package func partialPath(of digest: Digest) -> String { "\(incoming)/\(digest.hex)" }

  package func contains(_ digest: Digest) -> Bool { size(of: digest) != nil }

  package func size(of digest: Digest) -> Int64? {
    var status = stat()
    guard lstat(path(of: digest), &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
    return Int64(status.st_size)
  }

  package func all() throws(Failure) -> [Digest] { try Self.names(in: blobs).compactMap { Digest(hex: $0) }.sorted() }

  /// Takes a verified file into the store. The file must be in the same file system, as `partialPath` is.
  package func commit(partial: String, digest: Digest) throws(Failure) {
    try Self.sync(partial, flags: O_RDONLY)
    guard rename(partial, path(of: digest)) == 0 else { throw Self.failure("cannot be moved into the store", partial) }
    try Self.sync(blobs, flags: O_RDONLY | O_DIRECTORY)
  }

  package func add(_ bytes: [UInt8], as digest: Digest) throws(Failure) {
    let actual = SHA256.digest(of: bytes)
    guard actual == digest else {
      throw Failure(
        .verify, code: "blob.digestMismatch", message: "content with digest \(actual) was given as \(digest)",
        remedy: "publish the content again")
    }
    guard !contains(digest) else { return }
    // Not the name of a download of the same blob, which may be going on.
    let partial = "\(incoming)/\(digest.hex).\(getpid())"
    do throws(Failure) {
      try Self.write(bytes, to: partial)
      try commit(partial: partial, digest: digest)
    } catch {
      unlink(partial)
      throw error
    }
  }

  package func bytes(of digest: Digest) throws(Failure) -> [UInt8]? {
    let descriptor = open(path(of: digest), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
    guard descriptor >= 0 else {
      if errno == ENOENT { return nil }
      throw Self.failure("cannot be opened", path(of: digest))
    }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = read(descriptor, &buffer, buffer.count)
      guard count >= 0 else { throw Self.failure("cannot be read", path(of: digest)) }
      if count == 0 { return bytes }
      bytes.append(contentsOf: buffer[..<count])
    }
  }

  package func remove(_ digest: Digest) throws(Failure) {
    guard unlink(path(of: digest)) == 0 || errno == ENOENT else {
      throw Self.failure("cannot be removed", path(of: digest))
    }
  }

  /// Removes what downloads left behind, except for `digests`, which are still wanted.
  package func removePartials(except digests: Set<Digest>) throws(Failure) {
    for name in try Self.names(in: incoming) where !digests.contains(where: { $0.hex == name }) {
      unlink("\(incoming)/\(name)")
    }
  }

  // MARK: Files

  private static func failure(_ what: String, _ path: String) -> Failure {
    let number = errno
    if number == ENOSPC || number == EDQUOT {
      return Failure(
        .space, code: "space.full", message: "no space is left on the disk for \(path)",
        remedy: "free some space, or remove components that are no longer needed")
    }
    return Failure(
      .internalError, code: "store.file", message: "\(path) \(what): \(String(cString: strerror(number)))",
      remedy: "check the directory's owner and mode and the disk's health")
  }

  private static func names(in directory: String) throws(Failure) -> [String] {
    guard let stream = opendir(directory) else { throw failure("cannot be listed", directory) }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) { names.append(entryName(entry)) }
    return names
  }

  private static func sync(_ path: String, flags: Int32) throws(Failure) {
    let descriptor = open(path, flags | O_CLOEXEC | O_NOFOLLOW)
    guard descriptor >= 0 else { throw failure("cannot be opened", path) }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw failure("cannot be written to disk", path) }
  }

  private static func write(_ bytes: [UInt8], to path: String) throws(Failure) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o644)
    guard descriptor >= 0 else { throw failure("cannot be made", path) }
    defer { close(descriptor) }
    var written = 0
    while written < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.write(descriptor, $0.baseAddress?.advanced(by: written), bytes.count - written)
      }
      guard count > 0 else { throw failure("cannot be written", path) }
      written += count
    }
  }
}

/// `d_name` as a string; Swift sees it as a tuple of 256 characters.
func entryName(_ entry: UnsafeMutablePointer<dirent>) -> String {
  withUnsafePointer(to: &entry.pointee.d_name) {
    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
  }
}
