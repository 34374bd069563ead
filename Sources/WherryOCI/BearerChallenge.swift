import WherryJSON
import WherryModel

/// `WWW-Authenticate: Bearer realm="…",service="…",scope="…"`: where a registry wants a token to be fetched, without
/// credentials where reading is open to all (distribution's token specification).
package struct BearerChallenge: Hashable, Sendable {
  package let realm: String
  package let service: String
  package let scope: String
  /// Of the realm, in lower case and without port.
  package let host: String
  package var isEncrypted: Bool { realm.hasPrefix("https://") }

  private static let realmBytesMaximum = 2_048

  /// The first usable Bearer challenge of a header; nil when there is none.
  package init?(header: String) {
    guard let found = AuthenticationChallenge.all(in: header).lazy.compactMap({ BearerChallenge($0) }).first else {
      return nil
    }
    self = found
  }

  /// nil for other schemes, and for a realm that is not the plain address of a web server.
  package init?(_ challenge: AuthenticationChallenge) {
    guard challenge.scheme == "bearer", let realm = challenge.parameters["realm"],
      realm.utf8.count <= Self.realmBytesMaximum, realm.utf8.allSatisfy(Self.isAddressByte),
      let scheme = ["https://", "http://"].first(where: realm.hasPrefix)
    else { return nil }
    let authority = realm.dropFirst(scheme.count).prefix { $0 != "/" && $0 != "?" }
    // Neither a user's name in it nor anything else that two readers of URLs could take for two different hosts.
    guard RegistryHost.isAuthority(String(authority)) else { return nil }
    self.realm = realm
    host = authority.prefix { $0 != ":" }.lowercased()
    service = challenge.parameters["service"] ?? ""
    scope = challenge.parameters["scope"] ?? ""
  }

  private static func isAddressByte(_ byte: UInt8) -> Bool {
    (33...126).contains(byte) && !Array("\"#<>\\^`{|}".utf8).contains(byte)
  }

  package var tokenURL: String {
    var url = realm
    for (name, value) in [("service", service), ("scope", scope)] where !value.isEmpty {
      url += (url.contains("?") ? "&" : "?") + name + "=" + Self.escaped(value)
    }
    return url
  }

  private static func escaped(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var bytes: [UInt8] = []
    for byte in text.utf8 {
      let isPlain =
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
        || [
          UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"), UInt8(ascii: ":"),
          UInt8(ascii: "/"),
        ]
        .contains(byte)
      bytes.append(contentsOf: isPlain ? [byte] : [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]])
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// The token out of the token server's answer, or nil.
  package static func token(in body: [UInt8]) -> String? {
    guard let json = try? JSON(parsing: body),
      let token = json["token"]?.stringValue ?? json["access_token"]?.stringValue,
      !token.isEmpty, token.utf8.allSatisfy({ (33...126).contains($0) })
    else { return nil }
    return token
  }
}
