import Testing
import WherryMQTT

@Suite struct MQTTBackoffTests {
  @Test func `delays double up to the maximum, each in the upper half of its range`() {
    for seed in 0..<100 {
      var backoff = MQTTBackoff(minimumMilliseconds: 500, maximumMilliseconds: 60_000, seed: UInt64(seed))
      for attempt in 0..<40 {
        let ceiling = min(60_000, 500 << min(attempt, 10))
        let delay = backoff.next()
        #expect((Int64(ceiling / 2)...Int64(ceiling)).contains(delay), "attempt \(attempt): \(delay)")
      }
      backoff.reset()
      #expect((250...500).contains(backoff.next()))
    }
  }

  @Test func `devices with different seeds do not come back together`() {
    var delays: Set<Int64> = []
    for seed in 0..<1000 {
      var backoff = MQTTBackoff(minimumMilliseconds: 60_000, maximumMilliseconds: 60_000, seed: UInt64(seed))
      delays.insert(backoff.next())
    }
    #expect(delays.count > 950)
  }

  @Test func `the same seed gives the same delays, and odd limits do not trap`() {
    var one = MQTTBackoff(minimumMilliseconds: .max / 2, maximumMilliseconds: .max, seed: 7)
    var two = one
    for _ in 0..<100 { #expect(one.next() == two.next()) }
    var zero = MQTTBackoff(minimumMilliseconds: 0, maximumMilliseconds: 0, seed: 7)
    #expect((0...1).contains(zero.next()))
  }
}
