import Testing
import WherryJSON
import WherryModel

@testable import WherryLifecycle

@Suite struct DeploymentTests {
  @Test func aFirstDeploymentIsFetchedThenRunThenCommitted() {
    var bench = Bench()
    bench.complete(1, plan(container("web", 1)))
    #expect(bench.steps == ["fetch 1", "run web.run 1.0.0", "commit 1"])
    #expect(bench.statuses == [.fetching, .applying, .settling, .committed])
    #expect(bench.state("web") == .running)
    #expect(bench.violations.isEmpty)
  }

  @Test func nothingRunsBeforeEverythingIsFetched() {
    var bench = Bench()
    bench.isFetching = false
    bench.deploy(1, plan(container("web", 1)))
    bench.pass(100_000)
    #expect(bench.steps == ["fetch 1"])
    bench.tell(.fetched(generation: Generation(1)))
    #expect(bench.steps.last == "run web.run 1.0.0")
  }

  @Test func theOldVersionIsGoneBeforeTheNewOneStarts() {
    var bench = Bench()
    bench.complete(1, plan(container("web", 1)))
    bench.asked = []
    bench.complete(2, plan(container("web", 2)))
    #expect(bench.steps == ["fetch 2", "stop web.run", "run web.run 2.0.0", "commit 2"])
    #expect(bench.violations.isEmpty)
  }

  @Test func unchangedComponentsAreNotTouched() {
    var bench = Bench()
    bench.complete(1, plan(container("base", 1), container("web", 1)))
    bench.asked = []
    bench.complete(2, plan(container("base", 1), container("web", 2)))
    #expect(!bench.steps.contains { $0.contains("base") })
  }

  @Test func theSamePlanAgainCommitsAtOnce() {
    var bench = Bench()
    bench.complete(1, plan(container("web", 1)))
    bench.asked = []
    bench.deploy(2, plan(container("web", 1)))
    bench.settle()
    #expect(bench.steps == ["fetch 2", "commit 2"])
  }

  @Test func olderAndEqualGenerationsAreIgnored() {
    var bench = Bench()
    bench.complete(5, plan(container("web", 5)))
    bench.asked = []
    bench.deploy(4, plan(container("web", 4)))
    #expect(bench.asked.isEmpty)
    // It has an answer to this one, which may have been lost.
    bench.deploy(5, plan(container("web", 5)))
    #expect(bench.steps.isEmpty)
    #expect(bench.reports.map(\.status) == [.committed])
  }

