/// `host[:port]` of an image registry in lower case. Docker Hub, which goes by several names, has one here.
package struct RegistryHost: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// `registry.example.com:5000`
  package let authority: String

  private static let dockerHub = "docker.io"
  private static let dockerHubAddress = "registry-1.docker.io"
  private static let dockerHubNames: Set<String> = [dockerHub, "index.docker.io", dockerHubAddress]

  /// As people and credential files write it: `ghcr.io`, `localhost:5000`, `https://index.docker.io/v1/`. nil for
  /// anything with another path: a credential for a part of a registry must not become one for the whole.
  package init?(_ text: String) {
    var rest = Substring(text)
    if let scheme = ["https://", "http://"].first(where: text.hasPrefix) { rest = rest.dropFirst(scheme.count) }
    let authority = rest.prefix { $0 != "/" }
    guard ["", "/", "/v1", "/v1/", "/v2", "/v2/"].contains(rest[authority.endIndex...]) else { return nil }
    self.init(checking: authority)
  }

  /// The host of an `http` or `https` URL, whatever its path.
  package init?(url: String) {
    guard let scheme = ["https://", "http://"].first(where: url.hasPrefix) else { return nil }
    self.init(checking: url.dropFirst(scheme.count).prefix { $0 != "/" && $0 != "?" && $0 != "#" })
  }

  private init?(checking authority: Substring) {
    guard Self.isAuthority(String(authority)) else { return nil }
    let name = authority.lowercased()
    self.authority = Self.dockerHubNames.contains(name) ? Self.dockerHub : name
  }

  /// Where it answers.
  package var address: String { authority == Self.dockerHub ? Self.dockerHubAddress : authority }

  /// Without the port.
  package var name: String { String(authority.prefix { $0 != ":" }) }

  package var description: String { authority }
  package static func < (left: Self, right: Self) -> Bool { left.authority < right.authority }

  /// A host name or IPv4 address with an optional port.
  package static func isAuthority(_ text: String) -> Bool {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count <= 2, let host = parts.first, !host.isEmpty, text.utf8.count <= 255 else { return false }
    if parts.count == 2 {
      guard parts[1].utf8.allSatisfy(isDigit), let port = Int(parts[1]), (1...65_535).contains(port) else {
        return false
      }
    }
    return host.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
      !label.isEmpty && !label.hasPrefix("-") && !label.hasSuffix("-")
        && label.utf8.allSatisfy { isDigit($0) || isLetter($0) || $0 == UInt8(ascii: "-") }
    }
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (48...57).contains(byte) }
  private static func isLetter(_ byte: UInt8) -> Bool { (65...90).contains(byte) || (97...122).contains(byte) }
}

extension RegistryHost {
  /// Docker Hub's own token server is a sibling of its registry.
  private static let dockerHubTokenServer = "auth.docker.io"

  /// Whether this registry's credential may be shown to a token server at `host` (a name without port) that nobody
  /// allowed by name. A registry chooses its token server freely in each answer, so an answer that somebody else wrote
  /// could choose theirs. Only those are taken who could answer for this very name anyway, as owners of the domain that
  /// it lies in or of a name below its own: `gitlab.com` for `registry.gitlab.com`. A neighbour in the same domain can
  /// be a stranger.
  package func isNaturalTokenServer(_ host: String) -> Bool {
    if authority == Self.dockerHub { return host == Self.dockerHubTokenServer || host == Self.dockerHub }
    if host == name { return true }
    // Numbers have no owners above or below them, and neither has a name of one label, which would be a whole country.
    guard !Self.isNumeric(host), !Self.isNumeric(name), host.contains("."), name.contains(".") else { return false }
    return name.hasSuffix("." + host) || host.hasSuffix("." + name)
  }

  private static func isNumeric(_ host: String) -> Bool {
    host.split(separator: ".").last?.utf8.allSatisfy(isDigit) ?? true
  }
}
