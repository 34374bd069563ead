import CArchive
import Glibc
import WherryModel

/// An archive's entries one after the other, over libarchive.
final class ArchiveReader {
  enum Format { case tar, zip }

  private let archive: OpaquePointer
  private let problem: UnpackProblem
  private let stream: LayerStream?
  private let file: VerifiedFile?
  /// A zip may say that its names are UTF-8.
  private let locale = UTF8Locale()

  /// A tar out of a stream that somebody else decompresses.
  init(_ stream: LayerStream, problem: UnpackProblem) throws(Failure) {
    self.problem = problem
    self.stream = stream
    file = nil
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

  /// A whole file, compressed or not. A zip's directory is at its end, so its reader goes back and forth.
  init(_ file: VerifiedFile, format: Format, problem: UnpackProblem) throws(Failure) {
    self.problem = problem
    self.file = file
    stream = nil
    archive = Self.make(format)
    if format == .tar {
      archive_read_support_filter_gzip(archive)
      archive_read_support_filter_zstd(archive)
      archive_read_support_filter_xz(archive)
      archive_read_support_filter_bzip2(archive)
    }
    setCallbacks(file)
    guard archive_read_open1(archive) == ARCHIVE_OK else { throw reason() }
  }

  /// libarchive keeps an unretained pointer, and this object the file.
  private func setCallbacks(_ file: VerifiedFile) {
    archive_read_set_callback_data(archive, Unmanaged.passUnretained(file).toOpaque())
    archive_read_set_read_callback(archive) { _, context, bytes in
      guard let context, let bytes else { return -1 }
      let file = Unmanaged<VerifiedFile>.fromOpaque(context).takeUnretainedValue()
      guard let piece = file.next() else { return -1 }
      bytes.pointee = piece.baseAddress
      return piece.count
    }
    archive_read_set_skip_callback(archive) { _, context, count in
      guard let context else { return 0 }
      return Unmanaged<VerifiedFile>.fromOpaque(context).takeUnretainedValue().skip(count)
    }
    archive_read_set_seek_callback(archive) { _, context, offset, origin in
      guard let context else { return la_int64_t(ARCHIVE_FATAL) }
      let file = Unmanaged<VerifiedFile>.fromOpaque(context).takeUnretainedValue()
      return file.seek(offset, from: origin) ?? la_int64_t(ARCHIVE_FATAL)
    }
  }

  deinit { archive_read_free(archive) }

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

  /// Why there are no more bytes, when it is not the archive's own end.
  private var sourceFailure: Failure? { stream?.failure ?? file?.failure }

  private func reason() -> Failure {
    let text = archive_error_string(archive).map { String(cString: $0) }
    return sourceFailure ?? problem.corrupt(text ?? "it is damaged")
  }

  /// Valid until the next call; nil at the end.
  func next() throws(Failure) -> OpaquePointer? {
    while true {
      var entry: OpaquePointer?
      switch archive_read_next_header(archive, &entry) {
      case ARCHIVE_OK, ARCHIVE_WARN: return entry
      case ARCHIVE_RETRY: continue
      case ARCHIVE_EOF:
        if let failure = sourceFailure { throw failure }
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
