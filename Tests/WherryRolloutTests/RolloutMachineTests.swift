import Testing
import WherryJSON
import WherryModel

@testable import WherryRollout

/// A rollout of devices d1, d2, …; time stands still unless a test lets it pass.
struct RolloutBench {
  var machine: RolloutMachine
  var now = Instant(milliseconds: 1_000)
  var actions: [RolloutAction] = []

  init(_ count: Int, offline: Set<Int> = [], _ change: (inout RolloutPolicy) -> Void = { _ in }) {
    var policy = RolloutPolicy()
    change(&policy)
    machine = RolloutMachine(
      policy: policy,
      devices: (1...max(1, count)).prefix(count).map { Self.device($0, isOnline: !offline.contains($0)) })
    tell(.start)
  }

  /// Two to a store, three to a rack; every third has no rack; each has a kilobyte more to fetch than the one before.
  static func device(_ number: Int, isOnline: Bool) -> RolloutDevice {
    let sites = ["store-\((number + 1) / 2)", number % 3 == 0 ? nil : "rack-\((number + 2) / 3)"]
    return RolloutDevice(name: name(number), isOnline: isOnline, sites: sites, bytes: Int64(number) * 1_000)
  }

  static func name(_ number: Int) -> DeviceName { DeviceName(trusted: "d\(number)") }

  /// What follows from the event; the journal is read back each time.
  @discardableResult
  mutating func tell(_ event: RolloutEvent) -> [RolloutAction] {
    actions = machine.handle(event, at: now)
    if let json = try? JSON(parsing: machine.json.canonical), let read = try? RolloutMachine(JSONCursor(json)) {
      #expect(read == machine)
      machine = read
    } else {
      Issue.record("the journal cannot be read: \(machine.json.canonical)")
    }
    return actions
  }

  @discardableResult
  mutating func commit(_ numbers: Int...) -> [RolloutAction] {
    for number in numbers { tell(.reported(Self.name(number), .committed, nil, digestMatches: true)) }
    return actions
  }

  @discardableResult
  mutating func fail(_ number: Int, _ status: DeploymentStatus = .rolledBack) -> [RolloutAction] {
    tell(
      .reported(Self.name(number), status, Failure(.start, code: "x", message: "it fell over"), digestMatches: false))
  }

  func status(_ number: Int) -> String {
    machine.summary.devices.first { $0.name == Self.name(number) }?.status.name ?? ""
  }

  static func release(_ numbers: Int...) -> RolloutAction { .release(numbers.map(name)) }
}

@Suite struct RolloutMachineTests {
  typealias Bench = RolloutBench

  /// Another deployment of the device took its place there; what that one ends with counts.
  @Test func aDeviceThatWentOnToANewerOneIsStillWaitedFor() {
    var bench = Bench(2) { $0.waves = [.count(1)] }
    #expect(bench.tell(.reported(Bench.name(1), .superseded, nil, digestMatches: true)).isEmpty)
    #expect(bench.status(1) == "released")
    #expect(bench.commit(1) == [Bench.release(2)])
  }

  @Test(arguments: [
    (10, [RolloutPolicy.Size.percent(10), .percent(50), .percent(100)], [1, 5, 10]),
    (3, [.percent(10), .percent(50), .percent(100)], [1, 2, 3]),
    (1, [.percent(10), .percent(50), .percent(100)], [1]), (5, [.count(2)], [2, 5]), (5, [.count(9)], [5]),
    (5, [.count(3), .count(2), .percent(80)], [3, 4, 5]), (5, [], [5]), (0, [.count(1)], [0]),
    (7, [.percent(0), .percent(150)], [1, 7]), (20, [.count(2), .factor(3)], [2, 6, 18, 20]),
    (5, [.factor(2)], [1, 2, 4, 5]), (4, [.percent(100), .factor(9)], [4]), (0, [.factor(2)], [0]),
  ])
  func wavesGrowAndTheLastTakesTheRest(count: Int, sizes: [RolloutPolicy.Size], ends: [Int]) {
    #expect(RolloutMachine.waveEnds(sizes, count: count) == ends)
  }

  @Test func wavesOpenOneAfterTheOtherAndItCompletes() {
    var bench = Bench(4) { $0.waves = [.count(1), .count(3)] }
    #expect(bench.actions == [Bench.release(1)])
    #expect(bench.commit(1) == [Bench.release(2, 3)])
    #expect(bench.commit(3) == [])
    #expect(bench.commit(2) == [Bench.release(4)])
    #expect(bench.commit(4) == [.completed])
    #expect(bench.machine.state == .completed)
    #expect(bench.machine.nextDeadline == nil)
    #expect(bench.machine.summary.waves.map(\.committed) == [1, 2, 1])
    #expect(bench.machine.summary.waves.allSatisfy { $0.progress == .done })
  }

