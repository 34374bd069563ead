import COpenSSL
import WherryModel

/// SHA-256 over a stream of bytes. A copy continues on its own.
package struct SHA256 {
  private var context: Handle

  package init() { context = Self.makeContext() }

  private static func makeContext() -> Handle {
    guard let pointer = EVP_MD_CTX_new() else { preconditionFailure("out of memory for a digest context") }
    let context = Handle(pointer) { EVP_MD_CTX_free($0) }
    start(context)
    return context
  }

  private static func start(_ context: Handle) {
    precondition(EVP_DigestInit_ex(context.pointer, algorithm.pointer, nil) == 1, "SHA-256 is not available")
  }

  /// Looked up once: an implicit lookup costs more than hashing a short text.
  private static let algorithm: Algorithm = {
    CryptoLibrary.prepare()
    guard let pointer = EVP_MD_fetch(nil, "SHA256", nil) else { preconditionFailure("SHA-256 is not available") }
    return Algorithm(pointer: pointer)
  }()

  /// Never changed after the lookup, so threads may share it.
  private struct Algorithm: @unchecked Sendable { let pointer: OpaquePointer }

  package mutating func update(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count > 0 else { return }
    makeUnique()
    precondition(EVP_DigestUpdate(context.pointer, bytes.baseAddress, bytes.count) == 1, "SHA-256 update failed")
  }

  package mutating func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { update($0) } }

  /// The digest of everything so far; the next update begins a new one.
  package mutating func finish() -> Digest {
    makeUnique()
    var bytes = [UInt8](repeating: 0, count: 32)
    precondition(EVP_DigestFinal_ex(context.pointer, &bytes, nil) == 1, "SHA-256 finish failed")
    Self.start(context)
    return Digest(bytes: bytes)
  }

  private mutating func makeUnique() {
    guard !isKnownUniquelyReferenced(&context) else { return }
    let copy = Self.makeContext()
    precondition(EVP_MD_CTX_copy_ex(copy.pointer, context.pointer) == 1, "SHA-256 copy failed")
    context = copy
  }

  package static func digest(of bytes: [UInt8]) -> Digest { Digest(bytes: raw(of: bytes)) }

  package static func digest(of text: String) -> Digest { digest(of: Array(text.utf8)) }

  /// The 32 bytes themselves.
  package static func raw(of bytes: [UInt8]) -> [UInt8] {
    var result = [UInt8](repeating: 0, count: 32)
    precondition(EVP_Digest(bytes, bytes.count, &result, nil, algorithm.pointer, nil) == 1, "SHA-256 failed")
    return result
  }
}
