/// How numbers with a fraction are written.
enum JSONNumber {
  /// As ECMAScript does (RFC 8785 §3.2.2.3): the shortest digits that read back as the same number, which the standard
  /// library finds but lays out in another way.
  static func canonical(_ value: Double) -> String {
    guard value != 0 else { return "0" }
    let (digits, exponent) = decimal(value.magnitude)
    let sign = value < 0 ? "-" : ""
    let count = digits.count
    if count <= exponent, exponent <= 21 {
      return sign + text(digits) + String(repeating: "0", count: exponent - count)
    }
    if 0 < exponent, exponent <= 21 { return sign + text(digits[..<exponent]) + "." + text(digits[exponent...]) }
    if -6 < exponent, exponent <= 0 { return sign + "0." + String(repeating: "0", count: -exponent) + text(digits) }
    let power = exponent - 1
    let fraction = count > 1 ? "." + text(digits[1...]) : ""
    return sign + text(digits[..<1]) + fraction + "e" + (power < 0 ? "-" : "+") + String(power.magnitude)
  }

  private static func text(_ digits: some Collection<UInt8>) -> String { String(decoding: digits, as: UTF8.self) }

  /// `0.d1d2d3… × 10^exponent`, first and last digit not zero.
  private static func decimal(_ magnitude: Double) -> (digits: [UInt8], exponent: Int) {
    let parts = magnitude.description.split(separator: "e")
    var exponent = parts.count == 2 ? Int(parts[1]) ?? 0 : 0
    let mantissa = parts[0].split(separator: ".")
    var digits = Array(mantissa[0].utf8)
    exponent += digits.count
    if mantissa.count == 2 { digits += mantissa[1].utf8 }
    let zero = UInt8(ascii: "0")
    let leading = digits.prefix { $0 == zero }.count
    digits.removeFirst(leading)
    exponent -= leading
    while digits.last == zero { digits.removeLast() }
    return (digits, exponent)
  }
}
