/// Exponential delays between connection attempts, each drawn from the upper half of its range: devices that lost the
/// same broker at the same moment spread out, and none returns at once.
package struct MQTTBackoff: Sendable {
  private let minimum: Int64
  private let maximum: Int64
  private var attempts = 0
  private var state: UInt64

  package init(minimumMilliseconds: Int64, maximumMilliseconds: Int64, seed: UInt64) {
    minimum = max(1, minimumMilliseconds)
    maximum = max(minimum, maximumMilliseconds)
    state = seed
  }

  package mutating func next() -> Int64 {
    // Beyond 2^20 the maximum has long been reached, and the shift must not overflow.
    let (product, overflow) = minimum.multipliedReportingOverflow(by: 1 << min(attempts, 20))
    let ceiling = overflow ? maximum : min(maximum, product)
    attempts += 1
    let half = ceiling / 2
    return ceiling - half + Int64(random() % UInt64(half + 1))
  }

  /// After a connection that held.
  package mutating func reset() { attempts = 0 }

  /// SplitMix64 (Steele, Lea, Flood 2014).
  private mutating func random() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}