  @Test func aWaveSoaksBeforeTheNextOpens() {
    var bench = Bench(2) {
      $0.waves = [.count(1)]
      $0.soakMilliseconds = 5_000
    }
    #expect(bench.commit(1) == [])
    #expect(bench.machine.summary.waves.first?.progress == .soaking)
    #expect(bench.machine.nextDeadline == Instant(milliseconds: 6_000))
    bench.now = Instant(milliseconds: 5_999)
    #expect(bench.tell(.tick) == [])
    bench.now = Instant(milliseconds: 6_000)
    #expect(bench.tell(.tick) == [Bench.release(2)])
  }

  @Test func aSoakEndsWithoutTheDeviceThatGaveTheProof() {
    var bench = Bench(2, offline: [2]) {
      $0.waves = [.count(1)]
      $0.soakMilliseconds = 5_000
    }
    bench.commit(1)
    #expect(bench.machine.nextDeadline == Instant(milliseconds: 6_000))
    #expect(bench.tell(.left(Bench.name(1))) == [])
    #expect(bench.machine.nextDeadline == nil)
    bench.now = Instant(milliseconds: 6_000)
    #expect(bench.tell(.tick) == [])
    #expect(bench.machine.nextDeadline == nil)
    // The next who comes is the proof that is missing.
    #expect(bench.tell(.online(Bench.name(2), true)) == [Bench.release(2)])
  }

  @Test func aFailureInTheFirstWaveHaltsAndTouchesNobodyElse() {
    var bench = Bench(3) { $0.waves = [.count(1)] }
    let reason = "1 device failed, 0 allowed; d1: it fell over"
    #expect(bench.fail(1) == [.halted(reason: reason)])
    #expect(bench.machine.state == .halted(reason: reason))
    #expect(bench.status(2) == "waiting")
    #expect(bench.status(3) == "waiting")
    #expect(bench.tell(.online(Bench.name(2), false)) == [])
    #expect(bench.tell(.online(Bench.name(2), true)) == [])
  }

  @Test(arguments: [DeploymentStatus.failed, .rolledBack, .rejected])
  func everyKindOfFailureCounts(status: DeploymentStatus) {
    var bench = Bench(2) { $0.waves = [.count(1)] }
    bench.fail(1, status)
    #expect(bench.machine.state.name == "halted")
  }

  @Test func theBudgetAllowsThatManyFailures() {
    var bench = Bench(5) {
      $0.waves = [.count(3)]
      $0.failuresMaximum = 1
    }
    #expect(bench.fail(1) == [])
    bench.commit(2)
    #expect(bench.commit(3) == [Bench.release(4, 5)])
    #expect(bench.fail(4) == [.halted(reason: "2 devices failed, 1 allowed; d1: it fell over")])
  }

  /// Of 2 that have ended 1 failed: that says little; of 4 it is the quarter that is allowed, of 5 two are more.
  @Test func aBudgetInPercentWaitsForItsSample() {
    var bench = Bench(8) {
      $0.waves = [.percent(100)]
      $0.failureShare = RolloutPolicy.FailureShare(percent: 25, sample: 4)
    }
    #expect(bench.commit(1) == [] && bench.fail(2) == [] && bench.commit(3) == [] && bench.commit(4) == [])
    #expect(bench.fail(5) == [.halted(reason: "2 devices failed, 25% of 5 allowed; d2: it fell over")])
    #expect(bench.tell(.resume) == [])
    #expect(bench.machine.state.name == "rolling", "those two are accepted")
    #expect(bench.commit(6) == [] && bench.machine.state.name == "rolling")
  }

  @Test func aSampleLargerThanTheTargetIsTheTarget() {
    var bench = Bench(2) {
      $0.waves = [.percent(100)]
      $0.failureShare = RolloutPolicy.FailureShare(percent: 10, sample: 20)
    }
    #expect(bench.fail(1) == [])
    #expect(bench.commit(2) == [.halted(reason: "1 device failed, 10% of 2 allowed; d1: it fell over")])
  }

  @Test func afterAHaltAPersonMayResumeWithTheFailuresSoFarAccepted() {
    var bench = Bench(4) { $0.waves = [.count(2)] }
    bench.commit(2)
    bench.fail(1)
    #expect(bench.tell(.resume) == [Bench.release(3, 4)])
    #expect(bench.fail(3) == [.halted(reason: "2 devices failed, 1 allowed; d1: it fell over")])
  }

