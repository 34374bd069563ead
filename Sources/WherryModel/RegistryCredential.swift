/// A name and a secret that a registry knows. As text it shows no secret, so that none gets into a log unintended.
package struct RegistryCredential: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible {
  package let user: String
  package let secret: String

  package static let userBytesMaximum = 256
  /// Short-lived passwords are signed documents of a few kilobytes.
  package static let secretBytesMaximum = 16 << 10

  /// nil when either is empty, too long or holds a control character, or the name a colon (RFC 7617 §2).
  package init?(user: String, secret: String) {
    guard (1...Self.userBytesMaximum).contains(user.utf8.count), !user.utf8.contains(UInt8(ascii: ":")),
      (1...Self.secretBytesMaximum).contains(secret.utf8.count),
      (user + secret).utf8.allSatisfy({ $0 >= 32 && $0 != 127 })
    else { return nil }
    self.user = user
    self.secret = secret
  }

  package var description: String { "\(user):***" }
  package var debugDescription: String { description }

  /// The value of an `Authorization` header (RFC 7617 §2).
  package var basicAuthorization: String { "Basic " + Self.base64(Array("\(user):\(secret)".utf8)) }

  /// RFC 4648 §4. `WherryWire` has one that reads, too; what downloads does not see it.
  private static func base64(_ bytes: [UInt8]) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var text: [UInt8] = []
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let group = bytes[start..<min(start + 3, bytes.count)]
      let word = group.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - group.count))
      for place in 0..<4 {
        text.append(place <= group.count ? alphabet[word >> (18 - 6 * place) & 63] : UInt8(ascii: "="))
      }
    }
    return String(decoding: text, as: UTF8.self)
  }
}
