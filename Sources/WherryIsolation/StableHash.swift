/// FNV-1a: the same on every start and machine, which Swift's own hash is not.
enum StableHash {
  static func narrow(_ text: String) -> UInt32 { hash(text, 0x811c_9dc5, 0x0100_0193) }
  static func wide(_ text: String) -> UInt64 { hash(text, 0xcbf2_9ce4_8422_2325, 0x100_0000_01b3) }

  private static func hash<Number: FixedWidthInteger>(_ text: String, _ basis: Number, _ prime: Number) -> Number {
    text.utf8.reduce(basis) { ($0 ^ Number($1)) &* prime }
  }
}
