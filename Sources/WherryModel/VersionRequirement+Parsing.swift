/// The npm grammar of ranges (node-semver, "Range Grammar"), because that is what Greengrass recipes are written in.
extension VersionRequirement {
  /// Longer text than any real range; a kilobyte of `||` is refused.
  private static let lengthMaximum = 256

  /// Nil when the text is not a range. An empty text is refused: a typing slip must not mean "any version".
  package init?(_ text: String) {
    guard text.utf8.count <= Self.lengthMaximum, text.utf8.allSatisfy({ (32...126).contains($0) || $0 == 9 }) else {
      return nil
    }
    var alternatives: [Interval] = []
    for part in Self.alternatives(of: text) {
      guard let interval = Self.interval(part) else { return nil }
      alternatives.append(interval)
    }
    self.init(text: Self.trimmed(text), alternatives: alternatives)
  }

  private init(text: String, alternatives: [Interval]) {
    self.text = text
    self.alternatives = alternatives
  }

  /// A pre-release is in a range only where the range itself names a pre-release of the same major.minor.patch:
  /// who asks for `>=1.0.0` did not ask for `2.0.0-beta` (node-semver, "Prerelease Tags").
  package func contains(_ version: Version) -> Bool { alternatives.contains { $0.contains(version) } }

  /// The version, if exactly one is asked for.
  package var exactVersion: Version? {
    guard alternatives.count == 1, let only = alternatives.first, only.isLowerIncluded, only.isUpperIncluded,
      only.lower == only.upper
    else { return nil }
    return only.lower
  }

  private static func alternatives(of text: String) -> [Substring] {
    var parts: [Substring] = []
    var start = text.startIndex
    var index = text.startIndex
    while index < text.endIndex {
      let next = text.index(after: index)
      if text[index] == "|", next < text.endIndex, text[next] == "|" {
        parts.append(text[start..<index])
        index = text.index(after: next)
        start = index
      } else {
        index = next
      }
    }
    parts.append(text[start...])
    return parts
  }

  private static func words(_ text: Substring) -> [Substring] { text.split { $0 == " " || $0 == "\t" } }

  private static func trimmed(_ text: String) -> String { words(text[...]).joined(separator: " ") }

  private static func interval(_ text: Substring) -> Interval? {
    let words = words(text)
    if words.count == 3, words[1] == "-" {
      guard let from = PartialVersion(words[0]), let to = PartialVersion(words[2]) else { return nil }
      var interval = Interval.any
      interval.raise(to: from.floor, included: true)
      if let next = to.ceiling {
        interval.cap(at: next, included: false)
      } else if to.isComplete {
        interval.cap(at: to.floor, included: true)
      }
      return interval
    }
    return comparators(words)
  }

  /// Comparators beside each other must all hold. Blanks between operator and version are allowed (`>= 2.0.3`).
  private static func comparators(_ words: [Substring]) -> Interval? {
    guard !words.isEmpty else { return nil }
    var interval = Interval.any
    var pending: Comparator?
    for word in words {
      var rest = word
      while let comparator = Comparator.leading(in: &rest) {
        guard pending == nil else { return nil }
        pending = comparator
        if rest.isEmpty { break }
        // Comparators may stand without a blank between them (`>=1.0.0<2.0.0`).
        guard let end = rest.firstIndex(where: { "<>=~^".contains($0) }) else { break }
        guard let version = PartialVersion(rest[..<end]) else { return nil }
        comparator.narrow(&interval, by: version)
        pending = nil
        rest = rest[end...]
      }
      if rest.isEmpty { continue }
      guard let version = PartialVersion(rest) else { return nil }
      (pending ?? .equal).narrow(&interval, by: version)
      pending = nil
    }
    return pending == nil ? interval : nil
  }
}

extension VersionRequirement.Interval {
  fileprivate static let any = Self(lower: nil, isLowerIncluded: true, upper: nil, isUpperIncluded: true)

  fileprivate func contains(_ version: Version) -> Bool {
    if let lower, version < lower || (!isLowerIncluded && !(lower < version)) { return false }
    if let upper, upper < version || (!isUpperIncluded && !(version < upper)) { return false }
    guard !version.prerelease.isEmpty else { return true }
    return [lower, upper].contains { bound in
      guard let bound, !bound.prerelease.isEmpty else { return false }
      return (bound.major, bound.minor, bound.patch) == (version.major, version.minor, version.patch)
    }
  }

  fileprivate mutating func raise(to version: Version, included: Bool) {
    if let lower, version < lower { return }
    if let lower, !(lower < version) {
      isLowerIncluded = isLowerIncluded && included
      return
    }
    lower = version
    isLowerIncluded = included
  }

  fileprivate mutating func cap(at version: Version, included: Bool) {
    if let upper, upper < version { return }
    if let upper, !(version < upper) {
      isUpperIncluded = isUpperIncluded && included
      return
    }
    upper = version
    isUpperIncluded = included
  }

