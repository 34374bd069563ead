/// An npm-style range: `1.2.3`, `^1.2`, `~1.2.3`, `>=1.0.0 <2.0.0`, `1.x`, `*`, `a - b`, `a || b`.
package struct VersionRequirement: Hashable, Sendable, CustomStringConvertible {
  /// As written, for people.
  package let text: String
  /// Alternatives; each a half-open interval with its bounds.
  let alternatives: [Interval]

  struct Interval: Hashable, Sendable {
    var lower: Version?
    var isLowerIncluded: Bool
    var upper: Version?
    var isUpperIncluded: Bool
  }

  package var description: String { text }

  /// Exactly this version.
  package init(exactly version: Version) {
    text = version.description
    alternatives = [Interval(lower: version, isLowerIncluded: true, upper: version, isUpperIncluded: true)]
  }
}
