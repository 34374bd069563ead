import WherryModel

/// The broker's deaths.
extension Simulation {
  /// Every connection ends, and no last will is published: whoever asks next hears that everyone is still there.
  mutating func crashBroker() {
    guard broker.isUp else { return }
    say("broker", "killed")
    broker.isUp = false
    service.isConnected = false
    for index in devices.indices {
      devices[index].isConnected = false
      if random.chance(permille: 500) { loseRetained(of: index) }
    }
    schedule(.brokerStarts, in: random.milliseconds(200...2_000))
  }

  private mutating func loseRetained(of index: Int) {
    guard let lost = broker.retained[index] else { return }
    broker.loseRetained(of: index, &random)
    guard devices[index].journalled.generation < lost.generation else { return }
    statistics.ordersLost += 1
    let name = devices[index].name
    say("broker", "has lost generation \(lost.generation) of \(name)")
  }

  /// Whoever could not connect meanwhile tries again.
  mutating func startBroker() {
    guard !broker.isUp else { return }
    broker.isUp = true
    statistics.brokerStarts += 1
    say("broker", "started")
    schedule(.serviceConnects, in: random.milliseconds(50...1_500))
    for index in devices.indices { schedule(.connects(index), in: random.milliseconds(50...3_000)) }
  }
}
