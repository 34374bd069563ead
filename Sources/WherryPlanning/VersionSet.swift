/// Some of the values that a component may have in a resolution: bit 0 is "not there", bit n + 1 its n-th newest
/// version. Up to 63 versions need no allocation.
struct VersionSet: Hashable {
  static let absent = 0
  private var low: UInt64 = 0
  private var rest: [UInt64] = []

  /// Empty, for a component with that many versions.
  init(versions: Int) { if versions > 63 { rest = [UInt64](repeating: 0, count: versions / 64) } }

  static func full(versions: Int) -> VersionSet {
    var set = VersionSet(versions: versions)
    for value in 0...versions { set.insert(value) }
    return set
  }

  mutating func insert(_ value: Int) {
    if value < 64 { low |= 1 << UInt64(value) } else { rest[value / 64 - 1] |= 1 << UInt64(value % 64) }
  }

  func contains(_ value: Int) -> Bool {
    (value < 64 ? low >> UInt64(value) : rest[value / 64 - 1] >> UInt64(value % 64)) & 1 == 1
  }

  var isEmpty: Bool { low == 0 && rest.allSatisfy { $0 == 0 } }
  var count: Int { rest.reduce(low.nonzeroBitCount) { $0 + $1.nonzeroBitCount } }

  /// The lowest value: the newest version, where "not there" is not in the set.
  var first: Int? {
    if low != 0 { return low.trailingZeroBitCount }
    guard let word = rest.firstIndex(where: { $0 != 0 }) else { return nil }
    return (word + 1) * 64 + rest[word].trailingZeroBitCount
  }

  func isSubset(of other: VersionSet) -> Bool { subtracting(other).isEmpty }
  func isDisjoint(with other: VersionSet) -> Bool { intersection(other).isEmpty }
  func union(_ other: VersionSet) -> VersionSet { combined(other) { $0 | $1 } }
  func intersection(_ other: VersionSet) -> VersionSet { combined(other) { $0 & $1 } }
  func subtracting(_ other: VersionSet) -> VersionSet { combined(other) { $0 & ~$1 } }

  private func combined(_ other: VersionSet, _ operation: (UInt64, UInt64) -> UInt64) -> VersionSet {
    precondition(rest.count == other.rest.count, "sets of versions of different components")
    var result = self
    result.low = operation(low, other.low)
    for index in rest.indices { result.rest[index] = operation(rest[index], other.rest[index]) }
    return result
  }
}