  /// No version is below every version.
  fileprivate mutating func empty() { cap(at: Version(0, 0, 0, prerelease: ["0"]), included: false) }
}

private enum Comparator {
  case equal, less, lessOrEqual, greater, greaterOrEqual, tilde, caret

  /// Takes the operator off the front of the text; nil when there is none.
  static func leading(in text: inout Substring) -> Comparator? {
    let operators: [(String, Comparator)] = [
      (">=", .greaterOrEqual), ("<=", .lessOrEqual), ("~>", .tilde), (">", .greater), ("<", .less), ("=", .equal),
      ("~", .tilde), ("^", .caret),
    ]
    guard let found = operators.first(where: { text.hasPrefix($0.0) }) else { return nil }
    text = text.dropFirst(found.0.count)
    return found.1
  }

  func narrow(_ interval: inout VersionRequirement.Interval, by version: PartialVersion) {
    switch self {
    case .equal: narrowToEqual(&interval, by: version)
    case .greaterOrEqual: interval.raise(to: version.floor, included: true)
    case .greater:
      if version.isComplete {
        interval.raise(to: version.floor, included: false)
      } else if let next = version.ceiling {
        interval.raise(to: Version(next.major, next.minor, next.patch), included: true)
      } else {
        interval.empty()
      }
    case .lessOrEqual:
      if version.isComplete {
        interval.cap(at: version.floor, included: true)
      } else if let next = version.ceiling {
        interval.cap(at: next, included: false)
      }
    case .less:
      if version.isComplete {
        interval.cap(at: version.floor, included: false)
      } else if version.major == nil {
        interval.empty()
      } else {
        interval.cap(at: version.floor.lowestPrerelease, included: false)
      }
    case .tilde: narrowToSeries(&interval, from: version, below: version.tildeCeiling)
    case .caret: narrowToSeries(&interval, from: version, below: version.caretCeiling)
    }
  }

  private func narrowToEqual(_ interval: inout VersionRequirement.Interval, by version: PartialVersion) {
    if version.isComplete {
      interval.raise(to: version.floor, included: true)
      interval.cap(at: version.floor, included: true)
    } else {
      narrowToSeries(&interval, from: version, below: version.ceiling)
    }
  }

  private func narrowToSeries(
    _ interval: inout VersionRequirement.Interval, from version: PartialVersion, below ceiling: Version?
  ) {
    interval.raise(to: version.floor, included: true)
    if let ceiling { interval.cap(at: ceiling, included: false) }
  }
}

/// `1`, `1.2`, `1.2.x`, `*`, `v1.2.3-rc.1+b`: a version of which the tail may be left open.
private struct PartialVersion {
  var major: Int?
  var minor: Int?
  var patch: Int?
  var prerelease: [String] = []

  init?(_ text: Substring) {
    var text = text
    if text.first == "v" || text.first == "V" { text = text.dropFirst() }
    if let whole = Version(String(text)) {
      (major, minor, patch, prerelease) = (whole.major, whole.minor, whole.patch, whole.prerelease)
      return
    }
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard (1...3).contains(parts.count) else { return nil }
    var numbers: [Int?] = []
    for part in parts {
      if ["x", "X", "*"].contains(part) {
        numbers.append(nil)
      } else if let number = Version("\(part).0.0"), number.prerelease.isEmpty, number.build.isEmpty {
        numbers.append(number.major)
      } else {
        return nil
      }
    }
    // After an open part everything is open (`1.x.3` is `1`), as npm reads it.
    major = numbers[0]
    minor = major == nil || numbers.count < 2 ? nil : numbers[1]
    patch = minor == nil || numbers.count < 3 ? nil : numbers[2]
  }

  var isComplete: Bool { patch != nil }
  var floor: Version { Version(major ?? 0, minor ?? 0, patch ?? 0, prerelease: prerelease) }

  /// The first version after all that an incomplete one stands for; nil for a complete one and for `*`.
  var ceiling: Version? {
    guard let major, patch == nil else { return nil }
    return (minor.map { Version(major, $0 + 1, 0) } ?? Version(major + 1, 0, 0)).lowestPrerelease
  }

  var tildeCeiling: Version? {
    guard let major else { return nil }
    return (minor.map { Version(major, $0 + 1, 0) } ?? Version(major + 1, 0, 0)).lowestPrerelease
  }

  /// The left-most number that is not zero stays.
  var caretCeiling: Version? {
    guard let major else { return nil }
    guard major == 0, let minor else { return Version(major + 1, 0, 0).lowestPrerelease }
    guard minor == 0, let patch else { return Version(0, minor + 1, 0).lowestPrerelease }
    return Version(0, 0, patch + 1).lowestPrerelease
  }
}

extension Version {
  /// `2.0.0` → `2.0.0-0`, so that `<2.0.0-0` keeps the pre-releases of 2.0.0 out too.
  fileprivate var lowestPrerelease: Version { Version(major, minor, patch, prerelease: ["0"]) }
}
