import Testing
import WherryJSON
import WherryModel

@testable import WherryLifecycle

@Suite struct RecoveryTests {
  let web = WorkloadID("web", .run)

  @Test func workloadsThatOutlivedTheAgentAreAdopted() {
    var bench = Bench()
    bench.complete(1, plan(container("web", 1), process("hello", 1, [.install, .run])))
    bench.asked = []
    bench.restartAgent()
    bench.pass(10_000)
    #expect(bench.steps == ["commit 1"])
    #expect(bench.reports.count == 1)
  }

  @Test func whatEndedMeanwhileIsHeard() {
    var bench = Bench()
    bench.complete(1, plan(container("web", 1)))
    bench.alive[web] = nil
    bench.ended[web] = ExitStatus(code: 5)
    bench.restartAgent()
    #expect(bench.state("web") == .errored)
    #expect(bench.machine.state.components["web"]?.failure?.message == "web: step run exited with code 5")
    bench.pass(2_000)
    #expect(bench.state("web") == .running)
  }

  @Test func whatEndedMeanwhileIsHeardWithItsLastWords() {
    var bench = Bench()
    bench.complete(1, plan(container("web", 1)))
    bench.alive[web] = nil
    bench.causes[web] = .exited(ExitStatus(code: 5), log: ["cannot open site.pem"])
    bench.restartAgent()
    #expect(bench.reports.last?.components.first?.failure?.log == ["cannot open site.pem"])
    #expect(bench.machine.state.components["web"]?.failure?.message == "web: step run exited with code 5")
  }

  @Test func whyItDidNotStartMeanwhileIsHeard() {
    var bench = Bench()
    bench.deploy(1, plan(container("web", 1)))
    bench.tellNext()
    #expect(bench.steps.last == "run web.run 1.0.0")
    bench.alive[web] = nil
    bench.pending = []
    let failure = Failure(.start, code: "component.startFailed", message: "web: no such file", remedy: "correct it")
    bench.causes[web] = .failedToStart(failure)
    bench.restartAgent()
    #expect(bench.state("web") == .errored)
    #expect(bench.reports.last?.components.first?.failure?.message == "web: no such file")
    #expect(bench.reports.last?.components.first?.failure?.code == "component.startFailed")
  }

  @Test func aLaunchThatNeverCameToBeCountsForNothing() {
    var bench = Bench()
    bench.deploy(1, plan(container("web", 1, restart: RestartPolicy(mode: .never))))
    bench.tellNext()
    #expect(bench.steps.last == "run web.run 1.0.0")
    // The agent died before there was anything that could run, and the shell found nothing.
    bench.alive[web] = nil
    bench.pending = []
    bench.restartAgent()
    #expect(bench.machine.state.components["web"]?.strikes == 0)
    bench.pass(5_000)
    #expect(bench.steps == ["fetch 1", "run web.run 1.0.0", "run web.run 1.0.0", "commit 1"])
  }

  @Test func whatAnUnhealthyWorkloadWroteLastIsHeardAlsoOverARestart() {
    var bench = Bench()
    bench.complete(1, plan(container("web", 1, hasHealth: true)))
    bench.unhealthy = ["web 1.0.0"]
    bench.ignoresTermination = ["web"]
    while bench.state("web") == .running, let deadline = bench.machine.nextDeadline {
      bench.now = max(bench.now, deadline)
      bench.tell(.tick)
      bench.settle()
    }
    #expect(bench.state("web") == .stopping)
    bench.alive[web] = nil
    bench.causes[web] = .exited(ExitStatus(signal: 9), log: ["deadlock"])
    bench.restartAgent()
    let failure = bench.reports.last?.components.first?.failure
    #expect(failure?.failureClass == .health && failure?.log == ["deadlock"])
  }

