import WherryJSON
import WherryModel

/// `WWW-Authenticate: Bearer realm="…",service="…",scope="…"`: where a registry wants a token to be fetched, without
/// credentials where reading is open to all (distribution's token specification).
package struct BearerChallenge: Hashable, Sendable {
  package let realm: String
  package let service: String
  package let scope: String

  /// nil when the header is not a Bearer challenge with a usable realm.
  package init?(header: String) {
    guard header.utf8.count <= 4_096, header.lowercased().hasPrefix("bearer ") else { return nil }
    var parameters: [String: String] = [:]
    var rest = header.dropFirst(7)
    while let equals = rest.firstIndex(of: "=") {
      let name = rest[..<equals].filter { $0 != " " && $0 != "," }.lowercased()
      rest = rest[rest.index(after: equals)...]
      if rest.first == "\"" {
        rest = rest.dropFirst()
        guard let quote = rest.firstIndex(of: "\"") else { return nil }
        parameters[name] = String(rest[..<quote])
        rest = rest[rest.index(after: quote)...]
      } else {
        let end = rest.firstIndex(of: ",") ?? rest.endIndex
        parameters[name] = String(rest[..<end])
        rest = rest[end...]
      }
    }
    guard let realm = parameters["realm"], realm.hasPrefix("https://") || realm.hasPrefix("http://") else { return nil }
    self.realm = realm
    service = parameters["service"] ?? ""
    scope = parameters["scope"] ?? ""
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
