/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014). All chance in a simulation
/// comes from one of these, so a seed is a whole story.
package struct SplitMix64: RandomNumberGenerator, Sendable {
  private var state: UInt64

  package init(seed: UInt64) { state = seed }

  package mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }

  /// True in `permille` of a thousand cases.
  mutating func chance(permille: Int) -> Bool { permille > 0 && number(0...999) < permille }

  /// The standard library does not promise how it maps bits to a range, so a seed's story would depend on its version.
  mutating func number(_ range: ClosedRange<Int>) -> Int {
    let width = UInt64(range.upperBound - range.lowerBound + 1)
    return range.lowerBound + Int(next() % width)
  }

  mutating func milliseconds(_ range: ClosedRange<Int>) -> Int64 { Int64(number(range)) }

  mutating func pick<Element>(_ elements: [Element]) -> Element? {
    elements.isEmpty ? nil : elements[number(0...(elements.count - 1))]
  }
}