  @Test func whoFailedIsTriedAgainWithinTheLimits() {
    var bench = Bench(3) {
      $0.waves = [.percent(100)]
      $0.concurrencyMaximum = 1
      $0.failuresMaximum = 5
    }
    #expect(bench.fail(1) == [Bench.release(2)] && bench.fail(2) == [Bench.release(3)])
    #expect(bench.commit(3) == [.completed])
    #expect(bench.tell(.retry) == [Bench.release(1)] && bench.machine.state.name == "rolling")
    #expect(bench.commit(1) == [Bench.release(2)])
    #expect(bench.commit(2) == [.completed])
    #expect(bench.tell(.retry) == [] && bench.machine.state.name == "completed", "nobody failed")
  }

  @Test func afterAHaltTryingAgainGoesOn() {
    var bench = Bench(3) { $0.waves = [.count(1)] }
    #expect(bench.fail(1).count == 1 && bench.machine.state.name == "halted")
    #expect(bench.tell(.retry) == [Bench.release(1)])
    #expect(bench.commit(1) == [Bench.release(2, 3)])
    var stopped = Bench(2) {
      $0.waves = [.count(1)]
      $0.onFailure = .stop
    }
    stopped.fail(1)
    #expect(stopped.tell(.retry) == [] && stopped.machine.state.name == "halted")
  }

  @Test func withPolicyStopAHaltIsFinal() {
    var bench = Bench(2) {
      $0.waves = [.count(1)]
      $0.onFailure = .stop
    }
    bench.fail(1)
    #expect(bench.tell(.resume) == [])
    #expect(bench.machine.state.name == "halted")
  }

  @Test func noMoreThanTheConcurrencyLimitChangeAtOnce() {
    var bench = Bench(5) {
      $0.waves = [.percent(100)]
      $0.concurrencyMaximum = 2
    }
    #expect(bench.actions == [Bench.release(1, 2)])
    #expect(bench.commit(2) == [Bench.release(3)])
    // One that goes offline leaves its place.
    #expect(bench.tell(.online(Bench.name(1), false)) == [Bench.release(4)])
    #expect(bench.tell(.online(Bench.name(1), true)) == [])
    #expect(bench.commit(3) == [])
    #expect(bench.commit(4) == [Bench.release(5)])
  }

  @Test func offlineDevicesHoldNoGateAndAreReleasedAtTheEnd() {
    var bench = Bench(4, offline: [2]) { $0.waves = [.count(2)] }
    #expect(bench.actions == [Bench.release(1, 3)])
    #expect(bench.status(2) == "waiting")
    #expect(bench.commit(1, 3) == [Bench.release(4)])
    #expect(bench.commit(4) == [Bench.release(2), .completed])
    #expect(bench.status(2) == "parked")
    bench.tell(.online(Bench.name(2), true))
    #expect(bench.status(2) == "released")
    bench.commit(2)
    #expect(bench.status(2) == "committed")
  }

  @Test func aDeviceThatComesBackIsReleasedInAnOpenWave() {
    var bench = Bench(3, offline: [1]) { $0.waves = [.percent(100)] }
    #expect(bench.actions == [Bench.release(2, 3)])
    #expect(bench.tell(.online(Bench.name(1), true)) == [Bench.release(1)])
  }

  @Test func aDeviceThatComesBackDoesNotWidenACanaryWave() {
    var bench = Bench(3, offline: [1]) { $0.waves = [.count(1)] }
    #expect(bench.actions == [Bench.release(2)])
    #expect(bench.tell(.online(Bench.name(1), true)) == [])
    #expect(bench.commit(2) == [Bench.release(1, 3)])
  }

  @Test func aHaltedRolloutDoesNotReachWhoComesBack() {
    var bench = Bench(3, offline: [3]) { $0.waves = [.count(1)] }
    bench.fail(1)
    #expect(bench.tell(.online(Bench.name(3), true)) == [])
  }

  @Test func withEveryoneAwayItWaitsForTheFirstWhoComes() {
    var bench = Bench(3, offline: [1, 2, 3]) { $0.waves = [.count(1)] }
    #expect(bench.actions == [])
    #expect(bench.machine.state == .rolling)
    #expect(bench.tell(.online(Bench.name(3), true)) == [Bench.release(3)])
    // Who is away holds no gate, so with one proof it is through; the others find their state when they come.
    #expect(bench.commit(3) == [Bench.release(1, 2), .completed])
  }

  @Test func withoutASuccessOneDeviceMoreAtATimeIsTried() {
    var bench = Bench(6) {
      $0.waves = [.count(1)]
      $0.failuresMaximum = 2
    }
    #expect(bench.fail(1) == [Bench.release(2)])
    #expect(bench.fail(2) == [Bench.release(3)])
    #expect(bench.commit(3) == [Bench.release(4, 5, 6)])
  }

