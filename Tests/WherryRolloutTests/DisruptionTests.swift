import Testing
import WherryModel
import WherryTestSupport

@testable import WherryRollout

/// Stores of two devices (d1 and d2, d3 and d4, …), of which never more than so many change at once.
@Suite struct DisruptionTests {
  typealias Bench = RolloutBench

  private static func stores(
    _ count: Int, offline: Set<Int> = [], _ change: (inout RolloutPolicy) -> Void = { _ in }
  ) -> Bench {
    Bench(count, offline: offline) {
      $0.waves = [.percent(100)]
      $0.disruption = [RolloutPolicy.DisruptionBudget(label: "store", changingMaximum: 1)]
      change(&$0)
    }
  }

  @Test func oneOfEachStoreChangesAtATime() {
    var bench = Self.stores(6)
    #expect(bench.actions == [Bench.release(1, 3, 5)])
    #expect(bench.commit(3) == [Bench.release(4)])
    #expect(bench.commit(4) == [] && bench.commit(1) == [Bench.release(2)])
    #expect(bench.commit(5) == [Bench.release(6)] && bench.commit(6) == [])
    #expect(bench.commit(2) == [.completed])
  }

  @Test func whoIsKeptBackIsToldByWhom() throws {
    let bench = Self.stores(2)
    let waiting = try #require(bench.machine.summary.devices.last)
    #expect(
      waiting.waitsFor == "no more than 1 of store=store-1 may be changing, and d1 is, or has not come back")
  }

  @Test func soManyStayUp() {
    var bench = Self.stores(4, offline: [2]) {
      $0.disruption = [RolloutPolicy.DisruptionBudget(label: "store", upMinimum: 1)]
    }
    // d1 is all that its store has.
    #expect(bench.actions == [Bench.release(3)])
    #expect(bench.machine.summary.devices.first?.waitsFor == "1 of store=store-1 have to stay up, and 1 are")
    #expect(bench.commit(3) == [Bench.release(4)])
    #expect(bench.commit(4) == [], "an online device that waits is not given up")
    #expect(bench.tell(.online(Bench.name(2), true)) == [Bench.release(1)])
    #expect(bench.commit(1) == [Bench.release(2)] && bench.commit(2) == [.completed])
  }

  @Test func whoWentAwayInTheMiddleStillTakesItsStoresPlace() {
    var bench = Self.stores(4)
    bench.tell(.online(Bench.name(1), false))
    #expect(bench.commit(3) == [Bench.release(4)])
    #expect(bench.commit(4) == [] && bench.machine.state == .rolling)
    bench.tell(.online(Bench.name(1), true))
    #expect(bench.commit(1) == [Bench.release(2)])
  }

  @Test(arguments: [
    (DeploymentStatus.failed, FailureClass.start, false), (.failed, .download, true), (.rolledBack, .start, true),
  ])
  func whoBrokeIsMissedAndWhoWentBackIsNot(status: DeploymentStatus, failureClass: FailureClass, goesOn: Bool) {
    var bench = Self.stores(2) { $0.failuresMaximum = 9 }
    let why = Failure(failureClass, code: "x", message: "it fell over")
    let actions = bench.tell(.reported(Bench.name(1), status, why, digestMatches: false))
    #expect(actions == (goesOn ? [Bench.release(2)] : []))
  }

  @Test func aSilentOneMayBeDownUntilItSpeaks() {
    var bench = Self.stores(2) {
      $0.failuresMaximum = 9
      $0.silenceSeconds = 10
    }
    bench.now = bench.now.advanced(bySeconds: 10)
    #expect(bench.tell(.tick) == [] && bench.status(1) == "silent")
    #expect(bench.commit(1) == [Bench.release(2)])
  }

  @Test func whoWasAwayAtTheEndComesBackWithoutItsStoreGoingDown() {
    var bench = Self.stores(4, offline: [3, 4])
    bench.commit(1)
    #expect(bench.commit(2) == [.completed])
    #expect([3, 4].map(bench.status) == ["parked", "parked"])
    #expect(bench.tell(.online(Bench.name(4), true)) == [Bench.release(4)])
    #expect(bench.tell(.online(Bench.name(3), true)) == [])
    #expect(bench.commit(4) == [Bench.release(3)])
    // d5 comes into the third store, d6 after it.
    for (number, released) in [(5, [Bench.release(5)]), (6, [])] {
      let device = Bench.device(number, isOnline: true)
      #expect(bench.tell(.joined(device.name, isOnline: true, sites: device.sites)) == released)
    }
  }

  @Test func noWaveNeedsWhoIsKeptBack() {
    var bench = Self.stores(5) { $0.waves = [.count(2), .percent(100)] }
    #expect(bench.actions == [Bench.release(1, 3)])
    // d2 waits for d1; its place in the first wave goes to others.
    #expect(bench.tell(.online(Bench.name(1), false)) == [Bench.release(5)])
    #expect(bench.commit(3) == [] && bench.commit(5) == [Bench.release(4)])
    // Online and not served: it is not over.
    #expect(bench.commit(4) == [] && bench.machine.state == .rolling && bench.status(2) == "waiting")
    bench.tell(.online(Bench.name(1), true))
    #expect(bench.commit(1) == [Bench.release(2)] && bench.commit(2) == [.completed])
  }

  /// Looked at from outside, with counts of its own: whatever happens, no store loses more than it may.
  @Test(arguments: 0..<40) func noStoreEverLosesMoreThanItMay(block: Int) {
    for seed in block * 10..<(block + 1) * 10 {
      var random = SeededGenerator(seed: UInt64(seed))
      var bench = Self.stores(8, offline: Set((1...8).filter { _ in Int.random(in: 0..<3, using: &random) == 0 })) {
        $0.failuresMaximum = 9
        $0.waves = [.count(2), .percent(100)]
      }
      var changing: Set<DeviceName> = []
      for _ in 0..<80 {
        for case .release(let names) in bench.actions {
          for name in names {
            changing.insert(name)
            let number = Int(name.rawValue.dropFirst()) ?? 0
            let neighbour = Bench.name(number % 2 == 0 ? number - 1 : number + 1)
            #expect(!changing.contains(neighbour), "seed \(seed): \(name) and \(neighbour) change at once")
          }
        }
        let name = Bench.name(.random(in: 1...8, using: &random))
        switch Int.random(in: 0..<6, using: &random) {
        case 0..<3 where changing.contains(name):
          changing.remove(name)
          bench.tell(.reported(name, .committed, nil, digestMatches: true))
        case 3 where changing.contains(name):
          changing.remove(name)
          bench.tell(.reported(name, .rolledBack, nil, digestMatches: false))
        default: bench.tell(.online(name, Bool.random(using: &random)))
        }
      }
    }
  }

  @Test func aHundredThousandInOneSiteAreNoMoreWorkEachThanAFew() {
    var policy = RolloutPolicy()
    policy.waves = [.percent(100)]
    policy.disruption = [RolloutPolicy.DisruptionBudget(label: "region", changingMaximum: 50)]
    let devices = (1...100_000).map { RolloutDevice(name: Bench.name($0), isOnline: true, sites: ["eu"]) }
    var machine = RolloutMachine(policy: policy, devices: devices)
    var waiting = machine.handle(.start, at: .zero)
    var committed = 0
    while let action = waiting.popLast() {
      guard case .release(let names) = action else { continue }
      #expect(names.count <= 50)
      for name in names {
        committed += 1
        waiting += machine.handle(.reported(name, .committed, nil, digestMatches: true), at: .zero)
      }
    }
    #expect(committed == 100_000 && machine.state == .completed)
  }
}
