import COpenSSL

/// A P-256 key pair: of a device, a server or the fleet's authority.
package struct PrivateKey: @unchecked Sendable {
  // An EVP_PKEY is reference-counted with atomics and not changed after it was made.
  let handle: Handle
  /// Unencrypted PKCS #8 (`BEGIN PRIVATE KEY`).
  package let pem: String

  package static func generate() throws(CryptoError) -> PrivateKey {
    CryptoLibrary.prepare()
    return try PrivateKey(
      handle: Handle(wherry_ec_p256_generate(), "a P-256 key cannot be made") { EVP_PKEY_free($0) })
  }

  private init(handle: Handle) throws(CryptoError) {
    self.handle = handle
    let bytes = try MemoryBIO.writing("the private key cannot be written as PEM") {
      PEM_write_bio_PKCS8PrivateKey($0, handle.pointer, nil, nil, 0, nil, nil)
    }
    pem = String(decoding: bytes, as: UTF8.self)
  }

  /// Unencrypted PKCS #8 or SEC 1.
  package init(pem: String) throws(CryptoError) {
    let key = MemoryBIO.reading(pem) { wherry_read_private_key($0) }
    let handle = try Handle(key, "the private key is not an unencrypted PEM key") { EVP_PKEY_free($0) }
    guard wherry_is_p256(handle.pointer) == 1 else { throw CryptoError("the private key is not a P-256 key") }
    try self.init(handle: handle)
  }

  /// A PKCS #10 request in PEM (RFC 2986). It asks for a name and nothing else: what a certificate may be used for is
  /// the authority's to say.
  package func certificateRequest(commonName: String) throws(CryptoError) -> String {
    let operation = "the certificate request for \"\(commonName)\" cannot be made"
    let request = try Handle(X509_REQ_new(), operation) { X509_REQ_free($0) }
    let name = try DistinguishedName.make(commonName: commonName)
    guard X509_REQ_set_version(request.pointer, 0) == 1,
      X509_REQ_set_subject_name(request.pointer, name.pointer) == 1,
      X509_REQ_set_pubkey(request.pointer, handle.pointer) == 1,
      X509_REQ_sign(request.pointer, handle.pointer, EVP_sha256()) > 0
    else { throw CryptoError(openSSL: operation) }
    let bytes = try MemoryBIO.writing(operation) { PEM_write_bio_X509_REQ($0, request.pointer) }
    return String(decoding: bytes, as: UTF8.self)
  }
}

enum DistinguishedName {
  /// `CN=<commonName>`, 1 to 64 bytes (RFC 5280, ub-common-name).
  static func make(commonName: String) throws(CryptoError) -> Handle {
    let bytes = Array(commonName.utf8)
    guard (1...64).contains(bytes.count) else {
      throw CryptoError("the common name \"\(commonName.prefix(80))\" has \(bytes.count) bytes; use 1 to 64")
    }
    let name = try Handle(X509_NAME_new(), "out of memory for a certificate name") { X509_NAME_free($0) }
    guard
      X509_NAME_add_entry_by_NID(
        name.pointer, NID_commonName, wherry_utf8_string(), bytes, Int32(bytes.count), -1, 0) == 1
    else { throw CryptoError(openSSL: "the common name \"\(commonName)\" is not valid") }
    return name
  }

  /// The one common name of a subject; nil when there is none, or more than one, or it holds a NUL.
  static func commonName(of name: OpaquePointer?) -> String? {
    guard let name else { return nil }
    let index = X509_NAME_get_index_by_NID(name, NID_commonName, -1)
    guard index >= 0, X509_NAME_get_index_by_NID(name, NID_commonName, index) < 0,
      let entry = X509_NAME_get_entry(name, index), let value = X509_NAME_ENTRY_get_data(entry)
    else { return nil }
    var bytes: UnsafeMutablePointer<UInt8>?
    let count = ASN1_STRING_to_UTF8(&bytes, value)
    guard count > 0, let bytes else { return nil }
    defer { CRYPTO_free(bytes, "", 0) }
    let text = UnsafeBufferPointer(start: bytes, count: Int(count))
    guard !text.contains(0) else { return nil }
    return String(validating: text, as: UTF8.self)
  }
}
