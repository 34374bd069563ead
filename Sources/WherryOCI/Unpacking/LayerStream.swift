import CArchive
import WherryCrypto
import WherryModel

/// A layer's uncompressed tar as a stream, digested and counted while it is read.
final class LayerStream {
  private let archive: OpaquePointer
  private let problem: UnpackProblem
  private let bytesMaximum: Int64
  private(set) var count: Int64 = 0
  /// Why reading stopped, when it was not the end.
  private(set) var failure: Failure?
  private var hash = SHA256()
  private var isAtEnd = false

  private static let blockBytes = 1 << 16

  init(
    descriptor: Int32, compression: LayerCompression, bytesMaximum: Int64, problem: UnpackProblem
  ) throws(Failure) {
    guard let archive = archive_read_new() else { preconditionFailure("libarchive is out of memory") }
    self.archive = archive
    self.problem = problem
    self.bytesMaximum = bytesMaximum
    switch compression {
    case .none: break
    case .gzip: archive_read_support_filter_gzip(archive)
    case .zstd: archive_read_support_filter_zstd(archive)
    }
    archive_read_support_format_raw(archive)
    archive_read_support_format_empty(archive)
    guard archive_read_open_fd(archive, descriptor, Self.blockBytes) == ARCHIVE_OK else {
      throw problem.corrupt(Self.reason(archive))
    }
    var entry: OpaquePointer?
    switch archive_read_next_header(archive, &entry) {
    case ARCHIVE_OK, ARCHIVE_WARN: break
    case ARCHIVE_EOF: isAtEnd = true
    default: throw problem.corrupt(Self.reason(archive))
    }
    // libarchive passes on what it does not recognise as compressed; a gzip layer must be gzip.
    if compression != .none, !isAtEnd, archive_filter_count(archive) < 2 {
      throw problem.corrupt("it is not compressed with \(compression.rawValue), as it is declared to be")
    }
  }

  deinit { archive_read_free(archive) }

  static func reason(_ archive: OpaquePointer) -> String {
    archive_error_string(archive).map { String(cString: $0) } ?? "it is damaged"
  }

  /// The next piece, valid until the next call; nil at the end or on failure.
  func next() -> UnsafeRawBufferPointer? {
    guard !isAtEnd, failure == nil else { return nil }
    while true {
      var bytes: UnsafeRawPointer?
      var size = 0
      var offset: la_int64_t = 0
      switch archive_read_data_block(archive, &bytes, &size, &offset) {
      case ARCHIVE_OK, ARCHIVE_WARN:
        guard size > 0 else { continue }
        count += Int64(size)
        guard count <= bytesMaximum else {
          failure = problem.tooLarge("it unpacks to more than \(bytesMaximum) bytes", bytes: bytesMaximum + 1)
          return nil
        }
        let piece = UnsafeRawBufferPointer(start: bytes, count: size)
        hash.update(piece)
        return piece
      case ARCHIVE_RETRY: continue
      case ARCHIVE_EOF:
        isAtEnd = true
        return nil
      default:
        failure = problem.corrupt(Self.reason(archive))
        return nil
      }
    }
  }

  /// Reads what follows the archive's end marker, which is part of the digest too.
  func finish() throws(Failure) -> Digest {
    while next() != nil {}
    if let failure { throw failure }
    return hash.finish()
  }
}
