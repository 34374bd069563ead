/// A repository of the registry, `team/web`: the grammar of the OCI distribution specification ("Pulling manifests").
package struct RepositoryName: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// Many clients allow 255 bytes for host, port, `/` and name together; this leaves 55 for the rest.
  package static let bytesMaximum = 200
  package let rawValue: String

  /// nil unless it is words of lower-case letters and digits, joined by one `.`, one or two `_` or any number of `-`,
  /// in parts between `/`.
  package init?(_ text: String) {
    guard !text.isEmpty, text.utf8.count <= Self.bytesMaximum,
      text.split(separator: "/", omittingEmptySubsequences: false).allSatisfy(Self.isPart)
    else { return nil }
    rawValue = text
  }

  /// Trusts the caller: what the database holds was checked before it came in.
  package init(trusted: String) { rawValue = trusted }

  private static func isPart(_ part: Substring) -> Bool {
    guard let first = part.utf8.first, let last = part.utf8.last, isLowerAlphanumeric(first), isLowerAlphanumeric(last)
    else { return false }
    return part.utf8.split(whereSeparator: isLowerAlphanumeric).allSatisfy { run in
      let separator = Array(run)
      return separator == Array(".".utf8) || separator == Array("_".utf8) || separator == Array("__".utf8)
        || separator.allSatisfy { $0 == UInt8(ascii: "-") }
    }
  }

  private static func isLowerAlphanumeric(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
  }

  package var description: String { rawValue }
  package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// A name that a repository gives to one of its manifests and may move: `1.4`, `latest`.
package struct TagName: Hashable, Sendable, Comparable, CustomStringConvertible {
  package static let bytesMaximum = 128
  package let rawValue: String

  /// nil unless it is letters, digits, `_`, `.` and `-`, and begins with none of the last two.
  package init?(_ text: String) {
    guard let first = text.utf8.first, Self.isWord(first), text.utf8.count <= Self.bytesMaximum,
      text.utf8.allSatisfy({ Self.isWord($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") })
    else { return nil }
    rawValue = text
  }

  /// Trusts the caller, as `RepositoryName.init(trusted:)` does.
  package init(trusted: String) { rawValue = trusted }

  private static func isWord(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
      UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"):
      true
    default: false
    }
  }

  package var description: String { rawValue }
  package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}
