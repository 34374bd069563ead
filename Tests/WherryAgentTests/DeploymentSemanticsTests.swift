import Glibc
import Testing
import WherryAgent
import WherryIsolation
import WherryJSON
import WherryLifecycle
import WherryModel
import WherryTestSupport

/// What Greengrass components expect of the agent around them.
@Suite struct DeploymentSemanticsTests {
  private static func started(_ component: PlannedComponent, _ bench: Bench) -> WorkloadSpec? {
    bench.start()
    bench.connect()
    bench.order(bench.message(bench.plan([component]), generation: 1))
    return bench.runner.specs.last
  }

  @Test func valuesReachTheEnvironmentAndTheScriptByteForByte() throws {
    let nasty = "it's \"5 $ {x}\"\n\\n `date` $(date) ü 🛶\ttab"
    let bench = try Bench()
    var component = Bench.process("com.example.web", script: "printf '%s' \"$VALUE\" {configuration:/value}")
    component.configuration.defaults = ["value": .string(nasty)]
    component.lifecycle.setenv = ["VALUE": "{configuration:/value}", "KEPT": "${NAME:-x}"]
    component.lifecycle.steps[.run]?.setenv = ["STEP": "<{configuration:/value}>"]
    let spec = try #require(Self.started(component, bench))
    #expect(spec.environment.contains("VALUE=" + nasty))
    #expect(spec.environment.contains("STEP=<\(nasty)>"))
    #expect(spec.environment.contains("KEPT=${NAME:-x}"))
    #expect(spec.arguments == ["/bin/sh", "-c", "printf '%s' \"$VALUE\" " + nasty])
  }

  @Test func aShellSeesTheValuesByteForByte() throws {
    let nasty = "it's \"5 $ {x}\"\n\\n `date` $(date) ü 🛶\ttab\n"
    let bench = try Bench()
    let file = bench.directory.file("seen")
    var component = Bench.process("com.example.web", script: "printf '%s' \"$VALUE\" > \(file)")
    component.configuration.defaults = ["value": .string(nasty)]
    component.lifecycle.setenv = ["VALUE": "{configuration:/value}"]
    let spec = try #require(Self.started(component, bench))
    var environment: [UnsafeMutablePointer<CChar>?] = spec.environment.map { strdup($0) } + [nil]
    var arguments: [UnsafeMutablePointer<CChar>?] = spec.arguments.map { strdup($0) } + [nil]
    defer { for pointer in environment + arguments { free(pointer) } }
    var pid: pid_t = 0
    try #require(posix_spawn(&pid, "/bin/sh", nil, nil, &arguments, &environment) == 0)
    var status: Int32 = 0
    waitpid(pid, &status, 0)
    #expect(TestFile.read(file) == Array(nasty.utf8))
  }

  @Test func scriptsFindTheVariablesThatGreengrassGives() throws {
    let bench = try Bench()
    TestFile.write(Array("pem".utf8), to: bench.directory.file("lib") + "/ca.crt")
    let spec = try #require(Self.started(Bench.process("com.example.web"), bench))
    let names = Set(spec.environment.map { $0.prefix { $0 != "=" } })
    #expect(names.isSuperset(of: ["AWS_IOT_THING_NAME", "GGC_VERSION", "GG_ROOT_CA_PATH", "PATH", "HOME"]))
    #expect(spec.environment.contains("AWS_IOT_THING_NAME=kiosk-1"))
    #expect(spec.environment.contains { $0.hasPrefix("WHERRY_HOLD_FILE=") && $0.hasSuffix("/work/hold-update") })
  }

  @Test func theOperatorsVariablesReachEveryProcessComponent() throws {
    let text = "environment.AWS_REGION = eu-central-1\nenvironment.https_proxy = http://proxy.example.com:3128\n"
    let configuration = try AgentConfiguration(parsing: text, fileName: "agent.conf", programs: "/x")
    #expect(
      configuration.environment == ["AWS_REGION": "eu-central-1", "https_proxy": "http://proxy.example.com:3128"])
    #expect(throws: Failure.self) {
      try AgentConfiguration(parsing: "environment.2X = 1", fileName: "agent.conf", programs: "/x")
    }
  }

  @Test func aComponentHoldsItsUpdateOffWithAFile() throws {
    let bench = try Bench()
    _ = Self.started(Bench.process("com.example.web"), bench)
    bench.run(milliseconds: 3_000)
    let work = bench.paths.components + "/com.example.web/work"
    TestFile.write([], to: work + "/hold-update")
    let next = bench.plan([Bench.process("com.example.web", version: Version(2, 0, 0))])
    bench.order(bench.message(next, generation: 2))
    bench.run(milliseconds: 10_000)
    #expect(bench.runner.launches.count == 1)
    #expect(bench.reports.last?.failure?.code == "deployment.heldOff")
    #expect(TestFile.read(work + "/update-waiting") == Array("2\n".utf8))
    unlink(work + "/hold-update")
    bench.run(milliseconds: 4_000)
    #expect(bench.reports.last?.status == .committed)
    #expect(TestFile.read(work + "/update-waiting") == nil)
  }

  @Test func aBootstrapThatAsksForARestartGetsOneAndTheDeploymentGoesOn() throws {
    let bench = try Bench()
    var component = Bench.process("com.example.web")
    component.lifecycle.steps[.bootstrap] = Step(script: "exit 100")
    bench.runner.outcome = { spec in
      if spec.id.hasSuffix(".bootstrap") { return WorkloadExit(code: 100) }
      return spec.id.hasSuffix(".run") ? nil : WorkloadExit(code: 0)
    }
    _ = Self.started(component, bench)
    bench.run(milliseconds: 1_000)
    #expect(bench.engine.restartWanted == .agent)
    #expect(bench.runner.launches == ["com.example.web.bootstrap"])
    try bench.crash()
    bench.connect()
    bench.run(milliseconds: 3_000)
    #expect(bench.runner.launches == ["com.example.web.bootstrap", "com.example.web.run"])
    #expect(bench.reports.last?.status == .committed)
  }
}
