import WherryModel

/// The broker: what it retains, and what was ever published through it.
struct SimulatedBroker: Sendable {
  var isUp = true
  /// All orders of each device, ascending: what a broker that was restored from a backup, or a hostile one, can send.
  private(set) var published: [[ServiceState.Desired]]
  /// The order that each device finds when it connects; nil = none, or it was lost.
  private(set) var retained: [ServiceState.Desired?]
  /// What each device, or its last will, said last; nil = nothing yet.
  var presence: [Bool?]

  init(devices: Int) {
    published = Array(repeating: [], count: devices)
    retained = Array(repeating: nil, count: devices)
    presence = Array(repeating: nil, count: devices)
  }

  mutating func retain(_ order: ServiceState.Desired, for device: Int) {
    if published[device].last?.generation != order.generation { published[device].append(order) }
    retained[device] = order
  }

  /// What came since the last snapshot is gone: an older order is retained again, or none.
  mutating func loseRetained(of device: Int, _ random: inout SplitMix64) {
    guard let lost = retained[device] else { return }
    let older = published[device].filter { $0.generation < lost.generation }
    retained[device] = random.chance(permille: 500) ? random.pick(older) : nil
  }
}
