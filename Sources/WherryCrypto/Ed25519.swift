import COpenSSL
import WherryModel

/// Signs desired states (RFC 8032).
package struct Ed25519PrivateKey: @unchecked Sendable {
  // An EVP_PKEY is reference-counted with atomics and not changed after it was made.
  private let key: Handle
  package let rawSeed: [UInt8]
  package let publicKey: Ed25519PublicKey

  package static func generate() -> Ed25519PrivateKey {
    do {
      return try Ed25519PrivateKey(rawSeed: randomBytes(32))
    } catch {
      // Any 32 bytes are a key, so this is a broken libcrypto.
      preconditionFailure("an Ed25519 key cannot be made: \(error)")
    }
  }

  package init(rawSeed: [UInt8]) throws(CryptoError) {
    CryptoLibrary.prepare()
    guard rawSeed.count == 32 else {
      throw CryptoError("an Ed25519 private key has 32 bytes, not \(rawSeed.count)")
    }
    key = try Handle(
      EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nil, rawSeed, 32), "the Ed25519 private key is not valid"
    ) { EVP_PKEY_free($0) }
    self.rawSeed = rawSeed
    var raw = [UInt8](repeating: 0, count: 32)
    var length = 32
    guard EVP_PKEY_get_raw_public_key(key.pointer, &raw, &length) == 1, length == 32 else {
      throw CryptoError(openSSL: "the Ed25519 public key cannot be derived")
    }
    publicKey = try Ed25519PublicKey(raw: raw)
  }

  package func sign(_ message: [UInt8]) -> [UInt8] {
    var signature = [UInt8](repeating: 0, count: 64)
    var length = 64
    guard let context = EVP_MD_CTX_new() else { preconditionFailure("out of memory for a signature") }
    defer { EVP_MD_CTX_free(context) }
    let isSigned =
      EVP_DigestSignInit(context, nil, nil, nil, key.pointer) == 1
      && EVP_DigestSign(context, &signature, &length, message, message.count) == 1 && length == 64
    precondition(isSigned, "Ed25519 signing failed")
    return signature
  }
}

package struct Ed25519PublicKey: @unchecked Sendable, Hashable {
  // As above: immutable after init.
  private let key: Handle
  package let raw: [UInt8]

  package init(raw: [UInt8]) throws(CryptoError) {
    CryptoLibrary.prepare()
    guard raw.count == 32 else { throw CryptoError("an Ed25519 public key has 32 bytes, not \(raw.count)") }
    key = try Handle(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nil, raw, 32), "the Ed25519 public key is not valid"
    ) { EVP_PKEY_free($0) }
    self.raw = raw
  }

  /// The first 16 hexadecimal digits of the key's SHA-256: names the key in envelopes and trust roots.
  package var keyID: String { String(SHA256.digest(of: raw).hex.prefix(16)) }

  package func isValid(signature: [UInt8], for message: [UInt8]) -> Bool {
    guard signature.count == 64, let context = EVP_MD_CTX_new() else { return false }
    defer {
      EVP_MD_CTX_free(context)
      ERR_clear_error()  // A refused signature leaves an entry that a later call would take for its own.
    }
    return EVP_DigestVerifyInit(context, nil, nil, nil, key.pointer) == 1
      && EVP_DigestVerify(context, signature, signature.count, message, message.count) == 1
  }

  package static func == (left: Self, right: Self) -> Bool { left.raw == right.raw }
  package func hash(into hasher: inout Hasher) { hasher.combine(raw) }
}
