import CArchive
import Glibc
import WherryModel

/// An archive's entries one after the other, over libarchive.
final class ArchiveReader {
  enum Format { case tar, zip }

  private let archive: OpaquePointer
  private let problem: UnpackProblem
  private let stream: LayerStream?
  /// A zip may say that its names are UTF-8; in the C locale libarchive would then give none at all. So this thread
  /// is in another one for as long as this object lives.
  private let locale = newlocale(Int32(LC_CTYPE_MASK), "C.UTF-8", nil)
  private let localeBefore: locale_t?

  /// A tar out of a stream that somebody else decompresses.
  init(_ stream: LayerStream, problem: UnpackProblem) throws(Failure) {
    self.problem = problem
    self.stream = stream
    localeBefore = uselocale(locale)
    archive = Self.make(.tar)
    let context = Unmanaged.passUnretained(stream).toOpaque()
    let code = archive_read_open(
      archive, context, nil,
      { _, context, bytes in
        guard let context, let bytes else { return -1 }
        let stream = Unmanaged<LayerStream>.fromOpaque(context).takeUnretainedValue()
        guard let piece = stream.next() else { return stream.failure == nil ? 0 : -1 }
        bytes.pointee = piece.baseAddress
        return piece.count
      }, nil)
    guard code == ARCHIVE_OK else { throw reason() }
  }

  /// A whole file, compressed or not. A zip's directory is at its end, so the file must be seekable.
  init(descriptor: Int32, format: Format, problem: UnpackProblem) throws(Failure) {
    self.problem = problem
    stream = nil
    localeBefore = uselocale(locale)
    archive = Self.make(format)
    if format == .tar {
      archive_read_support_filter_gzip(archive)
      archive_read_support_filter_zstd(archive)
      archive_read_support_filter_xz(archive)
      archive_read_support_filter_bzip2(archive)
    }
    guard archive_read_open_fd(archive, descriptor, 1 << 16) == ARCHIVE_OK else { throw reason() }
  }

  deinit {
    archive_read_free(archive)
    uselocale(localeBefore)
    if let locale { freelocale(locale) }
  }

  private static func make(_ format: Format) -> OpaquePointer {
    guard let archive = archive_read_new() else { preconditionFailure("libarchive is out of memory") }
    switch format {
    case .tar: archive_read_support_format_tar(archive)
    case .zip: archive_read_support_format_zip(archive)
    }
    archive_read_support_format_empty(archive)
    // File names are bytes; a conversion could only lose some. Formats that do not know the option refuse it.
    archive_read_set_options(archive, "hdrcharset=BINARY")
    return archive
  }

  private func reason() -> Failure { stream?.failure ?? problem.corrupt(LayerStream.reason(archive)) }

  /// Valid until the next call; nil at the end.
  func next() throws(Failure) -> OpaquePointer? {
    while true {
      var entry: OpaquePointer?
      switch archive_read_next_header(archive, &entry) {
      case ARCHIVE_OK, ARCHIVE_WARN: return entry
      case ARCHIVE_RETRY: continue
      case ARCHIVE_EOF:
        if let failure = stream?.failure { throw failure }
        return nil
      default: throw reason()
      }
    }
  }

  /// The next piece of the entry's content and its offset in the file, valid until the next call; nil at the end.
  func nextBlock() throws(Failure) -> (bytes: UnsafeRawBufferPointer, offset: Int64)? {
    while true {
      var bytes: UnsafeRawPointer?
      var size = 0
      var offset: la_int64_t = 0
      switch archive_read_data_block(archive, &bytes, &size, &offset) {
      // A warning here means content of another size or checksum than declared: not good enough for us.
      case ARCHIVE_OK: return (UnsafeRawBufferPointer(start: bytes, count: size), Int64(offset))
      case ARCHIVE_RETRY: continue
      case ARCHIVE_EOF: return nil
      default: throw reason()
      }
    }
  }
}
