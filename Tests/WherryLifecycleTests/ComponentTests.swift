import Testing
import WherryJSON
import WherryModel

@testable import WherryLifecycle

@Suite struct ComponentTests {
  let web = WorkloadID("web", .run)
  let hello = WorkloadID("hello", .run)

  @Test func stepsComeInTheirOrder() {
    var bench = Bench()
    bench.complete(1, plan(process("hello", 1, [.bootstrap, .install, .run])))
    #expect(
      bench.steps == [
        "fetch 1", "run hello.bootstrap 1.0.0", "run hello.install 1.0.0", "run hello.run 1.0.0", "commit 1",
      ])
  }

  @Test func aComponentWithNothingToRunIsFinished() {
    var bench = Bench()
    bench.complete(1, plan(process("library", 1, [])))
    #expect(bench.state("library") == .finished)
    #expect(bench.machine.state.conclusion?.status == .committed)
  }

  @Test func aRunThatSucceedsIsFinishedAndNotRestarted() {
    var bench = Bench()
    bench.fates["hello 1.0.0"] = .exits(.success)
    bench.complete(1, plan(process("hello", 1)))
    bench.pass(1_000_000)
    #expect(bench.state("hello") == .finished)
    #expect(bench.steps.filter { $0.hasPrefix("run") }.count == 1)
  }

  @Test func startupIsRunningOnceItSucceeded() {
    var bench = Bench()
    bench.complete(1, plan(process("daemon", 1, [.startup, .shutdown])))
    #expect(bench.state("daemon") == .running)
    bench.asked = []
    bench.complete(2, plan())
    #expect(bench.steps == ["fetch 2", "run daemon.shutdown 1.0.0", "forget daemon", "commit 2"])
  }

  @Test func dependenciesStartFirstAndStopLast() {
    var bench = Bench()
    let chain = plan(
      container("base", 1), container("middle", 1, needs: ["base": .hard]),
      container("top", 1, needs: ["middle": .soft]))
    bench.complete(1, chain)
    #expect(
      bench.steps == ["fetch 1", "run base.run 1.0.0", "run middle.run 1.0.0", "run top.run 1.0.0", "commit 1"])
    bench.asked = []
    bench.complete(2, plan())
    #expect(bench.steps.prefix(4) == ["fetch 2", "stop top.run", "stop middle.run", "stop base.run"])
  }

  @Test func hardDependentsRestartWithTheirDependencyAndSoftOnesDoNot() {
    var bench = Bench()
    bench.complete(
      1,
      plan(
        container("base", 1), container("hard", 1, needs: ["base": .hard]),
        container("far", 1, needs: ["hard": .hard]), container("soft", 1, needs: ["base": .soft])))
    bench.asked = []
    bench.tell(.restartRequested("base"))
    bench.pass(1_000)
    #expect(
      bench.steps == [
        "stop far.run", "stop hard.run", "stop base.run", "run base.run 1.0.0", "run hard.run 1.0.0",
        "run far.run 1.0.0",
      ])
    bench.asked = []
    bench.end(WorkloadID("base", .run), ExitStatus(signal: 11))
    bench.pass(5_000)
    #expect(
      bench.steps == [
        "stop far.run", "stop hard.run", "run base.run 1.0.0", "run hard.run 1.0.0", "run far.run 1.0.0",
      ])
    #expect(bench.violations.isEmpty)
  }

  @Test func aSoftDependencyThatFailedDoesNotHoldItsDependents() {
    var bench = Bench()
    bench.fates["base 1.0.0"] = .exits(ExitStatus(code: 1))
    bench.deploy(1, plan(container("base", 1), container("soft", 1, needs: ["base": .soft]), handling: .doNothing))
    bench.pass(5_000)
    #expect(bench.state("soft") == .running)
    #expect(bench.state("base") == .broken)
  }

  @Test func aProcessIsBrokenAfterThreeFailuresWithinAnHour() {
    var bench = Bench()
    bench.complete(1, plan(process("hello", 1)))
    for failure in 1...3 {
      bench.end(hello, ExitStatus(code: 1), log: ["failure \(failure)"])
      bench.settle()
      #expect(bench.state("hello") == (failure < 3 ? .errored : .broken))
      bench.pass(60_000)
    }
    #expect(bench.reports.last?.components.first?.failure?.log == ["failure 3"])
    bench.pass(10_000_000)
    #expect(bench.state("hello") == .broken)
    bench.tell(.restartRequested("hello"))
    bench.pass(100)
    #expect(bench.state("hello") == .running)
  }

  @Test func failuresMoreThanAnHourApartDoNotAddUp() {
    var bench = Bench()
    bench.complete(1, plan(process("hello", 1)))
    for _ in 1...5 {
      bench.end(hello, ExitStatus(code: 1))
      bench.pass(3_700_000)
      #expect(bench.state("hello") == .running)
    }
  }

  @Test func aContainerIsRestartedForEverWithGrowingPauses() {
    var bench = Bench()
    bench.complete(1, plan(container("web", 1)))
    bench.fates["web 1.0.0"] = .exits(ExitStatus(code: 1))
    bench.end(web, ExitStatus(code: 1))
    var pauses: [Int64] = []
    for _ in 0..<12 {
      bench.settle()
      #expect(bench.state("web") == .errored)
      let due = bench.machine.nextDeadline ?? .zero
      pauses.append(due.milliseconds(since: bench.now))
      bench.now = due
      bench.tell(.tick)
    }
    #expect(pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300].map { $0 * 1_000 })
  }

  @Test func aContainerThatRanForAMinuteBeginsItsPausesAnew() {
    var bench = Bench()
    bench.complete(1, plan(container("web", 1)))
    for _ in 0..<6 {
      bench.end(web, ExitStatus(code: 1))
      bench.settle()
      #expect(bench.machine.state.components["web"]?.strikes == 1)
      bench.pass(70_000)
    }
  }

  static let policies: [(RestartPolicy.Mode, Int32, ComponentState)] = [
    (.always, 0, .errored), (.always, 1, .errored), (.onFailure, 0, .finished), (.onFailure, 1, .errored),
    (.never, 0, .finished), (.never, 1, .broken),
  ]

  @Test(arguments: policies)
  func theRestartPolicySaysWhatAnExitMeans(mode: RestartPolicy.Mode, code: Int32, state: ComponentState) {
    var bench = Bench()
    bench.complete(1, plan(container("web", 1, restart: RestartPolicy(mode: mode))))
    bench.end(web, ExitStatus(code: code))
    bench.settle()
    #expect(bench.state("web") == state)
  }

  @Test func recoverRunsBeforeTheNextTry() {
    var bench = Bench()
    bench.complete(1, plan(process("hello", 1, [.run, .recover])))
    bench.asked = []
    bench.end(hello, ExitStatus(code: 1))
    bench.pass(5_000)
    #expect(bench.steps == ["run hello.recover 1.0.0", "run hello.run 1.0.0"])
  }

  @Test func whatDoesNotStopIsKilledAndKilledAgain() {
    var bench = Bench()
    bench.complete(1, plan(container("web", 1)))
    bench.asked = []
    bench.deploy(2, plan(container("web", 2)))
    bench.tellNext()
    #expect(bench.steps == ["fetch 2", "stop web.run"])
    bench.pending = []
    bench.now = bench.now.advanced(bySeconds: 10)
    bench.tell(.tick)
    bench.pending = []
    bench.now = bench.now.advanced(bySeconds: 10)
    bench.tell(.tick)
    #expect(bench.steps == ["fetch 2", "stop web.run", "kill web.run", "kill web.run"])
    // Not before it is gone, however long that takes.
    bench.settle()
    #expect(bench.steps.last == "run web.run 2.0.0")
  }

  @Test func aStepThatHangsIsKilledAndCounts() {
    var bench = Bench()
    bench.stepFates[WorkloadID("hello", .install)] = .runs
    bench.deploy(1, plan(process("hello", 1, [.install, .run])))
    bench.pass(119_000)
    #expect(bench.steps.last == "run hello.install 1.0.0")
    bench.pass(1_500)
    #expect(bench.steps.contains("kill hello.install"))
    #expect(bench.machine.state.components["hello"]?.failure?.code == "component.stepTimeout")
  }

  @Test func aShutdownScriptThatHangsDoesNotHoldTheStop() {
    var bench = Bench()
    bench.complete(1, plan(process("hello", 1, [.run, .shutdown])))
    bench.stepFates[WorkloadID("hello", .shutdown)] = .runs
    bench.asked = []
    bench.deploy(2, plan())
    bench.pass(20_000)
    #expect(
      bench.steps == [
        "fetch 2", "run hello.shutdown 1.0.0", "kill hello.shutdown", "stop hello.run", "forget hello", "commit 2",
      ])
  }

  @Test func healthGatesTheCommit() {
    var bench = Bench()
    bench.unhealthy = ["web 1.0.0"]
    bench.deploy(1, plan(container("web", 1, hasHealth: true)))
    bench.pass(3_000)
    #expect(bench.statuses.last == .applying)
    bench.unhealthy = []
    bench.pass(2_000)
    #expect(bench.statuses.last == .committed)
  }

  @Test func aVersionThatStaysUnhealthyFailsItsDeployment() {
    var bench = Bench()
    bench.complete(1, plan(container("web", 1, hasHealth: true)))
    bench.unhealthy = ["web 2.0.0"]
    bench.deploy(2, plan(container("web", 2, hasHealth: true)))
    bench.pass(60_000)
    let conclusion = bench.machine.state.conclusion
    #expect(conclusion?.status == .rolledBack)
    #expect(conclusion?.failure?.failureClass == .health)
    #expect(conclusion?.failure?.message.contains("no answer") == true)
    #expect(bench.steps.filter { $0 == "run web.run 2.0.0" }.count == 1)
  }

  @Test func oneLostProbeChangesNothingAndThreeRestartTheContainer() {
    var bench = Bench()
    bench.complete(1, plan(container("web", 1, hasHealth: true)))
    bench.asked = []
    bench.tell(.health("web", isHealthy: false, detail: ""))
    bench.tell(.health("web", isHealthy: true, detail: ""))
    bench.tell(.health("web", isHealthy: false, detail: ""))
    bench.tell(.health("web", isHealthy: false, detail: ""))
    #expect(bench.steps.isEmpty)
    bench.tell(.health("web", isHealthy: false, detail: ""))
    bench.pass(2_000)
    #expect(bench.steps == ["stop web.run", "run web.run 1.0.0"])
  }

  @Test func aChangedConfigurationRestartsAndIsMerged() {
    var bench = Bench()
    var first = process("hello", 1)
    first.configuration.defaults = .object(["a": .integer(1), "b": .integer(2)])
    bench.complete(1, plan(first))
    var second = first
    second.configuration.merge = .object(["b": .integer(3)])
    bench.asked = []
    bench.complete(2, plan(second))
    #expect(bench.steps == ["fetch 2", "stop hello.run", "run hello.run 1.0.0", "commit 2"])
    guard
      case .run(_, _, let configuration, _)? = bench.asked.first(where: { if case .run = $0 { true } else { false } })
    else {
      Issue.record("it did not run")
      return
    }
    #expect(configuration == .object(["a": .integer(1), "b": .integer(3)]))
  }

  @Test func aRolledBackConfigurationIsTheOldOne() {
    var bench = Bench()
    var first = container("web", 1)
    first.configuration.defaults = .object(["a": .integer(1)])
    bench.complete(1, plan(first))
    let identity = bench.alive[web]
    var second = container("web", 2)
    second.configuration.merge = .object(["a": .integer(2)])
    bench.fates["web 2.0.0"] = .exits(ExitStatus(code: 1))
    bench.complete(2, plan(second))
    #expect(bench.alive[web] == identity)
  }

  @Test func aWorkloadThatCannotStartFailsLikeOneThatExits() {
    var bench = Bench()
    bench.fates["web 1.0.0"] = .cannotStart
    bench.complete(1, plan(container("web", 1)))
    #expect(bench.machine.state.conclusion?.failure?.code == "workload.exec")
    #expect(bench.machine.state.conclusion?.failure?.component == "web")
  }

  @Test func logsInFailuresAreBounded() {
    let lines = (0..<50).map { "\($0) " + String(repeating: "é", count: 500) }
    let clipped = ComponentFailure.clipped(lines)
    #expect(clipped.count == 20)
    #expect(clipped.allSatisfy { $0.utf8.count <= 400 })
    #expect(clipped.last?.hasPrefix("49 ") == true)
  }
}
