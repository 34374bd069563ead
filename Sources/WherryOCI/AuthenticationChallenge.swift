/// One of the challenges of a `WWW-Authenticate` header (RFC 9110 §11.6.1).
package struct AuthenticationChallenge: Hashable, Sendable {
  /// In lower case.
  package let scheme: String
  /// Names in lower case.
  package private(set) var parameters: [String: String] = [:]

  private static let headerBytesMaximum = 8 << 10
  private static let countMaximum = 16

  /// Empty for what breaks the grammar anywhere: half of a challenge may say the opposite of the whole.
  package static func all(in header: String) -> [AuthenticationChallenge] {
    guard header.utf8.count <= headerBytesMaximum else { return [] }
    var scanner = HeaderScanner(header)
    var challenges: [AuthenticationChallenge] = []
    while scanner.skipToElement() {
      if !challenges.isEmpty, let (name, value) = scanner.parameter() {
        let last = challenges.count - 1
        guard challenges[last].parameters.updateValue(value, forKey: name.lowercased()) == nil else { return [] }
      } else {
        guard let scheme = scanner.token(), challenges.count < countMaximum else { return [] }
        var challenge = AuthenticationChallenge(scheme: scheme.lowercased())
        if scanner.skipBlanks() {
          if let (name, value) = scanner.parameter() {
            challenge.parameters[name.lowercased()] = value
          } else {
            // A "token68" in place of parameters: no scheme that is answered here has one.
            _ = scanner.visibleWord()
          }
        }
        challenges.append(challenge)
      }
      guard scanner.isAtElementEnd else { return [] }
    }
    return challenges
  }

  private init(scheme: String) { self.scheme = scheme }
}

/// Reads a header's value from left to right.
private struct HeaderScanner {
  private let bytes: [UInt8]
  private var place = 0

  init(_ text: String) { bytes = Array(text.utf8) }

  private var next: UInt8? { place < bytes.count ? bytes[place] : nil }
  private static func isBlank(_ byte: UInt8) -> Bool { byte == 32 || byte == 9 }

  /// - Returns: whether there were any.
  mutating func skipBlanks() -> Bool {
    let start = place
    while let byte = next, Self.isBlank(byte) { place += 1 }
    return place > start
  }

  /// - Returns: false at the end.
  mutating func skipToElement() -> Bool {
    while let byte = next, Self.isBlank(byte) || byte == UInt8(ascii: ",") { place += 1 }
    return next != nil
  }

  /// After an element comes a comma or nothing.
  var isAtElementEnd: Bool {
    bytes[place...].first { !Self.isBlank($0) }.map { $0 == UInt8(ascii: ",") } ?? true
  }

  mutating func token() -> String? { word { Self.isTokenByte($0) } }

  /// Up to a blank or comma.
  mutating func visibleWord() -> String? {
    word { (33...126).contains($0) && $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: "\"") }
  }

  private mutating func word(_ isPart: (UInt8) -> Bool) -> String? {
    let start = place
    while let byte = next, isPart(byte) { place += 1 }
    return place > start ? String(decoding: bytes[start..<place], as: UTF8.self) : nil
  }

  /// RFC 9110 §5.6.2.
  private static func isTokenByte(_ byte: UInt8) -> Bool {
    (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
      || Array("!#$%&'*+-.^_`|~".utf8).contains(byte)
  }

  /// `name=value` or `name="value"`. Stays where it is when there is none. A value without quotes may hold what a token
  /// may not, since there are registries that leave the quotes of a URL away.
  mutating func parameter() -> (String, String)? {
    let start = place
    if let name = token() {
      _ = skipBlanks()
      if next == UInt8(ascii: "=") {
        place += 1
        _ = skipBlanks()
        if let value = next == UInt8(ascii: "\"") ? quoted() : visibleWord() { return (name, value) }
      }
    }
    place = start
    return nil
  }

  /// RFC 9110 §5.6.4.
  private mutating func quoted() -> String? {
    var value: [UInt8] = []
    place += 1
    while let byte = next {
      place += 1
      if byte == UInt8(ascii: "\"") { return String(decoding: value, as: UTF8.self) }
      if byte == UInt8(ascii: "\\") {
        guard let escaped = next else { return nil }
        place += 1
        value.append(escaped)
      } else {
        value.append(byte)
      }
    }
    return nil
  }
}
