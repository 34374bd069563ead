import WherryJSON
import Yams

extension RecipeNode {
  /// The value as JSON by YAML's core schema, as far as Greengrass's reader goes: `yes` and `on` are texts.
  func json() -> JSON? {
    switch node {
    case .scalar(let scalar): return scalarJSON(scalar)
    case .sequence(let sequence):
      let elements = sequence.enumerated().map { at($1, String($0)).json() }
      return elements.contains(nil) ? nil : .array(elements.compactMap { $0 })
    case .mapping:
      guard let pairs = pairs() else { return nil }
      var members: [String: JSON] = [:]
      for (key, value, _) in pairs {
        guard let json = value.json() else { return nil }
        members[key] = json
      }
      return .object(members)
    case .alias: return nil
    }
  }

  private func scalarJSON(_ scalar: Node.Scalar) -> JSON? {
    guard scalar.style == .plain, scalar.tag.description != Tag.Name.str.rawValue else { return .string(scalar.string) }
    if isNull { return .null }
    let text = scalar.string
    switch text {
    case "true", "True", "TRUE": return .bool(true)
    case "false", "False", "FALSE": return .bool(false)
    case ".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF", "-.inf", "-.Inf", "-.INF", "+.inf":
      report("\"\(text)\" is not a number that JSON can carry", "write a finite number, or text in quotes")
      return nil
    default: break
    }
    guard PlainNumber.isNumber(text) else { return .string(text) }
    if let integer = PlainNumber.integer(text) { return .integer(integer) }
    guard let number = Double(text), number.isFinite, !PlainNumber.looksWhole(text) else {
      report("the number \(text.clipped) is too large", "write it in quotes to keep it as text")
      return nil
    }
    return .number(number)
  }
}

/// Decimal numbers, and `0x…`. `007` stays text: one YAML reads seven, another octal.
enum PlainNumber {
  static func isNumber(_ text: String) -> Bool {
    if hexadecimal(text) != nil { return true }
    var rest = text.utf8[...]
    if rest.first == UInt8(ascii: "-") || rest.first == UInt8(ascii: "+") { rest = rest.dropFirst() }
    let whole = rest.prefix(while: isDigit)
    if whole.isEmpty || (whole.count > 1 && whole.first == UInt8(ascii: "0")) { return false }
    rest = rest.dropFirst(whole.count)
    if rest.first == UInt8(ascii: ".") {
      rest = rest.dropFirst()
      let fraction = rest.prefix(while: isDigit)
      if fraction.isEmpty { return false }
      rest = rest.dropFirst(fraction.count)
    }
    if rest.first == UInt8(ascii: "e") || rest.first == UInt8(ascii: "E") {
      rest = rest.dropFirst()
      if rest.first == UInt8(ascii: "-") || rest.first == UInt8(ascii: "+") { rest = rest.dropFirst() }
      let exponent = rest.prefix(while: isDigit)
      if exponent.isEmpty { return false }
      rest = rest.dropFirst(exponent.count)
    }
    return rest.isEmpty
  }

  static func integer(_ text: String) -> Int64? { hexadecimal(text) ?? Int64(text) }

  static func looksWhole(_ text: String) -> Bool {
    !text.utf8.contains { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "e") || $0 == UInt8(ascii: "E") }
  }

  private static func hexadecimal(_ text: String) -> Int64? {
    guard text.hasPrefix("0x"), let first = text.dropFirst(2).first, first.isHexDigit else { return nil }
    return Int64(text.dropFirst(2), radix: 16)
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
}
