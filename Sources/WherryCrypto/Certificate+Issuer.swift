import COpenSSL

extension Certificate {
  /// Whether the first authority of `authorityPEM` signed the certificate and `keyPEM` is its key. Says nothing of
  /// dates and names.
  package static func isIssued(pem: String, key keyPEM: String, by authorityPEM: String) -> Bool {
    // A refused signature leaves an entry that a later call would take for its own.
    defer { ERR_clear_error() }
    guard let certificate = parse(pem: pem), let authority = parse(pem: authorityPEM),
      let authorityKey = X509_get0_pubkey(authority.pointer), let key = try? PrivateKey(pem: keyPEM)
    else { return false }
    return X509_check_private_key(certificate.pointer, key.handle.pointer) == 1
      && X509_verify(certificate.pointer, authorityKey) == 1
  }
}
