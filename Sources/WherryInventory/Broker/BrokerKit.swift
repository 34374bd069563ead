import Glibc
import WherryCrypto

/// What a broker that somebody else runs needs to be the fleet's: a server certificate of the fleet's CA, the access
/// rules and the settings, as files in one directory.
package struct BrokerKit: Sendable {
  /// Absolute.
  package let directory: String
  /// The text of `mosquitto.conf`, which is also in the directory.
  package let configuration: String

  /// Makes the CA, too, when `dataDirectory` has seen no service yet: the broker can stand before it. A service that
  /// runs is not in the way, nor is it disturbed. Again for the same directory: a new certificate replaces the old one.
  /// - Parameter names: DNS names and IP addresses by which devices and the service dial the broker.
  package static func make(
    dataDirectory: String, names: [String], port: Int, output: String
  ) throws -> BrokerKit {
    let authority = try Self.authority(of: dataDirectory)
    let issued = try authority.issueServer(names: names, days: Identity.serverDays)
    try SmallFile.makeDirectory(output, mode: 0o755)
    let data = try absolute(dataDirectory)
    let directory = try absolute(output)
    // A service that has run here knows which devices were removed.
    let access = try SmallFile.loadText("\(data)/broker/acl") ?? BrokerConfiguration.access(revoked: [])
    let text = Self.text(in: directory, dataDirectory: data, name: names[0], port: port)
    try SmallFile.write(Array(authority.certificatePEM.utf8), to: "\(directory)/ca.crt", mode: 0o644)
    try SmallFile.write(Array(issued.keyPEM.utf8), to: "\(directory)/server.key", mode: 0o600)
    try SmallFile.write(Array(issued.certificatePEM.utf8), to: "\(directory)/server.crt", mode: 0o644)
    try SmallFile.write(Array(access.utf8), to: "\(directory)/acl", mode: 0o644)
    try SmallFile.write(Array(text.utf8), to: "\(directory)/mosquitto.conf", mode: 0o644)
    return BrokerKit(directory: directory, configuration: text)
  }

  /// The CA is written once and never changed, so it can be read while a service holds the directory's lock.
  private static func authority(of dataDirectory: String) throws -> CertificateAuthority {
    let files = IdentityFiles(root: dataDirectory)
    if access(files.authorityKey, F_OK) == 0 { return try Identity.loadAuthority(files, isNew: false) }
    let directory = try DataDirectory(dataDirectory)
    return try Identity.loadAuthority(IdentityFiles(directory), isNew: directory.isNew)
  }

  private static func absolute(_ path: String) throws(Refusal) -> String {
    guard let resolved = realpath(path, nil) else { throw SmallFile.failure("open", path) }
    defer { free(resolved) }
    return String(cString: resolved)
  }

  private static func text(in directory: String, dataDirectory: String, name: String, port: Int) -> String {
    let lines = [
      "# Written by `wherry-inventory broker-certificate`. For mosquitto.conf, or a file that it includes (Debian:",
      "# /etc/mosquitto/conf.d/wherry.conf). Let the broker's user read the files below, and put their new paths here",
      "# if you move them. The certificate is good for \(Identity.serverDays) days: run the command again before.",
      "# Then: wherry-inventory serve --data \(dataDirectory) "
        + "--broker mqtts://\(ListenAddress(host: name, port: port))",
      "# A device that was removed keeps its rights here until \(dataDirectory)/broker/acl, which the service keeps,",
      "# has taken the place of the acl_file below and mosquitto got SIGHUP.",
      "listener \(port)",
    ]
    let rules = BrokerConfiguration.rules(
      authority: "\(directory)/ca.crt", certificate: "\(directory)/server.crt", key: "\(directory)/server.key",
      access: "\(directory)/acl")
    return (lines + rules).joined(separator: "\n") + "\n"
  }
}
