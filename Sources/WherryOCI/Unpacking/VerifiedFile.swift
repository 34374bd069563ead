import Glibc
import WherryCrypto
import WherryModel

/// A file that others may write to, read as the bytes that its digest names and no others. It is digested once as a
/// whole, and with that each of its blocks; whatever block is asked for later is read anew, held against its own digest
/// and only then handed out. So the reader may go back and forth, as that of a zip does, and still sees no byte that
/// was not vouched for.
final class VerifiedFile {
  private let descriptor: Int32
  private let size: Int64
  private let problem: UnpackProblem
  /// One block.
  private let buffer: UnsafeMutableRawBufferPointer
  private var digests: [Digest] = []
  /// The block that `buffer` holds, verified.
  private var loaded: Int?
  private var position: Int64 = 0
  /// Why reading stopped, when it was not the end.
  private(set) var failure: Failure?

  /// With so many blocks at most, what is remembered of a file stays small however large it is.
  private static let blocksMaximum: Int64 = 8_192
  private static let blockBytesMinimum: Int64 = 64 << 10

  /// Reads all of it.
  /// - Parameter descriptor: a regular file, open for reading; stays the caller's.
  init(descriptor: Int32, size: Int64, digest: Digest, problem: UnpackProblem) throws(Failure) {
    self.descriptor = descriptor
    self.size = size
    self.problem = problem
    let blockBytes = max(Self.blockBytesMinimum, size / Self.blocksMaximum + 1)
    buffer = .allocate(byteCount: Int(blockBytes), alignment: 16)
    var whole = SHA256()
    var part = SHA256()
    for index in 0..<Int((size + blockBytes - 1) / blockBytes) {
      let block = try read(index)
      whole.update(block)
      part.update(block)
      digests.append(part.finish())
    }
    let actual = whole.finish()
    var beyond: UInt8 = 0
    guard actual == digest, pread(descriptor, &beyond, 1, off_t(size)) == 0 else {
      throw Self.mismatch(
        "\(problem.label) is to be unpacked from \(size) bytes with digest \(digest.short)…, and its file has others")
    }
  }

  deinit { buffer.deallocate() }

  private static func mismatch(_ message: String) -> Failure {
    Failure(.verify, code: "blob.digestMismatch", message: message, remedy: "nothing to do: it is downloaded again")
  }

  /// Fills the buffer with one block, not verified.
  private func read(_ index: Int) throws(Failure) -> UnsafeRawBufferPointer {
    loaded = nil
    let start = Int64(index) * Int64(buffer.count)
    let block = UnsafeMutableRawBufferPointer(rebasing: buffer[..<Int(min(Int64(buffer.count), size - start))])
    var done = 0
    while done < block.count {
      let place = off_t(start + Int64(done))
      let count = pread(descriptor, block.baseAddress?.advanced(by: done), block.count - done, place)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw problem.system("read", ".") }
      guard count > 0 else {
        throw Self.mismatch("the file of \(problem.label) ends before its \(size) bytes")
      }
      done += count
    }
    return UnsafeRawBufferPointer(block)
  }

  /// What comes at the present position, valid until the next call; empty at the end, nil on failure.
  func next() -> UnsafeRawBufferPointer? {
    guard failure == nil else { return nil }
    guard position < size else { return UnsafeRawBufferPointer(start: nil, count: 0) }
    let index = Int(position / Int64(buffer.count))
    do throws(Failure) {
      if loaded != index { try load(index) }
    } catch {
      failure = error
      return nil
    }
    let start = Int64(index) * Int64(buffer.count)
    let end = Int(min(Int64(buffer.count), size - start))
    let piece = UnsafeRawBufferPointer(rebasing: buffer[Int(position - start)..<end])
    position += Int64(piece.count)
    return piece
  }

  private func load(_ index: Int) throws(Failure) {
    var part = SHA256()
    part.update(try read(index))
    guard part.finish() == digests[index] else {
      throw Self.mismatch("the file of \(problem.label) changes while it is being unpacked")
    }
    loaded = index
  }

  /// - Parameter origin: as of `lseek`.
  /// - Returns: the new position; nil when that is outside the file.
  func seek(_ offset: Int64, from origin: Int32) -> Int64? {
    let base: Int64
    switch origin {
    case SEEK_SET: base = 0
    case SEEK_CUR: base = position
    case SEEK_END: base = size
    default: return nil
    }
    let (target, overflow) = base.addingReportingOverflow(offset)
    guard !overflow, target >= 0, target <= size else { return nil }
    position = target
    return target
  }

  /// - Returns: how far it went, which the end may limit.
  func skip(_ count: Int64) -> Int64 {
    let distance = min(max(0, count), size - position)
    position += distance
    return distance
  }
}
