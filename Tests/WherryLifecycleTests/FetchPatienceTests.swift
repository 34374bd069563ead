import Testing
import WherryModel

@testable import WherryLifecycle

/// How long a fetch that does not get on is waited for.
@Suite struct FetchPatienceTests {
  private static let minute: Int64 = 60_000
  private static let gone = Failure(.download, code: "download.unreachable", message: "no route")

  private static func fetching() -> Bench {
    var bench = Bench()
    bench.isFetching = false
    bench.deploy(1, plan(container("web", 1)))
    return bench
  }

  private static func tell(_ bench: inout Bench, done: Int64, of total: Int64) {
    bench.tell(.fetchProgress(generation: Generation(1), done: done, total: total))
  }

  /// A try as the shell tells it: from nothing, then what an earlier try left on the disk, then no answer.
  private static func failingTry(_ bench: inout Bench, done: Int64, of total: Int64) {
    tell(&bench, done: 0, of: total)
    tell(&bench, done: done, of: total)
    bench.tell(.fetchFailed(generation: Generation(1), gone))
    bench.pass(minute)
  }

  private static func conclusion(_ bench: Bench) -> DeploymentStatus? { bench.machine.state.conclusion?.status }

  @Test func whatAnEarlierTryBroughtIsNotProgress() {
    var bench = Self.fetching()
    Self.tell(&bench, done: 0, of: 1_000_000)
    Self.tell(&bench, done: 300_000, of: 1_000_000)
    // The server dies for good.
    for _ in 0..<15 {
      #expect(Self.conclusion(bench) == nil)
      Self.failingTry(&bench, done: 300_000, of: 1_000_000)
    }
    #expect(Self.conclusion(bench) == nil)
    Self.failingTry(&bench, done: 300_000, of: 1_000_000)
    #expect(Self.conclusion(bench) == .failed)
    #expect(bench.machine.state.conclusion?.failure == Self.gone)
  }

  @Test func waitingForADownloadWindowCostsNoPatience() {
    var bench = Self.fetching()
    Self.tell(&bench, done: 0, of: 1_000_000)
    let window = Failure(.download, code: Failure.downloadWindowCode, message: "not now")
    for _ in 0..<40 {
      let until = bench.now.advanced(byMilliseconds: 60 * Self.minute)
      let opens = until.advanced(bySeconds: 7_200)
      bench.tell(.fetchWaits(generation: Generation(1), until: until, opens: opens, window))
      #expect(bench.reports.last?.resumesAt == opens, "though it looks again before")
      #expect(bench.machine.state.deployment?.phase.failure == window)
      #expect(bench.machine.nextDeadline == until)
      bench.pass(60 * Self.minute)
      #expect(bench.machine.state.deployment?.phase.failure == nil, "it is fetched again")
      #expect(bench.reports.last?.resumesAt == nil)
    }
    // Then nothing answers, for as long as ever.
    for _ in 0..<15 { Self.failingTry(&bench, done: 0, of: 1_000_000) }
    #expect(Self.conclusion(bench) == nil)
    Self.failingTry(&bench, done: 0, of: 1_000_000)
    Self.failingTry(&bench, done: 0, of: 1_000_000)
    #expect(Self.conclusion(bench) == .failed)
  }

  @Test func whatIsLeftCountsAndNotWhatATryCounts() {
    var bench = Self.fetching()
    // The first of two blobs becomes complete, so the next try's whole is smaller; no new byte comes.
    Self.failingTry(&bench, done: 600_000, of: 1_000_000)
    for _ in 0..<14 { Self.failingTry(&bench, done: 100_000, of: 500_000) }
    #expect(Self.conclusion(bench) == nil)
    // These do come.
    Self.failingTry(&bench, done: 110_000, of: 500_000)
    for _ in 0..<13 { Self.failingTry(&bench, done: 110_000, of: 500_000) }
    #expect(Self.conclusion(bench) == nil)
    for _ in 0..<3 { Self.failingTry(&bench, done: 110_000, of: 500_000) }
    #expect(Self.conclusion(bench) == .failed)
  }

  @Test func bytesThatHaveToComeASecondTimeAreNotProgress() {
    var bench = Self.fetching()
    Self.failingTry(&bench, done: 600_000, of: 1_000_000)
    for round in 0..<15 { Self.failingTry(&bench, done: 100_000 + Int64(round) * 30_000, of: 1_000_000) }
    #expect(Self.conclusion(bench) == .failed)
  }

  @Test func aTrickleIsEndedAndTheWorkerToo() {
    var bench = Self.fetching()
    Self.tell(&bench, done: 0, of: 1_000_000)
    for minute in 1...19 {
      bench.pass(Self.minute)
      Self.tell(&bench, done: Int64(minute) * 200, of: 1_000_000)
    }
    #expect(Self.conclusion(bench) == nil)
    #expect(bench.steps == ["fetch 1"])
    bench.pass(Self.minute)
    #expect(Self.conclusion(bench) == .failed)
    #expect(bench.machine.state.conclusion?.failure?.code == "download.stalled")
    #expect(bench.steps == ["fetch 1", "cancel 1"])
  }

