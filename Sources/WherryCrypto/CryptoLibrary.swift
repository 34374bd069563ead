import COpenSSL

/// OpenSSL's process-wide set-up.
package enum CryptoLibrary {
  private static let isPrepared: Bool =
    OPENSSL_init_crypto(UInt64(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT), nil) == 1

  /// Makes OpenSSL ignore `openssl.cnf`, so that what we accept and how much memory it takes does not depend on the
  /// host's configuration. Only the first set-up in a process counts: call it before anything else uses OpenSSL.
  package static func prepare() { _ = isPrepared }
}

/// Owns one object of OpenSSL.
final class Handle {
  let pointer: OpaquePointer
  private let release: (OpaquePointer) -> Void

  init(_ pointer: OpaquePointer, release: @escaping (OpaquePointer) -> Void) {
    self.pointer = pointer
    self.release = release
  }

  /// Nil pointers come from failed calls.
  convenience init(_ pointer: OpaquePointer?, _ operation: String, release: @escaping (OpaquePointer) -> Void)
    throws(CryptoError)
  {
    guard let pointer else { throw CryptoError(openSSL: operation) }
    self.init(pointer, release: release)
  }

  deinit { release(pointer) }
}

/// Text and DER in and out of memory BIOs.
enum MemoryBIO {
  static func writing(_ operation: String, _ body: (OpaquePointer) -> Int32) throws(CryptoError) -> [UInt8] {
    CryptoLibrary.prepare()
    let bio = try Handle(BIO_new(BIO_s_mem()), operation) { BIO_free($0) }
    guard body(bio.pointer) == 1 else { throw CryptoError(openSSL: operation) }
    var bytes = [UInt8](repeating: 0, count: BIO_ctrl_pending(bio.pointer))
    let count = bytes.withUnsafeMutableBytes { BIO_read(bio.pointer, $0.baseAddress, Int32($0.count)) }
    guard Int(count) == bytes.count else { throw CryptoError(openSSL: operation) }
    return bytes
  }

  static func reading<Value>(_ text: String, _ body: (OpaquePointer) -> Value?) -> Value? {
    CryptoLibrary.prepare()
    var text = text
    return text.withUTF8 { bytes in
      guard bytes.count <= 1 << 20, let bio = BIO_new_mem_buf(bytes.baseAddress, Int32(bytes.count)) else {
        return nil
      }
      defer { BIO_free(bio) }
      return body(bio)
    }
  }
}
