extension JSON {
  /// Reads one JSON text. Refused: more bytes or levels than the limits, duplicate keys, invalid UTF-8, unpaired
  /// surrogates, numbers beyond Double, and anything behind the value.
  package init(parsing bytes: [UInt8], limits: JSONLimits = .standard) throws(JSONError) {
    guard bytes.count <= limits.bytesMaximum else {
      throw JSONError(
        offset: 0, line: 1, column: 1,
        message: "\(bytes.count) bytes are more than the \(limits.bytesMaximum) that are read; send less")
    }
    do {
      self = try bytes.withUnsafeBufferPointer { buffer in
        var parser = JSONParser(bytes: buffer, depthMaximum: limits.depthMaximum)
        return try parser.parse()
      }
    } catch let fault as JSONParser.Fault {
      throw JSONParser.located(fault, in: bytes)
    } catch {
      throw JSONError(offset: 0, line: 1, column: 1, message: "\(error)")
    }
  }

  package init(parsing text: String, limits: JSONLimits = .standard) throws(JSONError) {
    try self.init(parsing: Array(text.utf8), limits: limits)
  }
}

/// A recursive-descent reader; its depth is bounded, so its recursion is.
struct JSONParser {
  struct Fault: Error {
    var offset: Int
    var message: String
  }

  let bytes: UnsafeBufferPointer<UInt8>
  let depthMaximum: Int
  var position = 0
  var depth = 0

  init(bytes: UnsafeBufferPointer<UInt8>, depthMaximum: Int) {
    self.bytes = bytes
    self.depthMaximum = depthMaximum
  }

  static func located(_ fault: Fault, in bytes: [UInt8]) -> JSONError {
    var line = 1
    var start = 0
    for index in 0..<min(fault.offset, bytes.count) where bytes[index] == UInt8(ascii: "\n") {
      line += 1
      start = index + 1
    }
    return JSONError(offset: fault.offset, line: line, column: fault.offset - start + 1, message: fault.message)
  }

  mutating func parse() throws -> JSON {
    let value = try value()
    skipBlanks()
    guard position == bytes.count else { throw fault("there is more behind the end of the value") }
    return value
  }

  func fault(_ message: String) -> Fault { Fault(offset: position, message: message) }

  private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

  private mutating func skipBlanks() {
    while let byte = current, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
  }

  private mutating func value() throws -> JSON {
    skipBlanks()
    guard let byte = current else { throw fault("the text ends where a value should be") }
    switch byte {
    case UInt8(ascii: "{"): return try nested { try $0.object() }
    case UInt8(ascii: "["): return try nested { try $0.array() }
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    case UInt8(ascii: "-"), 48...57: return try number()
    default: throw fault("a value cannot begin with this character")
    }
  }

  private mutating func nested(_ body: (inout Self) throws -> JSON) throws -> JSON {
    guard depth < depthMaximum else { throw fault("nested deeper than \(depthMaximum) levels") }
    depth += 1
    position += 1
    let value = try body(&self)
    depth -= 1
    return value
  }

  private mutating func word(_ text: StaticString, _ value: JSON) throws -> JSON {
    let count = text.utf8CodeUnitCount
    guard position + count <= bytes.count,
      (0..<count).allSatisfy({ bytes[position + $0] == text.utf8Start[$0] })
    else { throw fault("expected \(text)") }
    position += count
    return value
  }

  private mutating func object() throws -> JSON {
    var members: [String: JSON] = [:]
    skipBlanks()
    if current == UInt8(ascii: "}") {
      position += 1
      return .object(members)
    }
    while true {
      skipBlanks()
      guard current == UInt8(ascii: "\"") else { throw fault("expected a key in double quotes") }
      let keyOffset = position
      let key = try string()
      skipBlanks()
      guard current == UInt8(ascii: ":") else { throw fault("expected ':' behind the key \"\(key)\"") }
      position += 1
      let value = try value()
      guard members.updateValue(value, forKey: key) == nil else {
        throw Fault(offset: keyOffset, message: "the key \"\(key)\" occurs twice")
      }
      skipBlanks()
      switch current {
      case UInt8(ascii: ","): position += 1
      case UInt8(ascii: "}"):
        position += 1
        return .object(members)
      default: throw fault("expected ',' or '}' in an object")
      }
    }
  }

  private mutating func array() throws -> JSON {
    var elements: [JSON] = []
    skipBlanks()
    if current == UInt8(ascii: "]") {
      position += 1
      return .array(elements)
    }
    while true {
      elements.append(try value())
      skipBlanks()
      switch current {
      case UInt8(ascii: ","): position += 1
      case UInt8(ascii: "]"):
        position += 1
        return .array(elements)
      default: throw fault("expected ',' or ']' in an array")
      }
    }
  }
}