  @Test func aSlowFetchThatGetsOnIsLeftAlone() {
    var bench = Self.fetching()
    Self.tell(&bench, done: 0, of: 1_000_000)
    for step in 1...100 {
      bench.pass(10 * Self.minute)
      Self.tell(&bench, done: Int64(step) * 6_000, of: 1_000_000)
    }
    #expect(Self.conclusion(bench) == nil)
    #expect(bench.steps == ["fetch 1"])
  }

  @Test func whatIsDoneWithTheBytesTakesTheTimeThatItTakes() {
    var bench = Self.fetching()
    Self.tell(&bench, done: 0, of: 1_000_000)
    Self.tell(&bench, done: 1_000_000, of: 1_000_000)
    bench.pass(300 * Self.minute)
    #expect(Self.conclusion(bench) == nil)
    bench.tell(.fetched(generation: Generation(1)))
    bench.pass(5_000)
    #expect(Self.conclusion(bench) == .committed)
  }

  @Test func whatWasWrongIsFetchedAgainWithNewPatience() {
    var bench = Self.fetching()
    Self.tell(&bench, done: 0, of: 1_000_000)
    Self.tell(&bench, done: 1_000_000, of: 1_000_000)
    bench.pass(30 * Self.minute)
    bench.tell(
      .fetchFailed(
        generation: Generation(1), Failure(.verify, code: "blob.digestMismatch", message: "another digest")))
    bench.pass(5_000)
    for _ in 0..<14 { Self.failingTry(&bench, done: 0, of: 1_000_000) }
    #expect(Self.conclusion(bench) == nil)
  }

  @Test func aTrickleAfterAHalfAppliedDeploymentRollsBack() {
    var bench = Bench()
    bench.complete(1, plan(container("web", 1)))
    bench.deploy(2, plan(container("web", 2)))
    bench.settle()
    bench.isFetching = false
    bench.deploy(3, plan(container("web", 3)))
    bench.tell(.fetchProgress(generation: Generation(3), done: 0, total: 1_000_000))
    bench.pass(21 * Self.minute)
    #expect(Self.conclusion(bench) == .rolledBack)
    #expect(bench.steps.contains("cancel 3"))
    #expect(bench.steps.last == "run web.run 1.0.0")
  }

  @Test func aRestartGivesADeadServerNoNewPatience() {
    var bench = Self.fetching()
    for _ in 0..<10 {
      Self.failingTry(&bench, done: 300_000, of: 1_000_000)
      bench.restartAgent()
    }
    #expect(Self.conclusion(bench) == nil)
    for _ in 0..<6 { Self.failingTry(&bench, done: 300_000, of: 1_000_000) }
    #expect(Self.conclusion(bench) == .failed)
  }

  @Test func howeverLongThereWasNoAgentTheFetchIsTriedOnceMore() {
    var bench = Self.fetching()
    Self.tell(&bench, done: 0, of: 1_000_000)
    bench.now = bench.now.advanced(byMilliseconds: 300 * Self.minute)
    bench.restartAgent()
    #expect(bench.steps == ["fetch 1", "fetch 1"])
    #expect(Self.conclusion(bench) == nil)
    // It gets on, so it has all its patience again.
    for _ in 0..<14 { Self.failingTry(&bench, done: 10_000, of: 1_000_000) }
    #expect(Self.conclusion(bench) == nil)
  }

  @Test(arguments: Failure.transientCodes.sorted())
  func noAnswerAndNotNowAreWaitedFor(_ code: String) {
    var bench = Self.fetching()
    let failure = Failure(.download, code: code, message: "not now")
    for _ in 0..<14 {
      bench.tell(.fetchFailed(generation: Generation(1), failure))
      bench.pass(Self.minute)
    }
    #expect(Self.conclusion(bench) == nil)
    for _ in 0..<2 {
      bench.tell(.fetchFailed(generation: Generation(1), failure))
      bench.pass(Self.minute)
    }
    #expect(Self.conclusion(bench) == .failed)
    #expect(bench.machine.state.conclusion?.failure == failure)
  }

  /// Each change of the state is written to the disk.
  @Test func progressIsNotedOnceAMinute() {
    var bench = Self.fetching()
    var states: Set<DeploymentPhase?> = []
    for step in 0..<200 {
      Self.tell(&bench, done: Int64(step) * 10_000, of: 10_000_000)
      bench.pass(1_000)
      states.insert(bench.machine.state.deployment?.phase)
    }
    #expect((4...6).contains(states.count))
  }
}
