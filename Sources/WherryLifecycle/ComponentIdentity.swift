import WherryJSON
import WherryModel
import WherryWire

/// Two definitions with the same identity are the same component: nothing has to restart. Short, since it is journalled
/// and kept beside each workload.
enum ComponentIdentity {
  static func of(_ planned: PlannedComponent, configuration: JSON, settings: NucleusSettings) -> String {
    var definition = planned
    definition.configuration = ConfigurationUpdate()
    var parts = [definition.json, configuration]
    // The same text means something else then, to whoever has a variable in it.
    if settings.interpolatesConfigurations, hasVariable(configuration) { parts.append("interpolated") }
    let fingerprint = fnv1a(JSON.array(parts).canonicalBytes)
    return "\(planned.version)-\(planned.recipe.short)-\(hex(fingerprint))"
  }

  private static func hasVariable(_ value: JSON) -> Bool {
    switch value {
    case .string(let text): text.utf8.contains(UInt8(ascii: "{"))
    case .array(let elements): elements.contains(where: hasVariable)
    case .object(let members): members.values.contains(where: hasVariable)
    case .null, .bool, .integer, .number: false
    }
  }

  /// FNV-1a, 64 bit (Fowler, Noll, Vo). It only tells a device's own definitions apart: plans are signed, so nobody
  /// gains by making two collide, and the core has no cryptography to call.
  private static func fnv1a(_ bytes: [UInt8]) -> UInt64 {
    bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
  }

  private static func hex(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.utf8.count) + digits
  }
}
