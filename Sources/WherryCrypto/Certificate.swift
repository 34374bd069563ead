import COpenSSL
import WherryModel

/// Questions to an X.509 certificate.
package enum Certificate {
  /// The subject's common name; nil unless there is exactly one.
  package static func commonName(der: [UInt8]) -> String? {
    parse(der: der).flatMap { DistinguishedName.commonName(of: X509_get_subject_name($0.pointer)) }
  }

  package static func commonName(pem: String) -> String? {
    parse(pem: pem).flatMap { DistinguishedName.commonName(of: X509_get_subject_name($0.pointer)) }
  }

  /// SHA-256 of the first certificate's DER.
  package static func fingerprint(pem: String) -> Digest? { der(pem: pem).map { SHA256.digest(of: $0) } }

  /// The first certificate of a PEM text.
  package static func der(pem: String) -> [UInt8]? {
    guard let certificate = parse(pem: pem) else { return nil }
    return try? MemoryBIO.writing("the certificate cannot be written as DER") { i2d_X509_bio($0, certificate.pointer) }
  }

  /// In milliseconds since 1970.
  package static func notAfter(pem: String) -> Instant? {
    parse(pem: pem).flatMap { instant(X509_get0_notAfter($0.pointer)) }
  }

  package static func notBefore(pem: String) -> Instant? {
    parse(pem: pem).flatMap { instant(X509_get0_notBefore($0.pointer)) }
  }

  /// Lower-case hexadecimal.
  package static func serial(pem: String) -> String? {
    guard let certificate = parse(pem: pem),
      let number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate.pointer), nil)
    else { return nil }
    defer { BN_free(number) }
    guard let text = BN_bn2hex(number) else { return nil }
    defer { CRYPTO_free(text, "", 0) }
    return String(cString: text).lowercased()
  }

  static func parse(pem: String) -> Handle? {
    defer { ERR_clear_error() }
    return MemoryBIO.reading(pem) { PEM_read_bio_X509($0, nil, wherry_no_passphrase, nil) }
      .map { Handle($0) { X509_free($0) } }
  }

  static func parse(der: [UInt8]) -> Handle? {
    CryptoLibrary.prepare()
    defer { ERR_clear_error() }
    return der.withUnsafeBufferPointer { bytes in
      var next = bytes.baseAddress
      guard let certificate = d2i_X509(nil, &next, bytes.count) else { return nil }
      let handle = Handle(certificate) { X509_free($0) }
      // Anything after the certificate would make two readers disagree on what they saw.
      return next == bytes.baseAddress?.advanced(by: bytes.count) ? handle : nil
    }
  }

  private static func instant(_ time: UnsafePointer<ASN1_TIME>?) -> Instant? {
    guard let epoch = ASN1_TIME_set(nil, 0) else { return nil }
    defer { ASN1_STRING_free(epoch) }
    var days: Int32 = 0
    var seconds: Int32 = 0
    guard let time, ASN1_TIME_diff(&days, &seconds, epoch, time) == 1 else { return nil }
    return Instant(milliseconds: (Int64(days) * 86_400 + Int64(seconds)) * 1000)
  }
}
