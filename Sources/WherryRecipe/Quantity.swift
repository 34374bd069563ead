/// Sizes and durations as people write them; nil = not one.
enum Quantity {
  /// `64MiB`, `64Mi`, `1.5GB`, `4096`: bytes. Bare `M` is refused: some tools mean 10⁶, others 2²⁰.
  static func bytes(_ text: String) -> Int64? {
    let units: [String: Double] = [
      "": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "kib": 1024, "mib": 1_048_576, "gib": 1_073_741_824,
      "tib": 1_099_511_627_776, "ki": 1024, "mi": 1_048_576, "gi": 1_073_741_824, "ti": 1_099_511_627_776,
    ]
    guard let (number, unit, rest) = part(text[...]), rest.isEmpty, let factor = units[unit.lowercased()] else {
      return nil
    }
    let bytes = (number * factor).rounded(.down)
    return bytes >= 0 && bytes < 1e16 ? Int64(bytes) : nil
  }

  /// `500ms`, `10s`, `5m`, `1h30m`, and a bare number for seconds: milliseconds.
  static func milliseconds(_ text: String) -> Int64? {
    if let seconds = Int64(text) { return (0...31_536_000).contains(seconds) ? seconds * 1000 : nil }
    let units: [String: Double] = ["ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000]
    var rest = text[...]
    var total = 0.0
    repeat {
      guard let (number, unit, tail) = part(rest), let factor = units[unit.lowercased()] else { return nil }
      total += number * factor
      rest = tail
    } while !rest.isEmpty
    return total <= 31_536_000_000 ? Int64(total.rounded()) : nil
  }

  /// `0.5` of a CPU: thousandths.
  static func millis(_ text: String) -> Int? {
    guard let (number, unit, rest) = part(text[...]), rest.isEmpty else { return nil }
    let millis = unit == "m" ? number : unit.isEmpty ? number * 1000 : -1
    return millis >= 1 && millis <= 1_024_000 ? Int(millis.rounded()) : nil
  }

  private static func part(_ text: Substring) -> (Double, String, Substring)? {
    let digits = text.prefix { ("0"..."9").contains($0) || $0 == "." }
    guard digits.count <= 16, digits.first != ".", digits.last != ".", let number = Double(digits) else { return nil }
    let afterDigits = text.dropFirst(digits.count).drop { $0 == " " }
    let unit = afterDigits.prefix { ("a"..."z").contains($0) || ("A"..."Z").contains($0) }
    return (number, String(unit), afterDigits.dropFirst(unit.count))
  }
}
