extension JSONParser {
  /// At the opening quote; leaves the position behind the closing one.
  mutating func string() throws -> String {
    position += 1
    let start = position
    // Most strings hold no escape: they are taken as they lie.
    while position < bytes.count, bytes[position] != UInt8(ascii: "\""), bytes[position] != UInt8(ascii: "\\") {
      guard bytes[position] >= 0x20 else { throw fault("control characters in strings must be escaped") }
      position += 1
    }
    guard position < bytes.count else { throw fault("the text ends inside a string") }
    if bytes[position] == UInt8(ascii: "\"") {
      let text = try validated(bytes[start..<position], offset: start)
      position += 1
      return text
    }
    return try escapedString(from: start)
  }

  private mutating func escapedString(from start: Int) throws -> String {
    var content = Array(bytes[start..<position])
    while position < bytes.count {
      let byte = bytes[position]
      switch byte {
      case UInt8(ascii: "\""):
        position += 1
        return try validated(content[...], offset: start)
      case UInt8(ascii: "\\"):
        position += 1
        try escape(into: &content)
      case 0..<0x20:
        throw fault("control characters in strings must be escaped")
      default:
        content.append(byte)
        position += 1
      }
    }
    throw fault("the text ends inside a string")
  }

  private mutating func escape(into content: inout [UInt8]) throws {
    guard position < bytes.count else { throw fault("the text ends inside an escape") }
    let byte = bytes[position]
    position += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): content.append(byte)
    case UInt8(ascii: "b"): content.append(0x08)
    case UInt8(ascii: "f"): content.append(0x0C)
    case UInt8(ascii: "n"): content.append(0x0A)
    case UInt8(ascii: "r"): content.append(0x0D)
    case UInt8(ascii: "t"): content.append(0x09)
    case UInt8(ascii: "u"): content += try unicodeEscape()
    default: throw Fault(offset: position - 1, message: "unknown escape in a string")
    }
  }

  /// Behind `\u`; a high surrogate must be followed by its low one.
  private mutating func unicodeEscape() throws -> [UInt8] {
    let first = try fourHexDigits()
    var scalar = UInt32(first)
    if (0xD800..<0xDC00).contains(first) {
      guard position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"), bytes[position + 1] == UInt8(ascii: "u")
      else { throw fault("an unpaired surrogate in a string") }
      position += 2
      let second = try fourHexDigits()
      guard (0xDC00..<0xE000).contains(second) else { throw fault("an unpaired surrogate in a string") }
      scalar = 0x10000 + (UInt32(first) - 0xD800) << 10 + (UInt32(second) - 0xDC00)
    }
    guard let unicode = Unicode.Scalar(scalar) else { throw fault("an unpaired surrogate in a string") }
    return Array(String(unicode).utf8)
  }

  private mutating func fourHexDigits() throws -> UInt16 {
    guard position + 4 <= bytes.count else { throw fault("the text ends inside an escape") }
    var value: UInt16 = 0
    for _ in 0..<4 {
      let byte = bytes[position]
      let digit: UInt16
      switch byte {
      case 48...57: digit = UInt16(byte - 48)
      case 65...70: digit = UInt16(byte - 55)
      case 97...102: digit = UInt16(byte - 87)
      default: throw fault("expected four hexadecimal digits")
      }
      value = value << 4 | digit
      position += 1
    }
    return value
  }

  private func validated(_ slice: some Collection<UInt8>, offset: Int) throws -> String {
    guard let text = String(validating: slice, as: UTF8.self) else {
      throw Fault(offset: offset, message: "a string is not valid UTF-8")
    }
    return text
  }

  /// RFC 8259 §6: no leading zeros, no bare point, no NaN or Infinity.
  mutating func number() throws -> JSON {
    let start = position
    if bytes[position] == UInt8(ascii: "-") { position += 1 }
    guard let leading = digit() else { throw fault("expected a digit") }
    position += 1
    if leading == 0, digit() != nil { throw fault("numbers have no leading zeros") }
    skipDigits()
    var isWhole = true
    if position < bytes.count, bytes[position] == UInt8(ascii: ".") {
      isWhole = false
      position += 1
      guard digit() != nil else { throw fault("expected a digit behind the point") }
      skipDigits()
    }
    if position < bytes.count, bytes[position] | 0x20 == UInt8(ascii: "e") {
      isWhole = false
      position += 1
      if position < bytes.count, bytes[position] == UInt8(ascii: "+") || bytes[position] == UInt8(ascii: "-") {
        position += 1
      }
      guard digit() != nil else { throw fault("expected a digit in the exponent") }
      skipDigits()
    }
    guard position - start <= 400 else { throw Fault(offset: start, message: "a number has more than 400 characters") }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    if isWhole, let integer = Int64(text) { return .integer(integer) }
    guard let double = Double(text), double.isFinite else {
      throw Fault(offset: start, message: "the number is too large")
    }
    return .number(double)
  }

  private func digit() -> UInt8? {
    guard position < bytes.count, (48...57).contains(bytes[position]) else { return nil }
    return bytes[position] - 48
  }

  private mutating func skipDigits() {
    while digit() != nil { position += 1 }
  }
}
