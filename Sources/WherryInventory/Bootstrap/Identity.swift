import Glibc
import WherryCrypto
import WherryDatabase
import WherryModel
import WherryWire

/// Keys and certificates of the fleet, made at first start and read ever after.
struct Identity: Sendable {
  /// The certificate name that the service itself has at the broker; no device may be called so.
  static let serviceName = DeviceName(trusted: "wherry-inventory")
  private static let authorityDays = 3650
  static let serverDays = 825

  let authority: CertificateAuthority
  let serverCertificatePEM: String
  let serverKeyPEM: String
  let signingKey: Ed25519PrivateKey
  /// Files, since mosquitto and libmosquitto want files.
  let files: IdentityFiles

  var trustRoot: TrustRoot {
    let key = signingKey.publicKey
    return TrustRoot(version: 1, keys: [SigningKey(id: key.keyID, publicKey: key.raw)])
  }

  static func load(_ directory: DataDirectory, names: [String]) throws -> Identity {
    let files = IdentityFiles(directory)
    let authority = try loadAuthority(files, isNew: directory.isNew)
    let signingKey = try loadSigningKey(files, isNew: directory.isNew)
    let server = try loadServer(files, authority: authority, names: names)
    try loadClient(files, authority: authority)
    return Identity(
      authority: authority, serverCertificatePEM: server.certificate, serverKeyPEM: server.key,
      signingKey: signingKey, files: files)
  }

  // MARK: - What is made once

  static func loadAuthority(_ files: IdentityFiles, isNew: Bool) throws -> CertificateAuthority {
    guard let key = try SmallFile.loadText(files.authorityKey) else {
      guard isNew else { throw missing(files.authorityKey) }
      return try makeAuthority(files)
    }
    guard let certificate = try SmallFile.loadText(files.authority) else { throw missing(files.authority) }
    do {
      return try CertificateAuthority(certificatePEM: certificate, keyPEM: key)
    } catch {
      throw Refusal(
        500, "data.damaged", "\(files.authority) and \(files.authorityKey) cannot be used: \(error)",
        remedy: "restore both from the same backup")
    }
  }

  /// The key is written last: without it both are made anew, and nothing has been signed by them yet.
  private static func makeAuthority(_ files: IdentityFiles) throws -> CertificateAuthority {
    let suffix = randomBytes(4).map { String($0, radix: 16) }.joined()
    let authority = try CertificateAuthority.create(commonName: "Wherry fleet CA \(suffix)", days: authorityDays)
    try SmallFile.write(Array(authority.certificatePEM.utf8), to: files.authority, mode: 0o644)
    try SmallFile.write(Array(authority.keyPEM.utf8), to: files.authorityKey, mode: 0o600)
    return authority
  }

  private static func loadSigningKey(_ files: IdentityFiles, isNew: Bool) throws -> Ed25519PrivateKey {
    if let text = try SmallFile.loadText(files.signingKey) {
      guard let seed = Base64.decode(String(text.prefix { $0 != "\n" })), seed.count == 32 else {
        throw Refusal(
          500, "data.damaged", "\(files.signingKey) is no signing key", remedy: "restore it from a backup")
      }
      return try Ed25519PrivateKey(rawSeed: seed)
    }
    guard isNew else { throw missing(files.signingKey) }
    let key = Ed25519PrivateKey.generate()
    try SmallFile.write(Array((Base64.encode(key.rawSeed) + "\n").utf8), to: files.signingKey, mode: 0o600)
    return key
  }

  /// Devices trust these keys and no others: made again, they would be another fleet's.
  private static func missing(_ path: String) -> Refusal {
    Refusal(
      500, "data.damaged", "\(path) is missing, and the fleet's devices trust no other",
      remedy: "restore it from a backup")
  }

  // MARK: - What is issued again when it must

  /// Issued again when the names that it must carry have changed, when it is not of this authority, or when it expires
  /// within 30 days.
  private static func loadServer(
    _ files: IdentityFiles, authority: CertificateAuthority, names: [String]
  ) throws -> (certificate: String, key: String) {
    let wanted = names.joined(separator: "\n")
    if try SmallFile.loadText(files.serverNames) == wanted,
      let certificate = try SmallFile.loadText(files.serverCertificate),
      let key = try SmallFile.loadText(files.serverKey), isGood(certificate, key: key, authority)
    {
      return (certificate, key)
    }
    let issued = try authority.issueServer(names: names, days: serverDays)
    unlink(files.serverNames)
    try SmallFile.write(Array(issued.keyPEM.utf8), to: files.serverKey, mode: 0o600)
    try SmallFile.write(Array(issued.certificatePEM.utf8), to: files.serverCertificate, mode: 0o644)
    try SmallFile.write(Array(wanted.utf8), to: files.serverNames, mode: 0o644)
    return (issued.certificatePEM, issued.keyPEM)
  }

  private static func loadClient(_ files: IdentityFiles, authority: CertificateAuthority) throws {
    if let certificate = try SmallFile.loadText(files.clientCertificate),
      let key = try SmallFile.loadText(files.clientKey), isGood(certificate, key: key, authority)
    {
      return
    }
    let issued = try authority.issueClient(commonName: serviceName.rawValue, days: serverDays)
    unlink(files.clientCertificate)
    try SmallFile.write(Array(issued.keyPEM.utf8), to: files.clientKey, mode: 0o600)
    try SmallFile.write(Array(issued.certificatePEM.utf8), to: files.clientCertificate, mode: 0o644)
  }

  /// Files that were restored from different backups do not fit together.
  private static func isGood(_ certificatePEM: String, key: String, _ authority: CertificateAuthority) -> Bool {
    isFresh(certificatePEM)
      && Certificate.isIssued(pem: certificatePEM, key: key, by: authority.certificatePEM)
  }

  private static func isFresh(_ certificatePEM: String) -> Bool {
    guard let end = Certificate.notAfter(pem: certificatePEM) else { return false }
    return end > wallClock().advanced(bySeconds: 30 * 86_400)
  }
}

struct IdentityFiles: Sendable {
  let authority: String
  let authorityKey: String
  let serverCertificate: String
  let serverKey: String
  let serverNames: String
  let clientCertificate: String
  let clientKey: String
  let signingKey: String

  init(_ directory: DataDirectory) { self.init(root: directory.root) }

  init(root: String) {
    authority = "\(root)/ca.crt"
    authorityKey = "\(root)/keys/ca.key"
    serverCertificate = "\(root)/keys/server.crt"
    serverKey = "\(root)/keys/server.key"
    serverNames = "\(root)/keys/server.names"
    clientCertificate = "\(root)/keys/inventory.crt"
    clientKey = "\(root)/keys/inventory.key"
    signingKey = "\(root)/keys/signing.key"
  }
}

/// Milliseconds since 1970.
package func wallClock() -> Instant {
  var time = timespec()
  clock_gettime(CLOCK_REALTIME, &time)
  return Instant(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
}

/// Tokens are 256 random bits, so a plain hash protects them: there is nothing to guess.
enum SecretToken {
  static func make(prefix: String) -> String { prefix + Base64.encodeURL(randomBytes(32)) }
  static func hash(_ token: String) -> String { SHA256.digest(of: token).hex }
}
