import WherryJSON
import WherryModel

/// Something that travels as JSON.
package protocol WireValue {
  var json: JSON { get }
  init(_ cursor: JSONCursor) throws(JSONShapeError)
}

extension JSONCursor {
  package func name<N: ValidatedName>(_ type: N.Type = N.self) throws(JSONShapeError) -> N {
    let text = try string()
    do { return try N(validating: text) } catch { throw fail(error.description) }
  }

  package func version() throws(JSONShapeError) -> Version {
    let text = try string()
    guard let version = Version(text) else { throw fail("\"\(text.prefix(80))\" is not a version; write 1.2.3") }
    return version
  }

  package func requirement() throws(JSONShapeError) -> VersionRequirement {
    let text = try string()
    guard let requirement = VersionRequirement(text) else {
      throw fail("\"\(text.prefix(80))\" is neither a version nor a range; write 1.2.3 or ^1.2")
    }
    return requirement
  }

  package func digest() throws(JSONShapeError) -> Digest {
    let text = try string()
    guard let digest = Digest(text) else { throw fail("expected sha256: and 64 hexadecimal digits") }
    return digest
  }

  package func choice<E: RawRepresentable & CaseIterable>(_ type: E.Type = E.self) throws(JSONShapeError) -> E
  where E.RawValue == String {
    let text = try string()
    guard let value = E(rawValue: text) else {
      let known = E.allCases.map(\.rawValue).joined(separator: ", ")
      throw fail("\"\(text.prefix(80))\" is not one of \(known)")
    }
    return value
  }

  /// For enumerations that are not CaseIterable.
  package func word<E: RawRepresentable>(_ type: E.Type = E.self) throws(JSONShapeError) -> E
  where E.RawValue == String {
    let text = try string()
    guard let value = E(rawValue: text) else { throw fail("\"\(text.prefix(80))\" is not known here") }
    return value
  }

  package func int() throws(JSONShapeError) -> Int {
    let value = try integer()
    guard let int = Int(exactly: value) else { throw fail("\(value) is too large") }
    return int
  }

  package func port() throws(JSONShapeError) -> UInt16 {
    let value = try integer()
    guard let port = UInt16(exactly: value), port > 0 else { throw fail("\(value) is not a port; use 1 to 65535") }
    return port
  }

  /// Bytes or milliseconds. The bound keeps every sum of a message's sizes from overflowing.
  package func size() throws(JSONShapeError) -> Int64 {
    let value = try integer()
    guard (0...1 << 53).contains(value) else { throw fail("\(value) is not between 0 and 2^53") }
    return value
  }

  /// A number of things, none included.
  package func count(maximum: Int = 1_000_000_000) throws(JSONShapeError) -> Int {
    let value = try int()
    guard (0...maximum).contains(value) else { throw fail("\(value) is not between 0 and \(maximum)") }
    return value
  }

  package func deployment() throws(JSONShapeError) -> DeploymentID {
    let value = try integer()
    guard value >= 0 else { throw fail("a deployment's number cannot be negative") }
    return DeploymentID(value)
  }

  /// The bound leaves room for every successor: what a device claims is counted on from.
  package func sequence() throws(JSONShapeError) -> Int64 {
    let value = try integer()
    guard (0...1 << 53).contains(value) else { throw fail("the sequence \(value) is not between 0 and 2^53") }
    return value
  }

  /// A DSSE verifier must take both alphabets (protocol.md).
  package func base64() throws(JSONShapeError) -> [UInt8] {
    let text = try string()
    guard let bytes = Base64.decode(text) ?? Base64.decodeURL(text) else { throw fail("expected base64") }
    return bytes
  }

  package func generation() throws(JSONShapeError) -> Generation {
    let value = try integer()
    guard (0...Generation.maximum.rawValue).contains(value) else {
      throw fail("the generation \(value) is not between 0 and 2^53")
    }
    return Generation(value)
  }

  package func instant() throws(JSONShapeError) -> Instant { Instant(milliseconds: try integer()) }

  package func strings() throws(JSONShapeError) -> [String] {
    var values: [String] = []
    for element in try array() { values.append(try element.string()) }
    return values
  }

  package func stringMap() throws(JSONShapeError) -> [String: String] {
    var values: [String: String] = [:]
    for (key, element) in try object() { values[key] = try element.string() }
    return values
  }

  package func list<T>(_ body: (JSONCursor) throws(JSONShapeError) -> T) throws(JSONShapeError) -> [T] {
    var values: [T] = []
    for element in try array() { values.append(try body(element)) }
    return values
  }

  /// An object whose keys are names.
  package func named<N: ValidatedName, T>(
    _ type: N.Type = N.self, _ body: (JSONCursor) throws(JSONShapeError) -> T
  ) throws(JSONShapeError) -> [N: T] {
    var values: [N: T] = [:]
    for (key, element) in try object() {
      let name: N
      do { name = try N(validating: key) } catch { throw element.fail(error.description) }
      values[name] = try body(element)
    }
    return values
  }

  /// The versions of a message that are understood; an absent `v` is 1.
  package func requireVersion(_ what: String) throws(JSONShapeError) {
    let version = try optional("v")?.integer() ?? 1
    guard version == 1 else {
      throw fail("version \(version) of \(what) is not known here, only 1; update Wherry on this side")
    }
  }
}

extension JSON {
  /// An object without the members that are nil. Null counts as absent to every reader, and the `nil` of
  /// `isEmpty ? nil : json` is JSON's null to the compiler: canonical text must hold neither.
  package static func members(_ pairs: [(String, JSON?)]) -> JSON {
    var object: [String: JSON] = [:]
    for (key, value) in pairs {
      if let value, value != .null { object[key] = value }
    }
    return .object(object)
  }

  package static func strings(_ values: [String]) -> JSON { .array(values.map(JSON.string)) }
  package static func map(_ values: [String: String]) -> JSON { .object(values.mapValues(JSON.string)) }
  package static func int(_ value: Int) -> JSON { .integer(Int64(value)) }

  package static func named<N: ValidatedName, T>(_ values: [N: T], _ body: (T) -> JSON) -> JSON {
    .object(Dictionary(values.map { ($0.key.rawValue, body($0.value)) }, uniquingKeysWith: { $1 }))
  }
}

extension Collection {
  /// nil when empty: empty parts are left out of canonical JSON.
  var nonEmpty: Self? { isEmpty ? nil : self }
}
