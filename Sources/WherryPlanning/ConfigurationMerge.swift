import WherryJSON
import WherryModel

/// The configuration that a component sees: what it had, less RESET, filled from the recipe's defaults, with MERGE
/// on top. Values that a component has are kept over new defaults on a change of version; new keys are added.
package enum ConfigurationMerge {
  package static func apply(_ update: ConfigurationUpdate, to existing: JSON?) -> JSON {
    var result = existing ?? .object([:])
    for pointer in update.reset { result = removing(pointer, from: result) }
    result = filling(result, from: update.defaults)
    if let merge = update.merge { result = merging(merge, into: result) }
    return result
  }

  /// Maps are merged key by key; lists and scalars are replaced; null is a value like another.
  package static func merging(_ patch: JSON, into base: JSON) -> JSON {
    guard case .object(let additions) = patch, case .object(var members) = base else { return patch }
    for (key, value) in additions {
      members[key] = members[key].map { merging(value, into: $0) } ?? value
    }
    return .object(members)
  }

  /// Adds what is missing and changes nothing that is there.
  package static func filling(_ base: JSON, from defaults: JSON) -> JSON {
    guard case .object(let additions) = defaults, case .object(var members) = base else { return base }
    for (key, value) in additions {
      members[key] = members[key].map { filling($0, from: value) } ?? value
    }
    return .object(members)
  }

  /// The value without what the pointer names (RFC 6901); the whole for `""`, nothing for what is not there.
  package static func removing(_ pointer: String, from value: JSON) -> JSON {
    guard !pointer.isEmpty else { return .object([:]) }
    guard pointer.utf8.first == UInt8(ascii: "/") else { return value }
    let keys = pointer.dropFirst().split(separator: "/", omittingEmptySubsequences: false).map(JSON.unescaped)
    return removing(keys[...], from: value)
  }

  private static func removing(_ keys: ArraySlice<String>, from value: JSON) -> JSON {
    guard let key = keys.first else { return value }
    let rest = keys.dropFirst()
    switch value {
    case .object(var members):
      guard let child = members[key] else { return value }
      if rest.isEmpty {
        members.removeValue(forKey: key)
      } else {
        members[key] = removing(rest, from: child)
      }
      return .object(members)
    case .array(var elements):
      guard let index = JSON.arrayIndex(key), index < elements.count else { return value }
      if rest.isEmpty {
        elements.remove(at: index)
      } else {
        elements[index] = removing(rest, from: elements[index])
      }
      return .array(elements)
    case .null, .bool, .integer, .number, .string:
      return value
    }
  }
}