  @Test func aReleasedDeviceThatStaysSilentFailsByItsTimeoutOnlyWhileOnline() {
    var bench = Bench(2) {
      $0.waves = [.percent(100)]
      $0.deviceTimeoutSeconds = 60
    }
    bench.now = Instant(milliseconds: 50_000)
    bench.tell(.online(Bench.name(2), false))
    bench.now = Instant(milliseconds: 61_000)
    #expect(bench.machine.nextDeadline == Instant(milliseconds: 61_000))
    bench.tell(.tick)
    #expect(bench.status(1) == "silent")
    #expect(bench.status(2) == "parked")
    #expect(bench.machine.state.reason.contains("said nothing of it within 60 s"))
    bench.tell(.resume)
    bench.tell(.online(Bench.name(2), true))
    // It is over, and still the device has its time like any other.
    #expect(bench.machine.state == .completed)
    #expect(bench.machine.nextDeadline == Instant(milliseconds: 121_000))
    bench.now = Instant(milliseconds: 121_000)
    bench.tell(.tick)
    #expect(bench.status(2) == "silent")
    #expect(bench.machine.nextDeadline == nil)
  }

  @Test func whileADeviceWaitsForItsDownloadWindowItsTimeStandsStill() {
    var bench = Bench(1) { $0.deviceTimeoutSeconds = 60 }
    let window = Failure(.download, code: Failure.downloadWindowCode, message: "not now")
    bench.tell(.reported(Bench.name(1), .fetching, window, digestMatches: true))
    #expect(bench.machine.nextDeadline == nil)
    bench.now = Instant(milliseconds: 10_000_000)
    bench.tell(.tick)
    #expect(bench.status(1) == "deferred")
    bench.tell(.reported(Bench.name(1), .fetching, nil, digestMatches: true))
    #expect(bench.machine.nextDeadline == Instant(milliseconds: 10_060_000))
    // Each further report does not give it more time.
    bench.now = Instant(milliseconds: 10_050_000)
    bench.tell(.reported(Bench.name(1), .fetching, nil, digestMatches: true))
    #expect(bench.machine.nextDeadline == Instant(milliseconds: 10_060_000))
  }

  @Test func pauseHoldsReleasesAndResumeGoesOn() {
    var bench = Bench(2) { $0.waves = [.count(1)] }
    bench.tell(.pause)
    #expect(bench.machine.state == .paused(reason: "paused by an operator"))
    #expect(bench.commit(1) == [])
    #expect(bench.tell(.resume) == [Bench.release(2)])
  }

  @Test func aFailureDuringAPauseHaltsOnResume() {
    var bench = Bench(2) { $0.waves = [.count(1)] }
    bench.tell(.pause)
    #expect(bench.fail(1) == [])
    #expect(bench.tell(.resume).count == 1)
    #expect(bench.machine.state.name == "halted")
  }

  @Test func cancelledIsTheEnd() {
    var bench = Bench(2) { $0.waves = [.count(1)] }
    bench.tell(.cancel)
    #expect(bench.commit(1) == [])
    #expect(bench.tell(.resume) == [])
    #expect(bench.machine.state == .cancelled)
    #expect(bench.machine.nextDeadline == nil)
  }

  @Test func aCommitOfAnotherPlanIsNotBelieved() {
    var bench = Bench(1)
    bench.tell(.reported(Bench.name(1), .committed, nil, digestMatches: false))
    #expect(bench.status(1) == "released")
  }

  @Test func newcomersJoinTheLastWaveOrAreServedAtOnceAfterTheEnd() {
    var bench = Bench(2) { $0.waves = [.count(1)] }
    #expect(bench.tell(.joined(Bench.name(3), isOnline: true)) == [])
    #expect(bench.commit(1) == [Bench.release(2, 3)])
    #expect(bench.commit(2, 3) == [.completed])
    #expect(bench.tell(.joined(Bench.name(4), isOnline: false)) == [Bench.release(4)])
    #expect(bench.tell(.joined(Bench.name(4), isOnline: false)) == [])
  }

  @Test func whoLeavesHoldsNothing() {
    var bench = Bench(3) { $0.waves = [.count(2)] }
    bench.commit(1)
    #expect(bench.tell(.left(Bench.name(2))) == [Bench.release(3)])
    #expect(bench.tell(.left(Bench.name(3))) == [.completed])
  }

  @Test func anEmptyTargetIsCompleteAtOnce() {
    let bench = Bench(0)
    #expect(bench.actions == [.completed])
    #expect(bench.machine.summary.waves.isEmpty)
  }

  @Test func duplicatesAndStrangersChangeNothing() {
    var bench = Bench(2) { $0.waves = [.count(1)] }
    bench.commit(1)
    let before = bench.machine
    bench.commit(1)
    bench.commit(9)
    bench.tell(.online(Bench.name(9), true))
    bench.tell(.start)
    bench.tell(.tick)
    #expect(bench.machine == before)
  }
}