  @Test func whatLeavesIsUninstalledAndForgottenAtCommit() {
    var bench = Bench()
    bench.complete(1, plan(process("hello", 1, [.run, .install, .shutdown, .uninstall]), container("web", 1)))
    bench.asked = []
    bench.complete(2, plan(container("web", 1)))
    #expect(
      bench.steps == [
        "fetch 2", "run hello.shutdown 1.0.0", "stop hello.run", "run hello.uninstall 1.0.0", "forget hello",
        "commit 2",
      ])
  }

  @Test func newComponentsStartAfterEverythingThatLeavesHasLeft() {
    var bench = Bench()
    bench.complete(1, plan(container("old", 1)))
    bench.ignoresTermination = ["old"]
    bench.asked = []
    bench.deploy(2, plan(container("new", 1)))
    bench.pass(5_000)
    #expect(bench.steps == ["fetch 2", "stop old.run"])
    bench.pass(20_000)
    #expect(
      bench.steps == ["fetch 2", "stop old.run", "kill old.run", "run new.run 1.0.0", "forget old", "commit 2"])
  }

  @Test func aBrokenVersionIsTriedThreeTimesAndRolledBackWithinTwoSeconds() {
    var bench = Bench()
    bench.complete(1, plan(container("web", 1)))
    bench.asked = []
    bench.fates["web 2.0.0"] = .exits(ExitStatus(code: 3))
    bench.deploy(2, plan(container("web", 2)))
    bench.pass(2_000)
    let tries = Array(repeating: "run web.run 2.0.0", count: 3)
    #expect(bench.steps == ["fetch 2", "stop web.run"] + tries + ["run web.run 1.0.0"])
    #expect(bench.statuses == [.fetching, .applying, .settling, .rollingBack, .rolledBack])
    #expect(bench.reports.contains { $0.components.first?.state == .broken })
    let failure = bench.machine.state.conclusion?.failure
    #expect(failure?.failureClass == .start)
    #expect(failure?.code == "component.exited")
    #expect(failure?.message == "web: step run exited with code 3")
    #expect(failure?.log == ["last words of web.run"])
    #expect(bench.state("web") == .running)
    #expect(bench.machine.state.current?.generation == Generation(1))
    #expect(bench.violations.isEmpty)
  }

  @Test func aFailingInstallIsRolledBackBeforeAnythingStarts() {
    var bench = Bench()
    bench.complete(1, plan(process("hello", 1, [.install, .run])))
    bench.asked = []
    bench.stepFates[WorkloadID("hello", .install)] = .exits(ExitStatus(code: 9))
    bench.deploy(2, plan(process("hello", 2, [.install, .run])))
    bench.pass(700)
    bench.stepFates = [:]
    bench.pass(5_000)
    #expect(bench.machine.state.conclusion?.status == .rolledBack)
    #expect(bench.machine.state.conclusion?.failure?.failureClass == .install)
    #expect(!bench.steps.contains("run hello.run 2.0.0"))
    // The directories were changed by the other version's install, so this one's is run again.
    #expect(bench.steps.suffix(2) == ["run hello.install 1.0.0", "run hello.run 1.0.0"])
  }

  @Test func theFirstDeploymentRollsBackToNothing() {
    var bench = Bench()
    bench.fates["web 1.0.0"] = .exits(ExitStatus(code: 1))
    bench.complete(1, plan(container("web", 1)))
    #expect(bench.machine.state.conclusion?.status == .rolledBack)
    #expect(bench.machine.state.components.isEmpty)
    #expect(bench.steps.last == "forget web")
  }

  @Test func withDoNothingWhatHappenedStays() {
    var bench = Bench()
    bench.complete(1, plan(container("web", 1)))
    bench.fates["web 2.0.0"] = .exits(ExitStatus(code: 1))
    bench.complete(2, plan(container("web", 2), handling: .doNothing))
    #expect(bench.machine.state.conclusion?.status == .failed)
    #expect(bench.state("web") == .broken)
    bench.restartAgent(isBoot: true)
    #expect(bench.steps.last == "run web.run 2.0.0")
  }

  @Test func aFailedVersionIsNotCommittedByDeployingItAgain() {
    var bench = Bench()
    bench.fates["web 2.0.0"] = .exits(ExitStatus(code: 1))
    bench.complete(1, plan(container("web", 2), handling: .doNothing))
    bench.complete(2, plan(container("web", 2), handling: .doNothing))
    #expect(bench.machine.state.conclusion?.status == .failed)
  }

  @Test func aRollbackThatFailsTooSaysSoAndKeepsTrying() {
    var bench = Bench()
    bench.complete(1, plan(container("web", 1)))
    bench.fates["web 1.0.0"] = .exits(ExitStatus(code: 1))
    bench.fates["web 2.0.0"] = .exits(ExitStatus(code: 2))
    bench.complete(2, plan(container("web", 2)))
    #expect(bench.machine.state.conclusion?.status == .failed)
    let message = bench.machine.state.conclusion?.failure?.message ?? ""
    #expect(message.contains("exited with code 2; going back to the previous state failed too"))
    bench.fates["web 1.0.0"] = .runs
    bench.pass(60_000)
    #expect(bench.state("web") == .running)
  }

  @Test func aDeploymentThatTakesTooLongNamesWhoIsLateAndRollsBack() {
    var bench = Bench()
    bench.complete(1, plan(container("web", 1)))
    bench.stepFates[WorkloadID("slow", .install)] = .runs
    var slow = process("slow", 1, [.install, .run])
    slow.lifecycle.steps[.install]?.timeoutSeconds = 9_999
    bench.deploy(2, plan(container("web", 1), slow))
    bench.pass(1_799_000)
    #expect(bench.machine.state.conclusion == nil)
    bench.pass(20_000)
    #expect(bench.machine.state.conclusion?.status == .rolledBack)
    #expect(bench.machine.state.conclusion?.failure?.failureClass == .timeout)
    #expect(bench.machine.state.conclusion?.failure?.message.contains("not ready: slow") == true)
  }

  @Test func aFailureThatWasThereBeforeDoesNotHoldAnotherDeployment() {
    var bench = Bench()
    bench.complete(1, plan(process("flaky", 1)))
    bench.fates["flaky 1.0.0"] = .exits(ExitStatus(code: 1))
    bench.end(WorkloadID("flaky", .run), ExitStatus(code: 1))
    bench.pass(10_000)
    #expect(bench.state("flaky") == .broken)
    bench.complete(2, plan(process("flaky", 1), container("web", 1)))
    #expect(bench.machine.state.conclusion?.status == .committed)
    #expect(bench.state("flaky") == .broken)
  }

  @Test func settlingBeginsAgainWhenSomethingFalters() {
    var bench = Bench()
    bench.deploy(1, plan(container("web", 1), settle: 5_000))
    bench.pass(4_000)
    bench.end(WorkloadID("web", .run), ExitStatus(code: 1))
    bench.pass(4_000)
    #expect(bench.machine.state.conclusion == nil)
    bench.pass(2_000)
    #expect(bench.machine.state.conclusion?.status == .committed)
  }
}
