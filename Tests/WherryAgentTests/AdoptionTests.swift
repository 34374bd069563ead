import Testing
import WherryAgent
import WherryIsolation
import WherryJSON
import WherryModel
import WherryTestSupport
import WherryWire

/// What an agent makes of what the last one left: causes are not lost, and nothing counts that did not happen.
@Suite struct AdoptionTests {
  private static let web: ComponentName = "com.example.web"
  private static let line = "2099-01-01T00:00:00.000Z E cannot open site.pem"

  private static func bench() throws -> Bench {
    let bench = try Bench()
    bench.start()
    bench.connect()
    return bench
  }

  /// Turns until it launched so many, and not further: what becomes of the last one is not heard.
  private static func turn(_ bench: Bench, untilLaunches count: Int) {
    for _ in 0..<40 where bench.runner.launches.count < count { bench.engine.turn(maximumWait: 0) }
    #expect(bench.runner.launches.count == count)
  }

  @Test func anAgentThatDiesInTheMidstOfALaunchLeavesNoFailure() throws {
    let bench = try Self.bench()
    var container = Bench.container(Self.web)
    container.container?.restart = RestartPolicy(mode: .never)
    let layer = try #require(container.image?.layers.first)
    bench.worker.blobs[layer.digest.description] = Array("layer 1".utf8)
    let message = bench.message(bench.plan([container]), generation: 1)
    bench.runner.cutDuringLaunch = { _ in bench.journal.writesLeft = 0 }
    bench.order(message)
    #expect(bench.runner.launches.isEmpty && bench.journal.isCut)
    bench.runner.cutDuringLaunch = nil
    try bench.crash()
    bench.connect()
    bench.run(milliseconds: 4_000)
    #expect(bench.runner.launches == ["com.example.web.run"])
    #expect(bench.reports.last?.status == .committed)
    #expect(bench.reports.allSatisfy { $0.failure == nil && $0.components.allSatisfy { $0.failure == nil } })
  }

  @Test func aVersionThatDiesWhileNoAgentIsThereIsReportedWithItsLastLines() throws {
    let bench = try Self.bench()
    bench.order(bench.message(bench.plan([Bench.process(Self.web)], settle: 60_000), generation: 1))
    TestFile.write(Array("\(Self.line)\n".utf8), to: bench.paths.log(Self.web))
    bench.runner.workloads["com.example.web.run"]?.end(WorkloadExit(code: 3))
    try bench.crash()
    bench.connect()
    let failure = try #require(bench.reports.last?.components.first?.failure)
    #expect(failure.message.contains("exited with code 3") && failure.log == [Self.line])
    #expect(bench.runner.workloads["com.example.web.run"] == nil, "what was heard is not kept")
  }

  @Test func aProgramThatCouldNotBeStartedIsReportedWithItsSentenceAlsoOverARestart() throws {
    let bench = try Self.bench()
    bench.runner.startFailure = { _ in "could not execute /server: no such file" }
    bench.transport.deliver(
      bench.message(bench.plan([Bench.process(Self.web)], settle: 60_000), generation: 1),
      on: Topic.desired(Bench.device))
    Self.turn(bench, untilLaunches: 1)
    try bench.crash()
    bench.connect()
    let failure = try #require(bench.reports.last?.components.first?.failure)
    #expect(failure.code == "component.startFailed")
    #expect(failure.message == "com.example.web: could not execute /server: no such file")
  }

  @Test func anEndIsKeptUntilTheJournalKnowsIt() throws {
    let bench = try Self.bench()
    bench.transport.deliver(
      bench.message(bench.plan([Bench.process(Self.web, install: "prepare")]), generation: 1),
      on: Topic.desired(Bench.device))
    Self.turn(bench, untilLaunches: 1)
    bench.journal.writesLeft = 0
    bench.settle()
    #expect(bench.journal.isCut && bench.runner.workloads["com.example.web.install"] != nil)
    try bench.crash()
    bench.run(milliseconds: 2_000)
    #expect(bench.runner.launches == ["com.example.web.install", "com.example.web.run"], "it is not installed twice")
    #expect(bench.runner.workloads["com.example.web.install"] == nil)
  }

  @Test func whatIsStartedAgainInTheSameBreathIsNotTakenForItsFormerRun() throws {
    let bench = try Self.bench()
    bench.order(bench.message(bench.plan([Bench.process(Self.web)]), generation: 1))
    bench.run(milliseconds: 2_000)
    let old = try #require(bench.runner.workloads["com.example.web.run"])
    old.obeysTermination = false
    bench.transport.deliver(
      Command(id: "c1", body: .restart(component: Self.web), expires: bench.clock.wall.advanced(bySeconds: 60)).json,
      on: Topic.commands(Bench.device))
    bench.settle()
    #expect(old.signals == [15])
    old.end(WorkloadExit(signal: 15))
    // The end and the new start are one write. The agent dies right after it, before the launch comes to anything.
    bench.runner.cutDuringLaunch = { _ in bench.journal.writesLeft = 0 }
    bench.settle()
    bench.runner.cutDuringLaunch = nil
    try bench.crash()
    bench.connect()
    bench.run(milliseconds: 100)
    #expect(bench.runner.launches.count == 2, "started at once")
    #expect(bench.reports.last?.components.first?.failure == nil)
  }

  @Test func aJournalThatCannotBeWrittenDoesNotKeepTheAgentBusy() throws {
    let bench = try Self.bench()
    bench.order(bench.message(bench.plan([Bench.process(Self.web)]), generation: 1))
    bench.run(milliseconds: 2_000)
    bench.acknowledge(try #require(bench.reports.last).sequence)
    bench.journal.writesLeft = 0
    bench.run(milliseconds: 10_000)
    #expect(bench.journal.isCut)
    #expect(bench.engine.waitMilliseconds > 0)
  }
}
