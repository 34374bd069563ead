/// RFC 4648 §4 and, for claims, §5 without padding.
package enum Base64 {
  private static let standard = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
  private static let url = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

  package static func encode(_ bytes: [UInt8]) -> String { encode(bytes, alphabet: standard, isPadded: true) }
  package static func encodeURL(_ bytes: [UInt8]) -> String { encode(bytes, alphabet: url, isPadded: false) }
  /// Strict: right length, right padding, no stray bits, no line breaks.
  package static func decode(_ text: String) -> [UInt8]? { decode(text, alphabet: standard, isPadded: true) }
  package static func decodeURL(_ text: String) -> [UInt8]? { decode(text, alphabet: url, isPadded: false) }

  private static func encode(_ bytes: [UInt8], alphabet: [UInt8], isPadded: Bool) -> String {
    var text: [UInt8] = []
    text.reserveCapacity((bytes.count + 2) / 3 * 4)
    var index = 0
    while index < bytes.count {
      let count = min(3, bytes.count - index)
      var word: UInt32 = 0
      for offset in 0..<3 { word = word << 8 | (offset < count ? UInt32(bytes[index + offset]) : 0) }
      for position in 0..<4 {
        if position <= count {
          text.append(alphabet[Int(word >> UInt32(18 - 6 * position) & 63)])
        } else if isPadded {
          text.append(UInt8(ascii: "="))
        }
      }
      index += 3
    }
    return String(decoding: text, as: UTF8.self)
  }

  private static func decode(_ text: String, alphabet: [UInt8], isPadded: Bool) -> [UInt8]? {
    var digits = Array(text.utf8)
    if isPadded {
      guard digits.count % 4 == 0 else { return nil }
      var padding = 0
      while padding < 2, digits.last == UInt8(ascii: "=") {
        digits.removeLast()
        padding += 1
      }
    }
    guard digits.count % 4 != 1 else { return nil }
    var values = [UInt8](repeating: 255, count: 256)
    for (value, letter) in alphabet.enumerated() { values[Int(letter)] = UInt8(value) }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(digits.count * 3 / 4)
    var word: UInt32 = 0
    var bits = 0
    for digit in digits {
      let value = values[Int(digit)]
      guard value != 255 else { return nil }
      word = word << 6 | UInt32(value)
      bits += 6
      if bits >= 8 {
        bits -= 8
        bytes.append(UInt8(word >> UInt32(bits) & 255))
      }
    }
    // Bits that no byte took must be zero: a value has one spelling.
    guard word & ((1 << UInt32(bits)) - 1) == 0 else { return nil }
    return bytes
  }
}
