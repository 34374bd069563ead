import CArchive
import Glibc
import WherryCrypto
import WherryModel

/// A layer in a file.
package struct WrittenLayer: Hashable, Sendable {
  package static let mediaType = MediaType.ociLayer(.gzip)
  /// Of the compressed bytes.
  package var digest: Digest
  /// Bytes, compressed.
  package var size: Int64
  /// Of the uncompressed archive (OCI image-spec, layer.md, "DiffID").
  package var diffID: Digest
}

/// Makes a layer of entries: a tar archive in the POSIX pax format, compressed by gzip. The same entries give the same
/// bytes, whenever and by whomever they are packed: there are no times, names of users or numbers of inodes in it.
package enum LayerWriter {
  /// In the order given; a directory comes before what is in it.
  package static func write(_ entries: [LayerEntry], to path: String) throws(Failure) -> WrittenLayer {
    // Names are bytes of UTF-8 here.
    let locale = UTF8Locale()
    defer { withExtendedLifetime(locale) {} }
    let file = try LayerFile(path)
    let compressor = try ArchiveWriter(path) { file.take($0) }
    try compressor.beginGzip()
    var diffID = SHA256()
    let archive = try ArchiveWriter(path) { bytes in
      diffID.update(bytes)
      return compressor.put(bytes)
    }
    try archive.beginTar()
    for entry in entries { try archive.add(entry) }
    try archive.finish()
    try compressor.finish()
    return WrittenLayer(digest: file.digest.finish(), size: file.size, diffID: diffID.finish())
  }
}

/// Where the finished bytes go.
private final class LayerFile {
  var digest = SHA256()
  private(set) var size: Int64 = 0
  private let descriptor: Int32

  init(_ path: String) throws(Failure) {
    descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw Self.failure(path, String(cString: strerror(errno))) }
  }

  deinit { close(descriptor) }

  static func failure(_ path: String, _ reason: String) -> Failure {
    Failure(
      .internalError, code: "layer.write", message: "the layer cannot be written to \(path): \(reason)",
      remedy: "see that there is space and that the files of the image can be read")
  }

  func take(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var rest = bytes
    while !rest.isEmpty {
      let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return false }
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
    digest.update(bytes)
    size += Int64(bytes.count)
    return true
  }
}

/// One of libarchive's writers. What it makes goes to `sink`, which says whether it could take it.
private final class ArchiveWriter {
  private static let bufferBytes = 1 << 16
  private static let regular: mode_t = S_IFREG
  private static let directory: mode_t = S_IFDIR
  private static let link: mode_t = S_IFLNK

  private let handle: OpaquePointer
  private let path: String
  fileprivate let sink: (UnsafeRawBufferPointer) -> Bool

  init(_ path: String, sink: @escaping (UnsafeRawBufferPointer) -> Bool) throws(Failure) {
    guard let handle = archive_write_new() else { throw LayerFile.failure(path, "there is no memory left") }
    self.handle = handle
    self.path = path
    self.sink = sink
  }

  deinit { archive_write_free(handle) }

  func beginTar() throws(Failure) {
    try check(archive_write_set_format_pax_restricted(handle))
    try check(archive_write_set_bytes_per_block(handle, Int32(Self.bufferBytes)))
    // The end is not padded to a whole block.
    try check(archive_write_set_bytes_in_last_block(handle, 1))
    try open()
  }

  /// For what `put` brings.
  func beginGzip() throws(Failure) {
    try check(archive_write_set_format_raw(handle))
    try check(archive_write_add_filter_gzip(handle))
    try check(archive_write_set_filter_option(handle, "gzip", "timestamp", nil))
    try check(archive_write_set_bytes_in_last_block(handle, 1))
    try open()
    let entry = archive_entry_new()
    defer { archive_entry_free(entry) }
    archive_entry_set_filetype(entry, UInt32(Self.regular))
    try check(archive_write_header(handle, entry))
  }

  /// libarchive calls back within this object's life only.
  private func open() throws(Failure) {
    let me = Unmanaged.passUnretained(self).toOpaque()
    try check(
      archive_write_open(
        handle, me, nil,
        { _, me, bytes, count in
          guard let me, let bytes else { return -1 }
          let writer = Unmanaged<ArchiveWriter>.fromOpaque(me).takeUnretainedValue()
          return writer.sink(UnsafeRawBufferPointer(start: bytes, count: count)) ? count : -1
        }, nil))
  }

  func put(_ bytes: UnsafeRawBufferPointer) -> Bool {
    archive_write_data(handle, bytes.baseAddress, bytes.count) == bytes.count
  }

  func add(_ entry: LayerEntry) throws(Failure) {
    let header = archive_entry_new()
    defer { archive_entry_free(header) }
    archive_entry_set_pathname(header, entry.path)
    archive_entry_set_uid(header, entry.user)
    archive_entry_set_gid(header, entry.group)
    archive_entry_set_mtime(header, 0, 0)
    let mode = mode_t(entry.mode & 0o7777)
    switch entry.content {
    case .directory: archive_entry_set_mode(header, Self.directory | mode)
    case .link(let target):
      archive_entry_set_mode(header, Self.link | 0o777)
      archive_entry_set_symlink(header, target)
    case .text(let text):
      archive_entry_set_mode(header, Self.regular | mode)
      archive_entry_set_size(header, Int64(text.utf8.count))
    case .file(_, let size):
      archive_entry_set_mode(header, Self.regular | mode)
      archive_entry_set_size(header, size)
    }
    try check(archive_write_header(handle, header))
    switch entry.content {
    case .directory, .link: break
    case .text(let text):
      let bytes = Array(text.utf8)
      guard bytes.isEmpty || bytes.withUnsafeBytes(put) else { throw problem() }
    case .file(let file, let size): try copy(file, size)
    }
  }

  private func copy(_ file: String, _ size: Int64) throws(Failure) {
    let descriptor = Glibc.open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
    guard descriptor >= 0 else {
      throw LayerFile.failure(path, "\(file) cannot be read: \(String(cString: strerror(errno)))")
    }
    defer { close(descriptor) }
    var buffer = [UInt8](repeating: 0, count: Self.bufferBytes)
    var rest = size
    while rest > 0 {
      let count = read(descriptor, &buffer, Int(min(rest, Int64(buffer.count))))
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw LayerFile.failure(path, "\(file) became shorter while it was read") }
      guard buffer.withUnsafeBytes({ put(UnsafeRawBufferPointer(rebasing: $0[..<count])) }) else { throw problem() }
      rest -= Int64(count)
    }
  }

  func finish() throws(Failure) { try check(archive_write_close(handle)) }

  private func check(_ result: Int32) throws(Failure) {
    guard result == ARCHIVE_OK else { throw problem() }
  }

  private func problem() -> Failure {
    LayerFile.failure(path, archive_error_string(handle).map { String(cString: $0) } ?? "it could not be taken")
  }
}
