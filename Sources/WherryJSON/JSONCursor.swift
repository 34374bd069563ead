/// A value that is JSON but not of the shape that was expected.
package struct JSONShapeError: Error, Hashable, Sendable, CustomStringConvertible {
  /// JSON pointer to the place.
  package let path: String
  package let message: String

  package init(path: String, message: String) {
    self.path = path
    self.message = message
  }

  package var description: String { (path.isEmpty ? "/" : path) + ": " + message }
}

/// A value and where it lies, so that every mismatch names its place.
package struct JSONCursor: Sendable {
  package let json: JSON
  package let path: String

  package init(_ json: JSON, path: String = "") {
    self.json = json
    self.path = path
  }

  package func fail(_ message: String) -> JSONShapeError { JSONShapeError(path: path, message: message) }

  private func expected(_ what: String) -> JSONShapeError {
    let found =
      switch json {
      case .null: "null"
      case .bool: "a boolean"
      case .integer, .number: "a number"
      case .string: "a string"
      case .array: "an array"
      case .object: "an object"
      }
    return fail("expected \(what), found \(found)")
  }

  package func require(_ key: String) throws(JSONShapeError) -> JSONCursor {
    guard let found = try optional(key) else { throw fail("\"\(key)\" is missing") }
    return found
  }

  /// Null counts as absent.
  package func optional(_ key: String) throws(JSONShapeError) -> JSONCursor? {
    guard case .object(let members) = json else { throw expected("an object") }
    guard let value = members[key], value != .null else { return nil }
    return JSONCursor(value, path: path + "/" + Self.escaped(key))
  }

  package func string() throws(JSONShapeError) -> String {
    guard case .string(let value) = json else { throw expected("a string") }
    return value
  }

  package func integer() throws(JSONShapeError) -> Int64 {
    guard let value = json.integerValue else { throw expected("an integer") }
    return value
  }

  package func bool() throws(JSONShapeError) -> Bool {
    guard case .bool(let value) = json else { throw expected("a boolean") }
    return value
  }

  package func double() throws(JSONShapeError) -> Double {
    guard let value = json.doubleValue else { throw expected("a number") }
    return value
  }

  package func array() throws(JSONShapeError) -> [JSONCursor] {
    guard case .array(let elements) = json else { throw expected("an array") }
    return elements.enumerated().map { JSONCursor($1, path: path + "/\($0)") }
  }

  package func object() throws(JSONShapeError) -> [String: JSONCursor] {
    guard case .object(let members) = json else { throw expected("an object") }
    var cursors: [String: JSONCursor] = [:]
    for (key, value) in members { cursors[key] = JSONCursor(value, path: path + "/" + Self.escaped(key)) }
    return cursors
  }

  private static func escaped(_ key: String) -> String {
    guard key.utf8.contains(where: { $0 == UInt8(ascii: "~") || $0 == UInt8(ascii: "/") }) else { return key }
    var text = ""
    for character in key {
      switch character {
      case "~": text += "~0"
      case "/": text += "~1"
      default: text.append(character)
      }
    }
    return text
  }
}