  @Test func reportsGoOnAfterThoseThatTheServiceKnows() {
    var bench = Bench()
    bench.complete(1, plan(container("web", 1)))
    let last = bench.reports.last
    bench.tell(.reportsKnown(upTo: 500))
    var expected = last
    expected?.sequence = 501
    #expect(bench.reports.last == expected, "the same, told anew")
    bench.tell(.reportsKnown(upTo: 30))
    #expect(bench.reports.last?.sequence == 502, "never backwards")
    bench.tell(.reportsKnown(upTo: .max))
    #expect(bench.reports.last?.sequence == 503, "there is no number after that one")
  }

  @Test func aStepThatEndedMeanwhileIsNotRunAgain() {
    var bench = Bench()
    bench.deploy(1, plan(process("hello", 1, [.install, .run])))
    bench.tellNext()
    #expect(bench.steps.last == "run hello.install 1.0.0")
    // The world's news of its end comes while no agent is there to hear it.
    bench.restartAgent()
    bench.pass(5_000)
    #expect(bench.steps == ["fetch 1", "run hello.install 1.0.0", "run hello.run 1.0.0", "commit 1"])
  }

  @Test func afterAPowerCutEverythingStartsAgainFromWhatIsThere() {
    var bench = Bench()
    bench.complete(
      1,
      plan(
        container("base", 1), process("once", 1), process("hello", 1, [.install, .run], needs: ["base": .hard])))
    bench.asked = []
    bench.restartAgent(isBoot: true)
    bench.pass(5_000)
    #expect(bench.steps == ["commit 1", "run base.run 1.0.0", "run once.run 1.0.0", "run hello.run 1.0.0"])
    #expect(bench.machine.state.conclusion?.status == .committed)
  }

  @Test func aPowerCutRevivesWhatIsBroken() {
    var bench = Bench()
    bench.complete(1, plan(process("hello", 1)))
    for _ in 0..<3 {
      bench.end(WorkloadID("hello", .run), ExitStatus(code: 1))
      bench.pass(5_000)
    }
    #expect(bench.state("hello") == .broken)
    bench.restartAgent()
    #expect(bench.state("hello") == .broken)
    bench.restartAgent(isBoot: true)
    bench.pass(100)
    #expect(bench.state("hello") == .running)
  }

  @Test func withoutABootIDAStartWithNothingAliveIsABoot() {
    var bench = Bench()
    bench.complete(1, plan(container("web", 1)))
    bench.asked = []
    bench.bootID = ""
    bench.alive = [:]
    bench.machine = DeviceMachine(state: bench.machine.state, plans: bench.machine.plans)
    bench.tell(.started(alive: [:], ended: [:]))
    #expect(bench.steps == ["commit 1", "run web.run 1.0.0"])
    #expect(bench.machine.state.components["web"]?.strikes == 0)
  }

  @Test func timersOfTheLastBootKeepWhatWasLeftOfThem() {
    var bench = Bench()
    bench.now = Instant(milliseconds: 5_000_000)
    bench.isFetching = false
    bench.deploy(1, plan(container("web", 1)))
    let failure = Failure(.download, code: "download.unreachable", message: "no route")
    bench.tell(.fetchFailed(generation: Generation(1), failure))
    bench.restartAgent(isBoot: true)
    #expect(bench.machine.nextDeadline == Instant(milliseconds: 1_500))
  }

  @Test func strangersAreKilledBeforeTheirComponentStarts() {
    var bench = Bench()
    bench.complete(1, plan(container("web", 1)))
    bench.asked = []
    bench.alive = [web: "something else", WorkloadID("gone", .run): "x"]
    bench.machine = DeviceMachine(state: bench.machine.state, plans: bench.machine.plans)
    bench.tell(.started(alive: bench.alive, ended: [:], bootID: bench.bootID))
    #expect(bench.steps == ["kill gone.run", "kill web.run", "commit 1"])
    bench.settle()
    #expect(bench.steps.last == "run web.run 1.0.0")
    #expect(bench.violations.isEmpty)
  }

  @Test func aFetchIsAskedForAgain() {
    var bench = Bench()
    bench.isFetching = false
    bench.deploy(1, plan(container("web", 1)))
    bench.restartAgent()
    #expect(bench.steps == ["fetch 1", "fetch 1"])
  }

