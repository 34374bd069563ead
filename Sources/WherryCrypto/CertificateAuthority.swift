import COpenSSL
import Glibc
import WherryModel

/// The fleet's own authority: one self-signed P-256 root that signs servers and devices directly.
package struct CertificateAuthority: @unchecked Sendable {
  // X509 and EVP_PKEY are reference-counted with atomics and only read here.
  private let certificate: Handle
  private let key: PrivateKey
  package let certificatePEM: String
  package let keyPEM: String

  /// Devices' clocks are often behind: a certificate counts from an hour before it was made.
  private static let slackSeconds = 3600
  private static let daysMaximum = 36_500

  package static func create(commonName: String, days: Int) throws(CryptoError) -> CertificateAuthority {
    let key = try PrivateKey.generate()
    let certificate = try blank(commonName: commonName, key: key.handle.pointer, days: days)
    guard let subject = X509_get_subject_name(certificate.pointer),
      X509_set_issuer_name(certificate.pointer, subject) == 1
    else { throw CryptoError(openSSL: "the authority's certificate cannot be made") }
    try extend(
      certificate, issuer: certificate,
      [
        (NID_basic_constraints, "critical,CA:TRUE,pathlen:0"), (NID_key_usage, "critical,keyCertSign,cRLSign"),
        (NID_subject_key_identifier, "hash"), (NID_authority_key_identifier, "keyid:always"),
      ])
    return try CertificateAuthority(certificatePEM: sign(certificate, with: key), keyPEM: key.pem)
  }

  package init(certificatePEM: String, keyPEM: String) throws(CryptoError) {
    guard let certificate = Certificate.parse(pem: certificatePEM) else {
      throw CryptoError("the authority's certificate is not a PEM certificate")
    }
    key = try PrivateKey(pem: keyPEM)
    guard X509_check_private_key(certificate.pointer, key.handle.pointer) == 1 else {
      throw CryptoError(openSSL: "the authority's key does not belong to its certificate")
    }
    guard X509_check_ca(certificate.pointer) == 1 else {
      throw CryptoError("the authority's certificate may not sign certificates")
    }
    self.certificate = certificate
    self.certificatePEM = certificatePEM
    self.keyPEM = keyPEM
  }

  /// `names` are DNS names (a leading `*.` is allowed) and IP addresses, as clients will dial them.
  package func issueServer(names: [String], days: Int) throws(CryptoError) -> (certificatePEM: String, keyPEM: String) {
    guard let first = names.first else { throw CryptoError("a server certificate needs at least one name") }
    var entries: [String] = []
    for name in names { entries.append(try Self.alternativeName(name)) }
    let key = try PrivateKey.generate()
    // The common name is for people: clients look at the alternative names only.
    let leaf = try leaf(commonName: String(first.prefix(64)), key: key.handle.pointer, days: days)
    try Self.extend(
      leaf, issuer: certificate,
      [
        (NID_ext_key_usage, "serverAuth"), (NID_subject_alt_name, entries.joined(separator: ",")),
      ])
    return (try Self.sign(leaf, with: self.key), key.pem)
  }

  package func issueClient(commonName: String, days: Int) throws(CryptoError) -> (
    certificatePEM: String, keyPEM: String
  ) {
    let key = try PrivateKey.generate()
    return (try client(commonName: commonName, key: key.handle.pointer, days: days), key.pem)
  }

  /// The client certificate for a request. The request must be signed with its own P-256 key and ask for exactly
  /// `expectedCommonName`; extensions that it asks for are ignored.
  package func sign(request csrPEM: String, expectedCommonName: String, days: Int) throws(CryptoError) -> String {
    defer { ERR_clear_error() }
    let parsed = MemoryBIO.reading(csrPEM) { PEM_read_bio_X509_REQ($0, nil, wherry_no_passphrase, nil) }
    let request = try Handle(parsed, "the certificate request is not a PEM request") { X509_REQ_free($0) }
    guard let key = X509_REQ_get0_pubkey(request.pointer), wherry_is_p256(key) == 1 else {
      throw CryptoError("the certificate request does not hold a P-256 key; make the key with wherry-agent provision")
    }
    guard X509_REQ_verify(request.pointer, key) == 1 else {
      throw CryptoError("the certificate request is not signed by its own key")
    }
    guard let name = DistinguishedName.commonName(of: X509_REQ_get_subject_name(request.pointer)),
      name == expectedCommonName
    else { throw CryptoError("the certificate request is not for \"\(expectedCommonName)\"") }
    return try client(commonName: expectedCommonName, key: key, days: days)
  }

  private func client(commonName: String, key: OpaquePointer, days: Int) throws(CryptoError) -> String {
    let leaf = try leaf(commonName: commonName, key: key, days: days)
    try Self.extend(leaf, issuer: certificate, [(NID_ext_key_usage, "clientAuth")])
    return try Self.sign(leaf, with: self.key)
  }

  // MARK: - Making certificates

  private func leaf(commonName: String, key: OpaquePointer, days: Int) throws(CryptoError) -> Handle {
    let leaf = try Self.blank(commonName: commonName, key: key, days: days)
    guard X509_set_issuer_name(leaf.pointer, X509_get_subject_name(certificate.pointer)) == 1 else {
      throw CryptoError(openSSL: "the certificate for \"\(commonName)\" cannot be made")
    }
    // A chain is only as long-lived as its root.
    if let end = X509_get0_notAfter(certificate.pointer),
      ASN1_TIME_compare(X509_get0_notAfter(leaf.pointer), end) > 0
    {
      guard X509_set1_notAfter(leaf.pointer, end) == 1 else {
        throw CryptoError(openSSL: "the certificate for \"\(commonName)\" cannot be dated")
      }
    }
    try Self.extend(
      leaf, issuer: certificate,
      [
        (NID_basic_constraints, "critical,CA:FALSE"), (NID_key_usage, "critical,digitalSignature"),
        (NID_subject_key_identifier, "hash"), (NID_authority_key_identifier, "keyid:always"),
      ])
    return leaf
  }

  private static func blank(commonName: String, key: OpaquePointer, days: Int) throws(CryptoError) -> Handle {
    let operation = "the certificate for \"\(commonName)\" cannot be made"
    guard (1...daysMaximum).contains(days) else {
      throw CryptoError("\(operation): it would be valid for \(days) days; use 1 to \(daysMaximum)")
    }
    CryptoLibrary.prepare()
    let certificate = try Handle(X509_new(), operation) { X509_free($0) }
    let name = try DistinguishedName.make(commonName: commonName)
    // 127 random bits, positive and never zero (RFC 5280, 4.1.2.2).
    var serial = randomBytes(16)
    serial[0] = serial[0] & 0x7f | 0x40
    guard let number = BN_bin2bn(serial, Int32(serial.count), nil) else { throw CryptoError(openSSL: operation) }
    defer { BN_free(number) }
    guard X509_set_version(certificate.pointer, 2) == 1,
      BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate.pointer)) != nil,
      X509_gmtime_adj(X509_getm_notBefore(certificate.pointer), -slackSeconds) != nil,
      X509_time_adj_ex(X509_getm_notAfter(certificate.pointer), Int32(days), 0, nil) != nil,
      X509_set_subject_name(certificate.pointer, name.pointer) == 1,
      X509_set_pubkey(certificate.pointer, key) == 1
    else { throw CryptoError(openSSL: operation) }
    return certificate
  }

  private static func extend(_ certificate: Handle, issuer: Handle, _ extensions: [(Int32, String)])
    throws(CryptoError)
  {
    for (nid, value) in extensions {
      guard wherry_add_extension(certificate.pointer, issuer.pointer, nid, value) == 1 else {
        throw CryptoError(openSSL: "the certificate cannot be given \"\(value)\"")
      }
    }
  }

  private static func sign(_ certificate: Handle, with key: PrivateKey) throws(CryptoError) -> String {
    guard X509_sign(certificate.pointer, key.handle.pointer, EVP_sha256()) > 0 else {
      throw CryptoError(openSSL: "the certificate cannot be signed")
    }
    let bytes = try MemoryBIO.writing("the certificate cannot be written as PEM") {
      PEM_write_bio_X509($0, certificate.pointer)
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// In OpenSSL's notation, where a comma or colon in a name would begin another entry: only letters, digits, `-`, `.`
  /// and a leading `*.` pass.
  private static func alternativeName(_ name: String) throws(CryptoError) -> String {
    var address = in6_addr()
    if inet_pton(AF_INET, name, &address) == 1 || inet_pton(AF_INET6, name, &address) == 1 { return "IP:\(name)" }
    let labels = name.hasPrefix("*.") ? name.dropFirst(2) : name[...]
    let isValid =
      (1...253).contains(labels.utf8.count)
      && labels.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
        (1...63).contains(label.utf8.count) && label.utf8.first != UInt8(ascii: "-")
          && label.utf8.last != UInt8(ascii: "-")
          && label.utf8.allSatisfy {
            (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || $0 == UInt8(ascii: "-")
          }
      }
    guard isValid else { throw CryptoError("\"\(name)\" is not a DNS name or IP address") }
    return "DNS:\(name)"
  }
}
