import CDecompress
import Glibc
import WherryCrypto
import WherryModel

/// A layer's uncompressed tar as a stream, digested and counted while it is read. What it hands out is digested and
/// unpacked where the decompressor put it; nothing is copied in between.
final class LayerStream {
  private let descriptor: Int32
  private let compression: LayerCompression
  private let problem: UnpackProblem
  private let bytesMaximum: Int64
  private let decompressor: OpaquePointer?
  private let input = UnsafeMutableRawBufferPointer.allocate(byteCount: LayerStream.inputBytes, alignment: 64)
  private let output = UnsafeMutableRawBufferPointer.allocate(byteCount: LayerStream.outputBytes, alignment: 64)
  private var piece = cdecompress_piece()
  private var isInputAtEnd = false
  private var isAtEnd = false
  private var hash = SHA256()
  private(set) var count: Int64 = 0
  /// Why reading stopped, when it was not the end.
  private(set) var failure: Failure?

  private static let inputBytes = 128 << 10
  /// Small enough for a processor's second-level cache, in which the digest and the disk cache find it again.
  private static let outputBytes = 256 << 10
  /// Base-2 logarithm of the memory that a zstd layer may take to decompress: 32 MiB, four times what every decoder has
  /// to have (RFC 8878, 3.1.1.1.2) and the most that the usual tools for images ask for.
  static let windowBits: Int32 = 25

  /// - Parameter descriptor: open for reading; stays the caller's.
  init(
    descriptor: Int32, compression: LayerCompression, bytesMaximum: Int64, problem: UnpackProblem
  ) throws(Failure) {
    self.descriptor = descriptor
    self.compression = compression
    self.problem = problem
    self.bytesMaximum = bytesMaximum
    switch compression {
    case .none: decompressor = nil
    case .gzip: decompressor = cdecompress_new(Int32(CDECOMPRESS_GZIP), Self.windowBits)
    case .zstd: decompressor = cdecompress_new(Int32(CDECOMPRESS_ZSTD), Self.windowBits)
    }
    guard compression == .none || decompressor != nil else { throw problem.outOfMemory() }
  }

  deinit {
    if let decompressor { cdecompress_free(decompressor) }
    input.deallocate()
    output.deallocate()
  }

  /// The next piece, valid until the next call; nil at the end or on failure.
  func next() -> UnsafeRawBufferPointer? {
    guard !isAtEnd, failure == nil else { return nil }
    do throws(Failure) {
      let filled = if let decompressor { try decompress(decompressor) } else { try readAll(into: output) }
      isAtEnd = filled < output.count
      guard filled > 0 else { return nil }
      count += Int64(filled)
      guard count <= bytesMaximum else {
        throw problem.tooLarge("it unpacks to more than \(bytesMaximum) bytes", bytes: bytesMaximum + 1)
      }
      let bytes = UnsafeRawBufferPointer(rebasing: output[..<filled])
      hash.update(bytes)
      return bytes
    } catch {
      failure = error
      return nil
    }
  }

  /// Reads what follows the archive's end marker, which is part of the digest too.
  func finish() throws(Failure) -> Digest {
    while next() != nil {}
    if let failure { throw failure }
    return hash.finish()
  }

  /// - Returns: bytes in `output`; fewer than it holds only at the end.
  private func decompress(_ stream: OpaquePointer) throws(Failure) -> Int {
    piece.room = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
    piece.room_count = output.count
    while piece.room_count > 0 {
      if piece.input_count == 0, !isInputAtEnd { try refill() }
      let result = Int(cdecompress_step(stream, &piece))
      guard result >= 0 else { throw damage(result) }
      guard piece.input_count == 0, isInputAtEnd, piece.room_count > 0 else { continue }
      guard result == Int(CDECOMPRESS_WHOLE) else {
        throw problem.corrupt("its \(compression.rawValue) data ends too early")
      }
      break
    }
    return output.count - piece.room_count
  }

  private func refill() throws(Failure) {
    let count = try readSome(into: input)
    piece.input = input.baseAddress.map { UnsafePointer($0.assumingMemoryBound(to: UInt8.self)) }
    piece.input_count = count
    isInputAtEnd = count == 0
  }

  private func damage(_ result: Int) -> Failure {
    let format = compression.rawValue
    switch result {
    case Int(CDECOMPRESS_OTHER_FORMAT):
      return problem.corrupt("it is not compressed with \(format), as it is declared to be")
    case Int(CDECOMPRESS_TRAILING): return problem.corrupt("something else follows its \(format) data")
    case Int(CDECOMPRESS_CHECKSUM): return problem.corrupt("the checksum of its \(format) data is wrong")
    case Int(CDECOMPRESS_WINDOW): return problem.windowTooLarge(bytes: 1 << Int64(Self.windowBits))
    case Int(CDECOMPRESS_MEMORY): return problem.outOfMemory()
    default: return problem.corrupt("its \(format) data is damaged")
    }
  }

  // MARK: The file

  private func readAll(into buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
    var done = 0
    while done < buffer.count {
      let count = try readSome(into: UnsafeMutableRawBufferPointer(rebasing: buffer[done...]))
      if count == 0 { break }
      done += count
    }
    return done
  }

  private func readSome(into buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
    while true {
      let count = read(descriptor, buffer.baseAddress, buffer.count)
      if count >= 0 { return count }
      guard errno == EINTR else { throw problem.system("read", ".") }
    }
  }
}
