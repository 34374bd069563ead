import Testing
import WherryJSON
import WherryModel

@testable import WherryLifecycle

/// Running components may hold their own update off, where the deployment lets them (NOTIFY_COMPONENTS).
@Suite struct HoldingTests {
  private static func bench(_ components: PlannedComponent...) -> Bench {
    var bench = Bench()
    var first = plan()
    first.components = components
    bench.complete(1, first)
    bench.asked = []
    return bench
  }

  @Test func whoHoldsIsNotTouchedUntilItLetsGo() {
    var bench = Self.bench(process("busy", 1), process("idle", 1))
    bench.holding = ["busy"]
    bench.deploy(2, plan(process("busy", 2), process("idle", 2)))
    bench.pass(20_000)
    #expect(bench.steps == ["fetch 2"])
    #expect(bench.reports.last?.status == .fetching)
    #expect(bench.reports.last?.failure?.code == "deployment.heldOff")
    #expect(bench.reports.last?.resumesAt.map { $0 > bench.now } == true)
    bench.holding = []
    bench.pass(5_000)
    #expect(bench.machine.state.conclusion?.status == .committed)
    #expect(bench.violations.isEmpty)
  }

  @Test func nobodyHoldsLongerThanThePolicyAllows() {
    var bench = Self.bench(process("busy", 1))
    bench.holding = ["busy"]
    var next = plan(process("busy", 2))
    next.policy.updateTimeoutSeconds = 30
    bench.deploy(2, next)
    bench.pass(29_000)
    #expect(bench.steps == ["fetch 2"])
    bench.pass(5_000)
    #expect(bench.machine.state.conclusion?.status == .committed)
  }

  @Test func nobodyIsAskedWhereThePolicySaysSo() {
    var bench = Self.bench(process("busy", 1))
    bench.holding = ["busy"]
    var next = plan(process("busy", 2))
    next.policy.updateAction = .skip
    bench.complete(2, next)
    #expect(bench.machine.state.conclusion?.status == .committed)
    #expect(!bench.asked.contains { if case .ask = $0 { true } else { false } })
  }

  @Test func onlyWhoIsChangedIsAsked() {
    var bench = Self.bench(process("busy", 1), process("idle", 1), process("gone", 1))
    bench.deploy(2, plan(process("busy", 1), process("idle", 2)))
    bench.pass(5_000)
    let asked = bench.asked.compactMap { action -> [ComponentName]? in
      if case .ask(_, let names) = action { names } else { nil }
    }
    #expect(asked == [["gone", "idle"]])
    #expect(bench.machine.state.conclusion?.status == .committed)
  }

  @Test func aHoldOutlivesTheAgent() {
    var bench = Self.bench(process("busy", 1))
    bench.holding = ["busy"]
    bench.deploy(2, plan(process("busy", 2)))
    bench.pass(5_000)
    bench.restartAgent()
    bench.pass(5_000)
    #expect(bench.steps.filter { $0.contains("2.0.0") } == [])
    bench.holding = []
    bench.pass(5_000)
    #expect(bench.machine.state.conclusion?.status == .committed)
  }

  @Test func afterABootNothingRunsThatCouldHold() {
    var bench = Self.bench(process("busy", 1))
    bench.holding = ["busy"]
    bench.deploy(2, plan(process("busy", 2)))
    bench.pass(5_000)
    bench.restartAgent(isBoot: true)
    bench.pass(5_000)
    #expect(bench.machine.state.conclusion?.status == .committed)
    #expect(bench.violations.isEmpty)
  }

  @Test func aNewerDesiredStateReplacesOneThatIsHeldOff() {
    var bench = Self.bench(process("busy", 1))
    bench.holding = ["busy"]
    bench.deploy(2, plan(process("busy", 2)))
    bench.pass(5_000)
    bench.complete(3, plan(process("busy", 1)))
    #expect(bench.machine.state.conclusion?.status == .committed)
    #expect(!bench.steps.contains { $0.hasPrefix("stop") }, "taken back before anything was touched")
  }
}
