import Testing
import WherryJSON
import WherryModel

@testable import WherryRollout

/// Failures counted by cause, and devices that say nothing.
@Suite struct BudgetTests {
  typealias Bench = RolloutBench
  typealias Budget = RolloutPolicy.CauseBudget

  private static func bench(_ count: Int, _ budgets: Budget..., change: (inout RolloutPolicy) -> Void = { _ in })
    -> Bench
  {
    Bench(count) {
      $0.waves = [.percent(100)]
      $0.causeBudgets = budgets
      change(&$0)
    }
  }

  private static func fail(_ bench: inout Bench, _ number: Int, _ failureClass: FailureClass) {
    let why = Failure(failureClass, code: "x", message: "it did not work")
    bench.tell(.reported(Bench.name(number), .failed, why, digestMatches: false))
  }

  @Test func aCauseWithABudgetOfItsOwnLeavesTheSharedOneAlone() {
    var bench = Self.bench(9, Budget(causes: [.download, .verify], maximum: 2))
    for number in 1...2 { Self.fail(&bench, number, .download) }
    #expect(bench.machine.state == .rolling)
    Self.fail(&bench, 3, .verify)
    #expect(bench.machine.state.reason == "3 devices failed (download, verify), 2 allowed; d1: it did not work")
    bench.tell(.resume)
    #expect(bench.machine.state == .rolling, "those three are accepted")
    Self.fail(&bench, 4, .health)
    #expect(bench.machine.state.reason == "1 device failed, 0 allowed; d4: it did not work")
    bench.tell(.resume)
    for number in 5...6 { Self.fail(&bench, number, .download) }
    #expect(bench.machine.state == .rolling)
    Self.fail(&bench, 7, .download)
    #expect(bench.machine.state.reason == "6 devices failed (download, verify), 5 allowed; d1: it did not work")
  }

  @Test func aShareOfACauseWaitsForItsSample() {
    let share = RolloutPolicy.FailureShare(percent: 30, sample: 3)
    var bench = Self.bench(9, Budget(causes: [.health], share: share))
    Self.fail(&bench, 1, .health)
    bench.commit(2)
    #expect(bench.machine.state == .rolling)
    bench.commit(3)
    #expect(bench.machine.state.reason == "1 device failed (health), 30% of 3 allowed; d1: it did not work")
  }

  @Test(arguments: FailureClass.allCases) func eachClassCanHaveItsOwn(failureClass: FailureClass) throws {
    let cause = try #require(FailureCause(rawValue: failureClass.rawValue))
    var bench = Self.bench(3, Budget(causes: [cause], maximum: 1))
    Self.fail(&bench, 1, failureClass)
    #expect(bench.machine.state == .rolling)
    Self.fail(&bench, 2, failureClass)
    #expect(bench.machine.state.name == "halted")
  }

  @Test func whoSaysNothingHasABucketAndADeadlineOfItsOwn() {
    var bench = Self.bench(3, Budget(causes: [.silent], maximum: 1)) {
      $0.deviceTimeoutSeconds = 600
      $0.silenceSeconds = 60
    }
    bench.tell(.reported(Bench.name(2), .applying, nil, digestMatches: true))
    bench.commit(3)
    #expect(bench.machine.nextDeadline == bench.now.advanced(bySeconds: 60))
    bench.now = bench.now.advanced(bySeconds: 60)
    #expect(bench.tell(.tick).isEmpty)
    #expect([1, 2, 3].map(bench.status) == ["silent", "released", "committed"])
    let wave = bench.machine.summary.waves.first
    #expect(wave?.silent == 1 && wave?.failed == 0)
    // The one that spoke has the whole time, from when it was released.
    #expect(bench.machine.nextDeadline == bench.now.advanced(bySeconds: 540))
    #expect(bench.commit(2) == [.completed], "the silent one holds nothing up")
  }

  @Test func whoSpeaksAfterAllIsWaitedForAgain() {
    var bench = Self.bench(2, Budget(causes: [.silent], maximum: 1)) {
      $0.deviceTimeoutSeconds = 600
      $0.silenceSeconds = 60
    }
    bench.tell(.reported(Bench.name(2), .applying, nil, digestMatches: true))
    bench.now = bench.now.advanced(bySeconds: 60)
    bench.tell(.tick)
    #expect([1, 2].map(bench.status) == ["silent", "released"])
    bench.tell(.reported(Bench.name(1), .fetching, nil, digestMatches: true))
    #expect(bench.status(1) == "released")
    #expect(bench.commit(2) == [])
    #expect(bench.machine.nextDeadline == bench.now.advanced(bySeconds: 600))
    #expect(bench.commit(1) == [.completed])
  }

  @Test func tooManySilentOnesHalt() {
    var bench = Self.bench(2, Budget(causes: [.silent], maximum: 1)) { $0.silenceSeconds = 60 }
    bench.now = bench.now.advanced(bySeconds: 60)
    bench.tell(.tick)
    #expect(bench.machine.state.reason.hasPrefix("2 devices failed (silent), 1 allowed; d1: d1 said nothing of it"))
  }

  @Test func whoSaysNotNowIsNoFailureHoweverLongItTakes() {
    for code in [Failure.downloadWindowCode, Failure.heldOffCode] {
      var bench = Self.bench(2) { $0.deviceTimeoutSeconds = 60 }
      bench.commit(2)
      let why = Failure(.download, code: code, message: "not now")
      bench.tell(.reported(Bench.name(1), .fetching, why, digestMatches: true))
      #expect(bench.status(1) == "deferred" && bench.machine.summary.waves.first?.deferred == 1)
      #expect(bench.machine.nextDeadline == nil)
      // It waits on when its connection was lost meanwhile.
      bench.tell(.online(Bench.name(1), false))
      bench.tell(.online(Bench.name(1), true))
      #expect(bench.status(1) == "deferred" && bench.machine.nextDeadline == nil)
      bench.now = bench.now.advanced(bySeconds: 100_000)
      #expect(bench.tell(.tick).isEmpty)
      bench.tell(.reported(Bench.name(1), .applying, nil, digestMatches: true))
      #expect(bench.status(1) == "released" && bench.machine.nextDeadline == bench.now.advanced(bySeconds: 60))
    }
  }

  @Test func whatAnOlderServiceAcceptedStaysAccepted() throws {
    var bench = Self.bench(2)
    Self.fail(&bench, 1, .health)
    bench.tell(.resume)
    guard case .object(var members) = bench.machine.json else { return }
    members["accepted"] = nil
    members["failuresAccepted"] = 1
    let old = try RolloutMachine(JSONCursor(.object(members)))
    #expect(old.failuresAccepted.values.reduce(0, +) == 1)
  }
}
