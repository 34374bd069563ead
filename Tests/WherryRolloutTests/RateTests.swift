import Testing
import WherryModel

@testable import WherryRollout

/// No more bytes a second leave the service than the policy says. Device d1 has 1 kB to download, d2 2 kB, ….
@Suite struct RateTests {
  typealias Bench = RolloutBench

  private static func bench(_ count: Int, rate: Int64, offline: Set<Int> = []) -> Bench {
    Bench(count, offline: offline) {
      $0.waves = [.percent(100)]
      $0.bytesPerSecond = rate
    }
  }

  @Test func devicesAreReleasedAsTheirBytesLeave() {
    var bench = Self.bench(4, rate: 1_000)
    #expect(bench.actions == [Bench.release(1)])
    #expect(bench.machine.summary.devices[1].waitsFor?.hasPrefix("no more than 1000 B/s are to leave") == true)
    #expect(bench.commit(1) == [], "that it is done does not mean that there is room for more")
    #expect(bench.machine.nextDeadline == Instant(milliseconds: 2_000))
    bench.now = Instant(milliseconds: 2_000)
    #expect(bench.tell(.tick) == [Bench.release(2)])
    bench.now = Instant(milliseconds: 4_000)
    #expect(bench.tell(.tick) == [Bench.release(3)])
    bench.now = Instant(milliseconds: 6_999)
    #expect(bench.tell(.tick) == [])
    bench.now = Instant(milliseconds: 7_000)
    #expect(bench.tell(.tick) == [Bench.release(4)])
    #expect(bench.machine.throttledUntil == nil)
  }

  @Test func aSecondsWorthGoesTogether() {
    #expect(Self.bench(4, rate: 3_500).actions == [Bench.release(1, 2, 3)])
    #expect(Self.bench(4, rate: 1_000_000).actions == [Bench.release(1, 2, 3, 4)])
  }

  /// In any stretch of time: what the rate allows, a second's worth and one device.
  @Test(arguments: [700, 1_000, 3_333, 10_000] as [Int64]) func theRateIsKeptInEachStretch(rate: Int64) {
    var bench = Self.bench(40, rate: rate)
    var released: [(at: Int64, bytes: Int64)] = []
    while bench.machine.state == .rolling {
      for case .release(let names) in bench.actions {
        for name in names {
          released.append((bench.now.milliseconds, (Int64(name.rawValue.dropFirst()) ?? 0) * 1_000))
        }
        for name in names { bench.tell(.reported(name, .committed, nil, digestMatches: true)) }
      }
      guard let next = bench.machine.throttledUntil else { break }
      bench.now = next
      bench.tell(.tick)
    }
    #expect(released.count == 40)
    for first in released.indices {
      for last in first..<released.count {
        let bytes = released[first...last].reduce(0) { $0 + $1.bytes }
        let milliseconds = released[last].at - released[first].at + 1_000
        #expect(bytes <= rate * milliseconds / 1_000 + 40_000)
      }
    }
  }

  @Test func thoseWhoComeBackAfterTheEndAreNotAllServedAtOnce() {
    var bench = Self.bench(3, rate: 1_000, offline: [2, 3])
    #expect(bench.commit(1) == [.completed])
    bench.now = Instant(milliseconds: 9_000)
    #expect(bench.tell(.online(Bench.name(2), true)) == [Bench.release(2)])
    #expect(bench.tell(.online(Bench.name(3), true)) == [])
    #expect(bench.machine.nextDeadline == Instant(milliseconds: 11_000))
    bench.now = Instant(milliseconds: 11_000)
    #expect(bench.tell(.tick) == [Bench.release(3)])
  }
}