  @Test func theDeadlineOfADeploymentSurvivesARestart() {
    var bench = Bench()
    bench.complete(1, plan(container("web", 1)))
    bench.unhealthy = ["web 2.0.0"]
    bench.fates["web 2.0.0"] = .runs
    var slow = container("web", 2, hasHealth: true)
    slow.container?.health?.intervalMilliseconds = 60_000
    slow.container?.health?.retries = 99
    bench.deploy(2, plan(slow))
    bench.pass(1_000_000)
    bench.restartAgent()
    bench.pass(805_000)
    #expect(bench.machine.state.conclusion?.failure?.failureClass == .timeout)
  }

  /// A deployment that exercises every phase, with the agent killed after each event in turn; once before what the
  /// event led to was performed, once in the midst of it, once after it.
  @Test(arguments: [false, true], ["before", "amid", "after"])
  func aKillAtAnyPointIsResumed(isBroken: Bool, performed: String) {
    let kills = eventCount(isBroken: isBroken)
    #expect(kills > 15)
    for kill in 0..<kills {
      var bench = prepared(isBroken: isBroken)
      bench.deploy(2, target)
      var told = 1
      var isKilled = kill == 0
      if isKilled { bench.restartAgent() }
      while bench.machine.state.conclusion == nil && told < 500 {
        let isTurn = !isKilled && told == kill
        step(&bench, performed: isTurn ? performed : "after")
        if isTurn {
          isKilled = true
          bench.restartAgent()
        }
        told += 1
      }
      bench.pass(30_000)
      let status = bench.machine.state.conclusion?.status
      #expect(status == (isBroken ? .rolledBack : .committed), "killed after event \(kill)")
      #expect(bench.violations.isEmpty, "killed after event \(kill): \(bench.violations)")
      let running = bench.machine.state.components.values.map { "\($0.name) \($0.version) \($0.phase.componentState)" }
      let version = isBroken ? "1" : "2"
      #expect(
        Set(running) == [
          "base 1.0.0 running", "web \(version).0.0 running",
          isBroken ? "old 1.0.0 running" : "new 1.0.0 running", "hello \(version).0.0 running",
        ], "killed after event \(kill)")
    }
  }

  private let target = plan(
    container("base", 1), container("web", 2, hasHealth: true, needs: ["base": .hard]),
    process("hello", 2, [.bootstrap, .install, .run, .shutdown], needs: ["web": .soft]), process("new", 1))

  private func prepared(isBroken: Bool) -> Bench {
    var bench = Bench()
    bench.complete(
      1,
      plan(
        container("base", 1), container("web", 1, needs: ["base": .hard]),
        process("hello", 1, [.install, .run, .shutdown], needs: ["web": .soft]),
        process("old", 1, [.run, .shutdown, .uninstall])))
    if isBroken { bench.fates["hello 2.0.0"] = .exits(ExitStatus(code: 1)) }
    return bench
  }

  private func eventCount(isBroken: Bool) -> Int {
    var bench = prepared(isBroken: isBroken)
    bench.deploy(2, target)
    var count = 1
    while bench.machine.state.conclusion == nil && count < 500 {
      step(&bench, performed: "after")
      count += 1
    }
    return count
  }

  /// The next event of the world, or the next timer.
  private func step(_ bench: inout Bench, performed: String) {
    let event: DeviceEvent
    if bench.pending.isEmpty {
      bench.now = max(bench.now, bench.machine.nextDeadline ?? bench.now)
      event = .tick
    } else {
      event = bench.pending.removeFirst()
    }
    if case .workloadEnded(let id, let status, _) = event {
      bench.alive[id] = nil
      bench.ended[id] = status
    }
    if performed == "after" {
      bench.tell(event)
      return
    }
    let actions = bench.machine.handle(event, at: bench.now)
    if case .workloadEnded(let id, _, _) = event { bench.ended[id] = nil }
    if performed == "amid" { for action in actions.prefix(actions.count / 2) { bench.perform(action) } }
  }
}
