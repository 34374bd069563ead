import Testing
import WherryJSON
import WherryModel

@testable import WherryLifecycle

/// A newer desired state in every phase of an older one; fetches that fail; refusals.
@Suite struct SupersedingTests {
  @Test func whileFetchingTheOldFetchIsCancelled() {
    var bench = Bench()
    bench.isFetching = false
    bench.deploy(1, plan(container("web", 1)))
    bench.deploy(2, plan(container("web", 2)))
    #expect(bench.steps == ["fetch 1", "cancel 1", "fetch 2"])
    #expect(bench.reports.contains { $0.generation == Generation(1) && $0.status == .superseded })
    bench.tell(.fetched(generation: Generation(1)))
    #expect(bench.steps.count == 3)
    bench.tell(.fetched(generation: Generation(2)))
    bench.pass(5_000)
    #expect(bench.steps.suffix(2) == ["run web.run 2.0.0", "commit 2"])
  }

  @Test func whileApplyingTheNewOneIsFetchedThenTakesOver() {
    var bench = Bench()
    bench.complete(1, plan(container("web", 1)))
    bench.asked = []
    bench.deploy(2, plan(container("web", 2)))
    bench.settle()
    bench.deploy(3, plan(container("web", 3)))
    bench.pass(5_000)
    #expect(
      bench.steps == [
        "fetch 2", "stop web.run", "run web.run 2.0.0", "fetch 3", "stop web.run", "run web.run 3.0.0", "commit 3",
      ])
    let ends = bench.reports.filter { $0.generation == Generation(2) && $0.status?.isTerminal == true }
    #expect(ends.map(\.status) == [.superseded])
  }

  @Test func whatReplacedAHalfAppliedOneRollsBackToTheCommittedOne() {
    var bench = Bench()
    bench.complete(1, plan(container("web", 1)))
    bench.fates["web 3.0.0"] = .exits(ExitStatus(code: 1))
    bench.deploy(2, plan(container("web", 2)))
    bench.settle()
    bench.complete(3, plan(container("web", 3)))
    #expect(bench.machine.state.conclusion?.status == .rolledBack)
    #expect(bench.steps.last == "run web.run 1.0.0")
  }

  @Test func aFetchThatFailsAfterAHalfAppliedOneRollsBackToo() {
    var bench = Bench()
    bench.complete(1, plan(container("web", 1)))
    bench.deploy(2, plan(container("web", 2)))
    bench.settle()
    bench.isFetching = false
    bench.deploy(3, plan(container("web", 3)))
    bench.tell(.fetchFailed(generation: Generation(3), Failure(.space, code: "space.full", message: "full")))
    bench.pass(5_000)
    #expect(bench.machine.state.conclusion?.status == .rolledBack)
    #expect(bench.steps.last == "run web.run 1.0.0")
  }

  @Test func whileRollingBackTheNewOneIsAppliedAfterItsFetch() {
    var bench = Bench()
    bench.complete(1, plan(container("web", 1)))
    bench.fates["web 2.0.0"] = .exits(ExitStatus(code: 1))
    bench.deploy(2, plan(container("web", 2)))
    bench.pass(650)
    while bench.statuses.last != .rollingBack { bench.tellNext() }
    bench.complete(3, plan(container("web", 3)))
    #expect(bench.machine.state.conclusion?.status == .committed)
    #expect(bench.violations.isEmpty)
  }

  @Test(arguments: [
    (Failure(.space, code: "space.full", message: "full"), 1),
    (Failure(.verify, code: "blob.digestMismatch", message: "differs"), 3),
    (Failure(.download, code: "download.status", message: "404"), 3),
  ])
  func aFetchGivesUpByTheKindOfFailure(failure: Failure, tries: Int) {
    var bench = Bench()
    bench.complete(1, plan(container("web", 1)))
    bench.isFetching = false
    bench.asked = []
    bench.deploy(2, plan(container("web", 2)))
    for attempt in 1...tries {
      #expect(bench.steps.count == attempt)
      bench.tell(.fetchFailed(generation: Generation(2), failure))
      bench.pass(5_000)
    }
    #expect(bench.machine.state.conclusion?.status == .failed)
    #expect(bench.machine.state.conclusion?.failure == failure)
    #expect(bench.steps.allSatisfy { $0 == "fetch 2" })
    #expect(bench.state("web") == .running)
  }

  @Test func anUnreachableServerIsTriedForAQuarterOfAnHourWithoutProgress() {
    var bench = Bench()
    bench.isFetching = false
    bench.deploy(1, plan(container("web", 1)))
    let failure = Failure(.download, code: "download.unreachable", message: "no route")
    for _ in 0..<14 {
      bench.tell(.fetchFailed(generation: Generation(1), failure))
      #expect(bench.reports.last?.failure == failure)
      bench.pass(60_000)
    }
    #expect(bench.machine.state.conclusion == nil)
    bench.tell(.fetchProgress(generation: Generation(1), done: 0, total: 10))
    bench.tell(.fetchProgress(generation: Generation(1), done: 5, total: 10))
    for _ in 0..<14 {
      bench.tell(.fetchFailed(generation: Generation(1), failure))
      bench.pass(60_000)
    }
    #expect(bench.machine.state.conclusion == nil)
    for _ in 0..<2 {
      bench.tell(.fetchFailed(generation: Generation(1), failure))
      bench.pass(60_000)
    }
    #expect(bench.machine.state.conclusion?.status == .failed)
  }

  @Test func aRefusedDesiredStateIsReportedAndChangesNothing() {
    var bench = Bench()
    bench.complete(1, plan(container("web", 1)))
    bench.asked = []
    let failure = Failure(.rejected, code: "envelope.signature", message: "not signed by a key of this fleet")
    bench.tell(.refused(generation: Generation(7), digest: nil, failure))
    #expect(bench.reports.map(\.status) == [.rejected])
    #expect(bench.reports.first?.generation == Generation(7))
    bench.tell(.refused(generation: Generation(1), digest: nil, failure))
    #expect(bench.reports.count == 1)
    // Nobody may spend generations that he cannot sign.
    bench.complete(2, plan(container("web", 2)))
    #expect(bench.machine.state.conclusion?.status == .committed)
  }

  @Test func aRefusalDuringADeploymentDoesNotDisturbIt() {
    var bench = Bench()
    bench.deploy(1, plan(container("web", 1)))
    bench.tell(.refused(generation: Generation(7), digest: nil, Failure(.rejected, code: "x", message: "no")))
    #expect(bench.reports.last?.status == .rejected)
    bench.pass(5_000)
    #expect(bench.machine.state.conclusion?.status == .committed)
  }

  @Test func reportsAreNumberedWithoutGapsAndProgressIsThrottled() {
    var bench = Bench()
    bench.isFetching = false
    bench.deploy(1, plan(container("web", 1)))
    bench.asked = []
    for step in 1...100 {
      bench.now = bench.now.advanced(byMilliseconds: 100)
      bench.tell(.fetchProgress(generation: Generation(1), done: Int64(step), total: 101))
    }
    #expect((4...6).contains(bench.reports.count))
    #expect(bench.reports.last?.bytesTotal == 101)
    let sequences = bench.reports.map(\.sequence)
    #expect(sequences == Array((sequences.first ?? 0)...(sequences.last ?? 0)))
  }
}
