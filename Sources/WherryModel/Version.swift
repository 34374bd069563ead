/// A semantic version (semver.org 2.0.0). Ordering follows §11; build metadata takes no part in it.
package struct Version: Hashable, Sendable, CustomStringConvertible {
  package var major: Int
  package var minor: Int
  package var patch: Int
  package var prerelease: [String]
  package var build: [String]

  package init(_ major: Int, _ minor: Int, _ patch: Int, prerelease: [String] = [], build: [String] = []) {
    self.major = major
    self.minor = minor
    self.patch = patch
    self.prerelease = prerelease
    self.build = build
  }

  /// `1.2.3[-pre.1][+build]`, at most 64 characters, numbers of at most 6 digits; nil otherwise.
  package init?(_ text: String) {
    guard text.utf8.count <= 64 else { return nil }
    let buildParts = text.split(separator: "+", maxSplits: 1, omittingEmptySubsequences: false)
    let preParts = buildParts[0].split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
    let numbers = preParts[0].split(separator: ".", omittingEmptySubsequences: false)
    guard numbers.count == 3, let major = Self.number(numbers[0]), let minor = Self.number(numbers[1]),
      let patch = Self.number(numbers[2])
    else { return nil }
    self.init(major, minor, patch)
    if preParts.count == 2 {
      guard let parts = Self.identifiers(preParts[1], numericWithoutLeadingZero: true) else { return nil }
      prerelease = parts
    }
    if buildParts.count == 2 {
      guard let parts = Self.identifiers(buildParts[1], numericWithoutLeadingZero: false) else { return nil }
      build = parts
    }
  }

  private static func number(_ text: Substring) -> Int? {
    guard (1...6).contains(text.utf8.count), text.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
    guard text.utf8.count == 1 || text.utf8.first != 48 else { return nil }
    return Int(text)
  }

  private static func identifiers(_ text: Substring, numericWithoutLeadingZero: Bool) -> [String]? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    for part in parts {
      let bytes = part.utf8
      guard !bytes.isEmpty,
        bytes.allSatisfy({ (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || $0 == 45 })
      else { return nil }
      let isNumeric = bytes.allSatisfy { (48...57).contains($0) }
      if numericWithoutLeadingZero, isNumeric, bytes.count > 1, bytes.first == 48 { return nil }
    }
    return parts.map(String.init)
  }

  package var description: String {
    var text = "\(major).\(minor).\(patch)"
    if !prerelease.isEmpty { text += "-" + prerelease.joined(separator: ".") }
    if !build.isEmpty { text += "+" + build.joined(separator: ".") }
    return text
  }
}

extension Version: Comparable {
  package static func < (left: Version, right: Version) -> Bool {
    let leftNumbers = (left.major, left.minor, left.patch)
    let rightNumbers = (right.major, right.minor, right.patch)
    if leftNumbers != rightNumbers { return leftNumbers < rightNumbers }
    // A pre-release comes before its release.
    if left.prerelease.isEmpty || right.prerelease.isEmpty {
      return !left.prerelease.isEmpty && right.prerelease.isEmpty
    }
    for (a, b) in zip(left.prerelease, right.prerelease) where a != b {
      switch (isNumeric(a), isNumeric(b)) {
      case (true, true): return a.utf8.count != b.utf8.count ? a.utf8.count < b.utf8.count : a < b
      case (true, false): return true
      case (false, true): return false
      case (false, false): return a < b
      }
    }
    return left.prerelease.count < right.prerelease.count
  }

  private static func isNumeric(_ text: String) -> Bool { text.utf8.allSatisfy { (48...57).contains($0) } }
}
