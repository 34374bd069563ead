/// Sizes as people write them: `512`, `64KiB`, `1.5GiB` is not one, `2GB` is.
package enum ByteCount {
  private static let units: [(name: String, bytes: Int64)] = [
    ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40), ("kB", 1_000), ("KB", 1_000),
    ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000), ("B", 1),
  ]

  /// Nil = that is no size, or one beyond 2^53.
  package static func parse(_ text: String) -> Int64? {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    guard let number = Int64(digits) else { return nil }
    var unit = text.dropFirst(digits.count)
    if unit.first == " " { unit = unit.dropFirst() }
    let factor = unit.isEmpty ? 1 : units.first { $0.name == unit }?.bytes
    guard let factor, case let (bytes, isTooLarge) = number.multipliedReportingOverflow(by: factor), !isTooLarge,
      bytes <= 1 << 53
    else { return nil }
    return bytes
  }

  /// `812 KiB`, `64 MiB`, `12 GiB`: rounded down, for people.
  package static func readable(_ bytes: Int64) -> String {
    if bytes < 1 << 20 { return "\(max(0, bytes) / 1024) KiB" }
    return bytes < 10 << 30 ? "\(bytes >> 20) MiB" : "\(bytes >> 30) GiB"
  }
}
