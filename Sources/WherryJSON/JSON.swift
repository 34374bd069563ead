/// A JSON value (RFC 8259). Whole numbers that fit keep their exactness as `integer`.
package enum JSON: Hashable, Sendable {
  case null
  case bool(Bool)
  case integer(Int64)
  case number(Double)
  case string(String)
  case array([JSON])
  case object([String: JSON])
}

/// How much of somebody else's JSON is read at most.
package struct JSONLimits: Hashable, Sendable {
  package var bytesMaximum: Int
  package var depthMaximum: Int

  package init(bytesMaximum: Int = 1 << 20, depthMaximum: Int = 64) {
    self.bytesMaximum = bytesMaximum
    self.depthMaximum = depthMaximum
  }

  package static let standard = JSONLimits()
}

/// Text that is not JSON as Wherry accepts it.
package struct JSONError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Bytes from the start.
  package let offset: Int
  /// From 1; the column counts bytes.
  package let line: Int
  package let column: Int
  package let message: String

  package init(offset: Int, line: Int, column: Int, message: String) {
    self.offset = offset
    self.line = line
    self.column = column
    self.message = message
  }

  package var description: String { "line \(line), column \(column): \(message)" }
}

extension JSON {
  package var stringValue: String? { if case .string(let value) = self { value } else { nil } }
  package var boolValue: Bool? { if case .bool(let value) = self { value } else { nil } }
  package var arrayValue: [JSON]? { if case .array(let value) = self { value } else { nil } }
  package var objectValue: [String: JSON]? { if case .object(let value) = self { value } else { nil } }

  /// Also of a number without a fraction.
  package var integerValue: Int64? {
    switch self {
    case .integer(let value): value
    case .number(let value): Int64(exactly: value)
    case .null, .bool, .string, .array, .object: nil
    }
  }

  package var doubleValue: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .number(let value): value
    case .null, .bool, .string, .array, .object: nil
    }
  }

  /// A member of an object; nil where there is none. Assigning to what is not an object makes it one.
  package subscript(key: String) -> JSON? {
    get { objectValue?[key] }
    set {
      var object = objectValue ?? [:]
      object[key] = newValue
      self = .object(object)
    }
  }

  /// The value that a JSON pointer (RFC 6901) names; `""` is the whole.
  package func value(at pointer: String) -> JSON? {
    guard !pointer.isEmpty else { return self }
    guard pointer.utf8.first == UInt8(ascii: "/") else { return nil }
    var current = self
    for part in pointer.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
      let key = Self.unescaped(part)
      switch current {
      case .object(let object):
        guard let next = object[key] else { return nil }
        current = next
      case .array(let array):
        guard let index = Self.arrayIndex(key), index < array.count else { return nil }
        current = array[index]
      case .null, .bool, .integer, .number, .string:
        return nil
      }
    }
    return current
  }

  /// `~1` is `/`, `~0` is `~` (RFC 6901 §4).
  package static func unescaped(_ part: some StringProtocol) -> String {
    guard part.utf8.contains(UInt8(ascii: "~")) else { return String(part) }
    var bytes: [UInt8] = []
    var isEscape = false
    for byte in part.utf8 {
      if isEscape {
        switch byte {
        case UInt8(ascii: "0"): bytes.append(UInt8(ascii: "~"))
        case UInt8(ascii: "1"): bytes.append(UInt8(ascii: "/"))
        default: bytes += [UInt8(ascii: "~"), byte]
        }
        isEscape = false
      } else if byte == UInt8(ascii: "~") {
        isEscape = true
      } else {
        bytes.append(byte)
      }
    }
    if isEscape { bytes.append(UInt8(ascii: "~")) }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// `0` or digits without a leading zero (RFC 6901 §4).
  package static func arrayIndex(_ key: String) -> Int? {
    let bytes = key.utf8
    guard let first = bytes.first, bytes.allSatisfy({ (48...57).contains($0) }), first != 48 || bytes.count == 1 else {
      return nil
    }
    return Int(key)
  }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
  ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
  package init(stringLiteral value: String) { self = .string(value) }
  package init(integerLiteral value: Int64) { self = .integer(value) }
  package init(floatLiteral value: Double) { self = .number(value) }
  package init(booleanLiteral value: Bool) { self = .bool(value) }
  package init(arrayLiteral elements: JSON...) { self = .array(elements) }
  package init(dictionaryLiteral elements: (String, JSON)...) {
    self = .object(Dictionary(elements, uniquingKeysWith: { $1 }))
  }
  package init(nilLiteral: ()) { self = .null }
}
