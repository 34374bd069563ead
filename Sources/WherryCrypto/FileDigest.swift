import Glibc
import WherryModel

package enum FileDigest {
  /// SHA-256 and length of a whole file, read in pieces.
  package static func digest(path: String) throws(CryptoError) -> (Digest, size: Int64) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure("cannot be opened", path) }
    defer { close(descriptor) }
    return try digest(descriptor: descriptor, path: path)
  }

  /// From where the descriptor stands to its end; `path` is for the error.
  package static func digest(descriptor: Int32, path: String) throws(CryptoError) -> (Digest, size: Int64) {
    var hash = SHA256()
    var size: Int64 = 0
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 64)
    defer { buffer.deallocate() }
    while true {
      let count = read(descriptor, buffer.baseAddress, buffer.count)
      if count == 0 { return (hash.finish(), size) }
      if count < 0 {
        if errno == EINTR { continue }
        throw failure("cannot be read", path)
      }
      hash.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      size += Int64(count)
    }
  }

  private static func failure(_ verb: String, _ path: String) -> CryptoError {
    CryptoError("\(path) \(verb): \(String(cString: strerror(errno)))")
  }
}
