/// Names that people type and that end up in topics, paths and certificates: each kind is a type of its own, so a
/// device can never be passed for a group.
package protocol ValidatedName: Hashable, Sendable, Comparable, CustomStringConvertible, ExpressibleByStringLiteral {
  /// What the name names, for error sentences: "device name".
  static var noun: String { get }
  static var lengthMaximum: Int { get }
  var rawValue: String { get }
  /// Trusts the caller; use `init(validating:)` for anything from outside.
  init(trusted: String)
}

/// A name that was refused, with the rule that it breaks.
package struct NameError: Error, Hashable, Sendable, CustomStringConvertible {
  package let noun: String
  package let text: String

  package init(noun: String, text: String) {
    self.noun = noun
    self.text = text
  }

  package var description: String {
    "\(noun) \"\(text.prefix(80))\" is not valid: use 1 to 128 letters, digits, '-', '_' or '.', starting with a "
      + "letter or digit"
  }
}

extension ValidatedName {
  package static var lengthMaximum: Int { 128 }

  /// Letters, digits, `-`, `_`, `.`; starts with a letter or digit. That keeps MQTT wildcards (`+`, `#`), path
  /// separators and `..` out of every place a name is put.
  package init(validating text: String) throws(NameError) {
    guard Self.isValid(text) else { throw NameError(noun: Self.noun, text: text) }
    self.init(trusted: text)
  }

  package static func isValid(_ text: String) -> Bool {
    let bytes = text.utf8
    guard let first = bytes.first, bytes.count <= lengthMaximum, isAlphanumeric(first) else { return false }
    return bytes.allSatisfy {
      isAlphanumeric($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".")
    }
  }

  private static func isAlphanumeric(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
      || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
  }

  package init(stringLiteral value: String) {
    precondition(Self.isValid(value), "literal \(Self.noun) \"\(value)\" is not valid")
    self.init(trusted: value)
  }

  package var description: String { rawValue }
  package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// A device: certificate common name, MQTT username and topic segment at once.
package struct DeviceName: ValidatedName {
  package static let noun = "device name"
  package let rawValue: String
  package init(trusted: String) { rawValue = trusted }
}

package struct GroupName: ValidatedName {
  package static let noun = "group name"
  package let rawValue: String
  package init(trusted: String) { rawValue = trusted }
}

package struct ComponentName: ValidatedName {
  package static let noun = "component name"
  package let rawValue: String
  package init(trusted: String) { rawValue = trusted }
}

/// A deployment as the service numbers it, from 1.
package struct DeploymentID: Hashable, Sendable, Comparable, CustomStringConvertible {
  package let rawValue: Int64
  package init(_ rawValue: Int64) { self.rawValue = rawValue }
  package var description: String { String(rawValue) }
  package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// The order number of a device's desired states. A device never applies a lower one than it has seen.
package struct Generation: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// 2^53, which every reader of JSON holds exactly. No order has a higher one.
  package static let maximum = Generation(1 << 53)
  static let localMaximum = 1 << 31

  /// The service's number.
  package let rawValue: Int64
  /// Local deployments since the service's order are counted from 1; 0 = that order itself. The service never hears of
  /// it.
  package let local: Int
  package init(_ rawValue: Int64, local: Int = 0) {
    self.rawValue = rawValue
    self.local = local
  }
  /// `7`, and `7.2` for the second local deployment on top of it.
  package var description: String { local == 0 ? String(rawValue) : "\(rawValue).\(local)" }

  /// As `description` has it.
  package init?(_ text: String) {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard (1...2).contains(parts.count), let order = Int64(parts[0]), (0...Self.maximum.rawValue).contains(order)
    else { return nil }
    var local = 0
    if parts.count == 2 {
      guard let number = Int(parts[1]), (1...Self.localMaximum).contains(number) else { return nil }
      local = number
    }
    self.init(order, local: local)
    guard description == text else { return nil }
  }

  package var isLocal: Bool { local > 0 }
  /// The service's order that it is, or lies on.
  package var order: Generation { Generation(rawValue) }
  package var nextLocal: Generation { Generation(rawValue, local: min(local + 1, Self.localMaximum)) }
  /// The maximum is followed by itself: a device that claims to have seen it gets no new orders, and that is all.
  package var next: Generation { order < Self.maximum ? Generation(rawValue + 1) : self }
  package static func < (left: Self, right: Self) -> Bool {
    (left.rawValue, left.local) < (right.rawValue, right.local)
  }
}
