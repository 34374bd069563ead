import Testing
import WherryJSON
import WherryModel

@testable import WherryLifecycle

/// `bootstrap` and the restarts that it may ask for, as Greengrass has them: exit code 100 and 101.
@Suite struct BootstrapTests {
  private static func bench(exitCode: Int32) -> Bench {
    var bench = Bench()
    bench.stepFates[WorkloadID("hello", .bootstrap)] = .exits(ExitStatus(code: exitCode))
    bench.deploy(1, plan(process("hello", 1, [.bootstrap, .install, .run])))
    bench.pass(1_000)
    return bench
  }

  @Test func theAgentIsRestartedAndTheDeploymentGoesOn() {
    var bench = Self.bench(exitCode: 100)
    #expect(bench.steps == ["fetch 1", "run hello.bootstrap 1.0.0", "restart agent"])
    #expect(bench.state("hello") == .new)
    bench.restartAgent()
    bench.pass(5_000)
    #expect(bench.machine.state.conclusion?.status == .committed)
    #expect(bench.steps.filter { $0 == "run hello.bootstrap 1.0.0" }.count == 1, "it runs once")
    #expect(bench.violations.isEmpty)
  }

  @Test func theDeviceIsRebootedAndTheDeploymentGoesOn() {
    var bench = Self.bench(exitCode: 101)
    #expect(bench.steps.last == "restart machine")
    bench.restartAgent()
    bench.pass(1_000)
    #expect(
      bench.steps.filter { $0 == "restart machine" }.count == 2, "an agent that came up without a boot asks again")
    bench.restartAgent(isBoot: true)
    bench.pass(5_000)
    #expect(bench.machine.state.conclusion?.status == .committed)
    #expect(
      bench.steps.filter { $0.hasPrefix("run") } == [
        "run hello.bootstrap 1.0.0", "run hello.install 1.0.0", "run hello.run 1.0.0",
      ])
  }

  @Test func aRebootThatNeverComesFailsTheDeployment() {
    var bench = Self.bench(exitCode: 101)
    bench.pass(2_000_000)
    #expect(bench.machine.state.conclusion?.status == .rolledBack)
    #expect(bench.machine.state.conclusion?.failure?.code == "component.restartFailed")
    #expect(bench.machine.state.conclusion?.failure?.remedy.isEmpty == false)
  }

  @Test func oneRestartServesAllThatWantOne() {
    var bench = Bench()
    bench.stepFates[WorkloadID("one", .bootstrap)] = .exits(ExitStatus(code: 100))
    bench.stepFates[WorkloadID("two", .bootstrap)] = .exits(ExitStatus(code: 101))
    bench.deploy(1, plan(process("one", 1, [.bootstrap, .run]), process("two", 1, [.bootstrap, .run])))
    bench.pass(1_000)
    #expect(bench.steps.filter { $0.hasPrefix("restart") } == ["restart machine"])
  }

  @Test(arguments: [false, true]) func whatIsTakenBackIsBootstrappedAgainOnlyIfItsRecipeSaysSo(isWanted: Bool) {
    var bench = Bench()
    var old = process("hello", 1, [.bootstrap, .install, .run])
    old.lifecycle.steps[.bootstrap]?.bootstrapOnRollback = isWanted
    bench.complete(1, plan(old))
    bench.fates["hello 2.0.0"] = .exits(ExitStatus(code: 1))
    bench.asked = []
    bench.complete(2, plan(process("hello", 2, [.bootstrap, .install, .run])))
    #expect(bench.machine.state.conclusion?.status == .rolledBack)
    #expect(bench.steps.contains("run hello.install 1.0.0"))
    #expect(bench.steps.contains("run hello.bootstrap 1.0.0") == isWanted)
  }

  @Test func aTimeoutMayComeFromTheConfiguration() {
    var bench = Bench()
    var slow = process("slow", 1, [.install, .run])
    slow.lifecycle.steps[.install]?.timeoutVariable = "{configuration:/seconds}"
    slow.configuration.defaults = ["seconds": 7]
    bench.stepFates[WorkloadID("slow", .install)] = .runs
    bench.deploy(1, plan(slow))
    bench.pass(6_900)
    #expect(!bench.steps.contains("kill slow.install"))
    bench.pass(200)
    #expect(bench.steps.contains("kill slow.install"))
  }

  @Test func whatAStepThatTimedOutWroteLastIsInItsFailure() {
    var bench = Bench()
    var slow = process("slow", 1, [.install, .run])
    slow.lifecycle.steps[.install]?.timeoutSeconds = 1
    bench.stepFates[WorkloadID("slow", .install)] = .runs
    bench.deploy(1, plan(slow))
    bench.settle()
    bench.now = bench.now.advanced(bySeconds: 1)
    bench.tell(.tick)
    bench.pending = []
    bench.tell(.workloadEnded(WorkloadID("slow", .install), ExitStatus(signal: 9), log: ["waiting for the modem"]))
    #expect(bench.machine.state.components["slow"]?.failure?.log == ["waiting for the modem"])
  }

  @Test func pausesAreSpreadByASeedAndTheSameSeedGivesTheSame() {
    func pause(_ seed: UInt64?) -> Int64 {
      var bench = Bench()
      bench.machine = DeviceMachine(state: bench.machine.state, plans: [:], jitterSeed: seed)
      bench.complete(1, plan(process("hello", 1)))
      bench.end(WorkloadID("hello", .run), ExitStatus(code: 1))
      bench.settle()
      guard case .waiting(let until) = bench.machine.state.components["hello"]?.phase else { return -1 }
      return until.milliseconds(since: bench.now)
    }
    #expect(pause(nil) == 1_000)
    let pauses = (1...50).map { pause(UInt64($0)) }
    #expect(pauses.allSatisfy { (750...1_000).contains($0) })
    #expect(Set(pauses).count > 25)
    #expect(pause(7) == pause(7))
  }
}
