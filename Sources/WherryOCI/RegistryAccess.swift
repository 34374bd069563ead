import WherryModel

/// Where credentials of registries come from. Asking may run a program and take its time.
package protocol RegistryCredentials: Sendable {
  /// nil where none is configured: what is open to all is read without.
  func credential(of registry: RegistryHost) throws(Failure) -> RegistryCredential?
  /// The registry did not take it: a copy that is kept is not to be used again.
  func refused(_ credential: RegistryCredential, by registry: RegistryHost)
}

/// Credentials that are all known beforehand.
package struct KnownCredentials: RegistryCredentials {
  private let credentials: [RegistryHost: RegistryCredential]
  package init(_ credentials: [RegistryHost: RegistryCredential] = [:]) { self.credentials = credentials }
  package func credential(of registry: RegistryHost) -> RegistryCredential? { credentials[registry] }
  package func refused(_ credential: RegistryCredential, by registry: RegistryHost) {}
}

/// What somebody who reads from registries was told about them.
package struct RegistryAccess: Sendable {
  package var credentials: any RegistryCredentials
  /// Asked first, in this order.
  package var mirrors: [RegistryHost: [RegistryMirror]]
  /// Names of token servers that may see a registry's credential beside the natural ones.
  package var tokenServers: [RegistryHost: Set<String>]

  package init(
    credentials: any RegistryCredentials = KnownCredentials(), mirrors: [RegistryHost: [RegistryMirror]] = [:],
    tokenServers: [RegistryHost: Set<String>] = [:]
  ) {
    self.credentials = credentials
    self.mirrors = mirrors
    self.tokenServers = tokenServers
  }
}

/// Where a registry, or a mirror of one, answers.
package struct RegistryEndpoint: Hashable, Sendable {
  /// Scheme and authority.
  package let base: String
  /// nil for what is no host of the network; it has no credentials.
  package let host: RegistryHost?

  package var isEncrypted: Bool { base.hasPrefix("https://") }

  package init(base: String, host: RegistryHost?) {
    self.base = base
    self.host = host
  }

  package init(_ mirror: RegistryMirror) { self.init(base: mirror.base, host: mirror.host) }

  /// Of a URL of its content.
  package init?(url: String) {
    guard let host = RegistryHost(url: url) else { return nil }
    self.init(base: (url.hasPrefix("https://") ? "https://" : "http://") + host.address, host: host)
  }
}
