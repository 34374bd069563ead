/// The SHA-256 of some bytes: the name of every blob.
package struct Digest: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// 64 lower-case hexadecimal digits.
  package let hex: String

  /// `sha256:<64 hex digits>`, or nil. Upper-case digits are refused: a digest has one spelling (OCI image-spec,
  /// descriptor.md, "Registered algorithms").
  package init?(_ text: String) {
    guard text.hasPrefix("sha256:") else { return nil }
    self.init(hex: String(text.dropFirst(7)))
  }

  package init?(hex: String) {
    guard hex.utf8.count == 64, hex.utf8.allSatisfy({ (48...57).contains($0) || (97...102).contains($0) }) else {
      return nil
    }
    self.hex = hex
  }

  /// The 32 raw bytes of a SHA-256.
  package init(bytes: some Collection<UInt8>) {
    precondition(bytes.count == 32, "a SHA-256 has 32 bytes, not \(bytes.count)")
    let digits = Array("0123456789abcdef".utf8)
    var hex: [UInt8] = []
    hex.reserveCapacity(64)
    for byte in bytes {
      hex.append(digits[Int(byte >> 4)])
      hex.append(digits[Int(byte & 15)])
    }
    self.hex = String(decoding: hex, as: UTF8.self)
  }

  package var description: String { "sha256:" + hex }
  /// For tables: the first 12 digits.
  package var short: String { String(hex.prefix(12)) }
  package static func < (left: Self, right: Self) -> Bool { left.hex < right.hex }
}
