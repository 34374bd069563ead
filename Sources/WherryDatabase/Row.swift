import WherryJSON
import WherryModel
import WherrySQLite

/// Columns as the model's types; a column of another type is a damaged file and says which column it was.
extension SQLiteRow {
  /// The machine of a rollout to a hundred thousand devices is larger than any message.
  private static let limits = JSONLimits(bytesMaximum: 256 << 20)

  func string(_ column: String) throws -> String {
    guard let text = self[column].text else { throw DatabaseError("column \(column) holds no text") }
    return text
  }

  func optionalString(_ column: String) -> String? { self[column].text }

  func integer(_ column: String) throws -> Int64 {
    guard let value = self[column].integer else { throw DatabaseError("column \(column) holds no integer") }
    return value
  }

  func bool(_ column: String) throws -> Bool { try integer(column) != 0 }

  func instant(_ column: String) throws -> Instant { Instant(milliseconds: try integer(column)) }

  func optionalInstant(_ column: String) -> Instant? {
    self[column].integer.map { Instant(milliseconds: $0) }
  }

  func digest(_ column: String) throws -> Digest {
    guard let digest = Digest(try string(column)) else { throw DatabaseError("column \(column) holds no digest") }
    return digest
  }

  func optionalDigest(_ column: String) -> Digest? { self[column].text.flatMap { Digest($0) } }

  func version(_ column: String) throws -> Version {
    guard let version = Version(try string(column)) else { throw DatabaseError("column \(column) holds no version") }
    return version
  }

  func json(_ column: String) throws -> JSON {
    let text = try string(column)
    do { return try JSON(parsing: text, limits: Self.limits) } catch {
      throw DatabaseError("column \(column): \(error)")
    }
  }

  func target(_ column: String) throws -> DeploymentTarget {
    let text = try string(column)
    guard let target = DeploymentTarget(stored: text) else {
      throw DatabaseError("column \(column) holds the target \"\(text)\"")
    }
    return target
  }
}

extension DeploymentTarget {
  /// The inverse of `description`: `group/kiosks`, `device/kiosk-1`.
  package init?(stored text: String) {
    let parts = text.split(separator: "/", maxSplits: 1).map(String.init)
    guard parts.count == 2, DeviceName.isValid(parts[1]) else { return nil }
    switch parts[0] {
    case "group": self = .group(GroupName(trusted: parts[1]))
    case "device": self = .device(DeviceName(trusted: parts[1]))
    default: return nil
    }
  }
}

extension SQLiteValue {
  static func optional(_ value: String?) -> SQLiteValue { value.map { .text($0) } ?? .null }
  static func optional(_ value: Int64?) -> SQLiteValue { value.map { .integer($0) } ?? .null }
  static func bool(_ value: Bool) -> SQLiteValue { .integer(value ? 1 : 0) }
  static func instant(_ value: Instant) -> SQLiteValue { .integer(value.milliseconds) }
}
