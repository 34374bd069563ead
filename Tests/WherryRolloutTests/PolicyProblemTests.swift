import Testing
import WherryModel

@testable import WherryRollout

/// What contradicts itself is told before anything begins, in one sentence each.
@Suite struct PolicyProblemTests {
  private static func problems(
    _ count: Int = 5, settle: Int64 = 3_000, _ change: (inout RolloutPolicy) -> Void
  ) -> [PolicyProblem] {
    var policy = RolloutPolicy()
    change(&policy)
    let devices = (1...max(1, count)).prefix(count).map { RolloutBench.device($0, isOnline: true) }
    return policy.problems(
      in: PolicyContext(target: "group/kiosks", settleMilliseconds: settle, devices: devices))
  }

  private static func problem(
    _ count: Int = 5, settle: Int64 = 3_000, _ change: (inout RolloutPolicy) -> Void
  ) -> String? {
    let problems = problems(count, settle: settle, change)
    #expect(problems.count <= 1, "\(problems)")
    return problems.first.map { "\($0.place): \($0.message); \($0.remedy)" }
  }

  @Test func whatIsUsualIsNoProblem() {
    #expect(Self.problem { _ in } == nil)
    #expect(Self.problem(0) { $0.waves = [.count(10), .percent(100)] } == nil, "a group may be filled later")
    #expect(Self.problem(1) { $0.waves = [.count(1), .percent(50), .percent(100)] } == nil)
    #expect(Self.problem { $0.waves = [.count(1), .factor(3)] } == nil)
    #expect(Self.problem { $0.waves = [.percent(10), .count(4)] } == nil)
    #expect(Self.problem { $0.failureShare = RolloutPolicy.FailureShare(percent: 5, sample: 20) } == nil)
    #expect(Self.problem { $0.failuresMaximum = 9 } == nil)
    #expect(
      Self.problem {
        $0.silenceSeconds = 60
        $0.bytesPerSecond = 1_000
        $0.disruption = [RolloutPolicy.DisruptionBudget(label: "store", changingMaximum: 1)]
      } == nil)
  }

  @Test func wavesThatCannotBe() {
    #expect(
      Self.problem { $0.waves = [.count(6)] }
        == "waves/0: wave 1 takes 6 devices, and group/kiosks has 5; let it take 5 at most, or a percentage")
    let adds = "sizes are counted from the beginning and have to grow; leave it out or make it larger"
    #expect(
      Self.problem { $0.waves = [.percent(100), .count(3)] }
        == "waves/1: wave 2 adds nobody: the one before it is 100%, which is everyone; \(adds)")
    #expect(
      Self.problem { $0.waves = [.factor(2), .percent(50)] }
        == "waves/1: wave 2 adds nobody: x2 goes on until everyone has a place; \(adds)")
    #expect(
      Self.problem { $0.waves = [.count(3), .count(2)] } == "waves/1: wave 2 adds nobody: 2 is no more than 3; \(adds)")
    #expect(
      Self.problem { $0.waves = [.percent(30), .percent(30)] }
        == "waves/1: wave 2 adds nobody: 30% is no more than 30%; \(adds)")
  }

  @Test func budgetsThatCannotBe() {
    typealias Share = RolloutPolicy.FailureShare
    let two = "3 failures and 5% are two budgets for the same failures; say the one or the other"
    #expect(
      Self.problem {
        $0.failuresMaximum = 3
        $0.failureShare = Share(percent: 5, sample: 1)
      } == "failureShare: \(two)")
    #expect(
      Self.problem {
        $0.causeBudgets = [
          RolloutPolicy.CauseBudget(causes: [.start]),
          RolloutPolicy.CauseBudget(causes: [.health], maximum: 3, share: Share(percent: 5, sample: 1)),
        ]
      } == "causeBudgets/1: \(two)")
    #expect(
      Self.problem { $0.failureShare = Share(percent: 100, sample: 1) }
        == "failureShare: more than 100% of the devices can never fail, so nothing would ever halt it; allow less than "
        + "100%"
    )
    #expect(
      Self.problem { $0.failureShare = Share(percent: 0, sample: 20) }
        == "failureShare: 0% allow no failure, and until 20 devices have ended any number is allowed; write the number "
        + "0 in place of 0%")
    #expect(
      Self.problem {
        $0.failuresMaximum = 5
        $0.onFailure = .revert
      }
        == "failuresMaximum: 5 failures are allowed and group/kiosks has 5 devices, so it would never come to revert; "
        + "allow fewer failures than there are devices")
  }

  @Test func timesThatCannotBe() {
    #expect(
      Self.problem(settle: 60_000) { $0.deviceTimeoutSeconds = 60 }
        == "deviceTimeoutSeconds: each device watches its components for 60000 ms before it commits, and has 60 s for "
        + "everything, so none could finish; give devices more time or let them settle for less")
    #expect(
      Self.problem { $0.silenceSeconds = 3_601 }
        == "silenceSeconds: a device is silent after 3601 s, and has failed after 3600 s already; make the silence no "
        + "longer than the device timeout")
    #expect(
      Self.problem { $0.soakMilliseconds = 200 * 86_400_000 }
        == "soakMilliseconds: the last of 3 waves would open after more than 365 days of soaking, when orders of the "
        + "first have expired; soak for less")
    #expect(Self.problem { $0.soakMilliseconds = .max }?.hasPrefix("soakMilliseconds: ") == true)
    #expect(Self.problem(200) { $0.bytesPerSecond = 1 }?.contains("bytesPerSecond") != true)
    #expect(Self.problem(9_000) { $0.bytesPerSecond = 1 }?.contains("at 1 B/s take more than 365 days") == true)
  }

  @Test func limitsOfSitesThatStarve() {
    typealias Limit = RolloutPolicy.DisruptionBudget
    #expect(
      Self.problem { $0.disruption = [Limit(label: "store", changingMaximum: 0)] }
        == "disruption/0: 0 devices of each store may be changing, so none ever does; allow 1 at least")
    #expect(
      Self.problem { $0.disruption = [Limit(label: "store", upMinimum: 2)] }
        == "disruption/0: store=store-1 has 2 of group/kiosks's devices and 2 have to stay up, so none of them could "
        + "ever change; so it is with 2 more; let fewer stay up, or put these in a group of their own")
    let labels = [Limit(label: "store", upMinimum: 1), Limit(label: "rack", upMinimum: 1)]
    #expect(Self.problem(4) { $0.disruption = labels }?.hasPrefix("disruption/1: rack=rack-2 has 1 of") == true)
    let none = [labels[0], labels[1], Limit(label: "ring", upMinimum: 1)]
    #expect(Self.problems(4) { $0.disruption = none }.last?.message == "no device of group/kiosks has the label ring")
    #expect(Self.problem(0) { $0.disruption = labels } == nil)
  }

  @Test func allOfThemAreTold() {
    let problems = Self.problems {
      $0.waves = [.count(9), .count(3)]
      $0.silenceSeconds = 9_000
    }
    #expect(problems.map(\.place) == ["waves/0", "waves/1", "silenceSeconds"])
  }
}
