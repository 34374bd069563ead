import Glibc
import Testing
import WherryModel
import WherryTestSupport

@testable import WherryIsolation

/// Limits, signals and further processes of a running workload.
@Suite struct ControlTests {
  @Test func memoryBeyondTheLimitIsReportedAsOutOfMemory() throws {
    guard let bench = Workbench(#function) else { return }
    guard bench.host.layout.has(.memory) else {
      print("SKIPPED: this host has no memory controller")
      return
    }
    var spec = bench.container("a.run", ["tail", "/dev/zero"])
    spec.resources = Resources(memoryBytes: 32 << 20)
    #expect(try bench.run(spec).end == .exited(WorkloadExit(signal: SIGKILL, outOfMemory: true)))
  }

  @Test func aKillIsNotReportedAsOutOfMemory() throws {
    guard let bench = Workbench(#function) else { return }
    guard bench.host.layout.has(.memory) else {
      print("SKIPPED: this host has no memory controller")
      return
    }
    var spec = bench.container("a.run", ["sleep", "1000"])
    spec.resources = Resources(memoryBytes: 32 << 20)
    let link = try bench.host.start(spec, identity: "")
    #expect(link.waitForStart() != nil)
    link.kill()
    #expect(link.waitForEnd() == .exited(signal: SIGKILL))
  }

  @Test func moreProcessesThanAllowedCannotBeMade() throws {
    guard let bench = Workbench(#function) else { return }
    guard bench.host.layout.has(.pids) else {
      print("SKIPPED: this host has no pids controller")
      return
    }
    let script = "for i in 1 2 3 4 5 6 7 8 9; do sleep 100 & done; echo all"
    var spec = bench.container("a.run", ["sh", "-c", script])
    spec.resources = Resources(pids: 5)
    let (end, output) = try bench.run(spec)
    #expect(end != .exited(code: 0))
    #expect(!output.contains("all"))
  }

  @Test func whatIsPausedStandsStillAndCanBeKilled() throws {
    guard let bench = Workbench(#function) else { return }
    guard bench.host.layout.unified != nil else {
      print("SKIPPED: this host has no cgroup v2")
      return
    }
    let counting = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.01; done"
    let link = try bench.host.start(bench.container("a.run", ["sh", "-c", counting]), identity: "")
    bench.waitForOutput("a.run", "3")
    try bench.host.setPaused("a.run", true)
    let events = (bench.host.cgroup(of: "a.run").unifiedDirectory ?? "") + "/cgroup.events"
    bench.wait { Files.text(events)?.contains("frozen 1") == true }
    #expect(bench.host.isPaused("a.run"))
    // The shim has read what was in the pipe by the time that it hears this.
    link.signal(SIGCONT)
    let count = bench.output("a.run").count
    try bench.restartAgent()
    #expect(bench.host.isPaused("a.run"))
    try bench.host.setPaused("a.run", false)
    bench.wait { bench.output("a.run").count > count + 3 }
    #expect(bench.output("a.run").count > count + 3)
    try bench.host.setPaused("a.run", true)
    bench.wait { Files.text(events)?.contains("frozen 1") == true }
    link.kill()
    #expect(link.waitForEnd() == .exited(signal: SIGKILL))
    #expect(throws: Failure.self) { try bench.host.setPaused("b.run", true) }
  }

  @Test func statisticsAreThoseOfTheWorkload() throws {
    guard let bench = Workbench(#function) else { return }
    guard bench.host.layout.has(.memory), bench.host.layout.has(.pids) else {
      print("SKIPPED: this host has no memory or pids controller")
      return
    }
    let link = try bench.host.start(bench.container("a.run", ["sh", "-c", "sleep 1000 & wait"]), identity: "")
    #expect(link.waitForStart() != nil)
    let statistics = try #require(bench.host.statistics("a.run"))
    #expect((1...2).contains(statistics.pids ?? 0))
    #expect((statistics.memoryBytes ?? 0) > 0)
    #expect(bench.host.statistics("b.run") == nil)
  }

  @Test func aLimitThatThisHostCannotKeepIsRefused() throws {
    guard let bench = Workbench(#function) else { return }
    var spec = bench.container("a.run", ["true"])
    spec.resources = Resources(pids: -5)
    let failure = #expect(throws: Failure.self) { try bench.host.start(spec, identity: "") }
    #expect(failure?.code == "workload.limit")
    #expect(bench.cgroups.isEmpty)
  }

  @Test func aSignalEndsAProgramThatDoesNotHandleIt() throws {
    guard let bench = Workbench(#function) else { return }
    let link = try bench.host.start(bench.container("a.run", ["sleep", "1000"]), identity: "")
    #expect(link.waitForStart() != nil)
    link.signal(SIGTERM)
    #expect(link.waitForEnd() == .exited(signal: SIGTERM))
    #expect(link.descriptor == -1)
  }

  @Test func aSignalThatIsHandledIsOnlyDelivered() throws {
    guard let bench = Workbench(#function) else { return }
    let script = "trap 'echo asked; exit 3' TERM; trap '' HUP; echo ready; while :; do sleep 0.05; done"
    let link = try bench.host.start(bench.container("a.run", ["sh", "-c", script]), identity: "")
    #expect(link.waitForStart() != nil)
    bench.waitForOutput("a.run", "ready")
    link.signal(SIGHUP)
    link.signal(SIGWINCH)
    link.signal(SIGTERM)
    #expect(link.waitForEnd() == .exited(code: 3))
    #expect(bench.output("a.run") == ["ready", "asked"])
  }

  @Test func theChildrenOfAScriptAreAskedBeforeItIsEnded() throws {
    guard let bench = Workbench(#function) else { return }
    let child = "trap 'sleep 0.2; echo saved; exit 0' TERM; echo ready; while :; do sleep 0.02; done"
    let script = "sh -c \"\(child)\" & while :; do sleep 0.05; done"
    let link = try bench.host.start(bench.container("a.run", ["sh", "-c", script]), identity: "")
    #expect(link.waitForStart() != nil)
    bench.waitForOutput("a.run", "ready")
    link.signal(SIGTERM)
    #expect(link.waitForEnd() == .exited(signal: SIGTERM))
    // The shell says on standard error that its sleeps were ended.
    let lines = bench.log("a.run").map { String($0.dropFirst(25)) }
    #expect(lines.filter { $0.hasPrefix("O") } == ["O ready", "O saved"])
  }

  @Test func aSecondStartOfARunningWorkloadIsRefusedAndHarmsNothing() throws {
    guard let bench = Workbench(#function) else { return }
    let link = try bench.host.start(bench.container("a.run", ["sleep", "1000"]), identity: "")
    #expect(link.waitForStart() != nil)
    let failure = #expect(throws: Failure.self) {
      try bench.host.start(bench.container("a.run", ["true"]), identity: "")
    }
    #expect(failure?.code == "workload.running")
    link.signal(SIGTERM)
    #expect(link.waitForEnd() == .exited(signal: SIGTERM))
    let again = try bench.host.start(bench.container("a.run", ["true"]), identity: "")
    #expect(again.waitForEnd() == .exited(code: 0))
  }

  @Test func aProbeRunsInsideTheWorkload() throws {
    guard let bench = Workbench(#function) else { return }
    var spec = bench.container("a.run", ["sleep", "1000"])
    spec.user = .named("app")
    let link = try bench.host.start(spec, identity: "")
    #expect(link.waitForStart() != nil)
    bench.waitForPid("a.run")
    let script = """
      [ $(hostname) = box ] && [ $(id -u) = 1234 ] && [ $(cat /proc/1/cmdline | head -c 5) = sleep ] \
      && grep -q 'NoNewPrivs.*1' /proc/self/status && grep -q 'Seccomp:.*2' /proc/self/status && exit $CODE
      """
    let probe = try bench.host.execute(in: "a.run", arguments: ["sh", "-c", script], environment: ["CODE=4"])
    #expect(probe.waitForEnd() == .exited(code: 4))
    let missing = try bench.host.execute(in: "a.run", arguments: ["no-such-program"])
    guard case .failedToStart(let step, ENOENT, _) = missing.waitForEnd() else {
      Issue.record("it ran")
      return
    }
    #expect(step == "execute no-such-program")
    let endless = try bench.host.execute(in: "a.run", arguments: ["sleep", "1000"])
    #expect(endless.waitForStart() != nil)
    endless.close()
    // It is killed, and reaped by and by.
    bench.wait { bench.host.cgroup(of: "a.run").processes.count == 1 }
    #expect(bench.host.cgroup(of: "a.run").processes.count == 1)
    #expect(throws: Failure.self) { try bench.host.execute(in: "b.run", arguments: ["true"]) }
  }

  @Test(arguments: [
    ("../x", ["true"]), ("", ["true"]), ("a/b", ["true"]), (".hidden", ["true"]), ("a", []), ("a", [""]),
    ("a", ["true\0x"]),
  ])
  func aSpecThatCannotBeMeantIsRefused(_ id: String, _ arguments: [String]) throws {
    guard let bench = Workbench(#function) else { return }
    let failure = #expect(throws: Failure.self) {
      try bench.host.start(bench.container(id, arguments), identity: "")
    }
    #expect(failure?.code == "workload.spec")
  }

  @Test(arguments: ["/proc", "/proc/self", "/sys/fs", "/", "/dev", "/./", "relative", "/a/../proc"])
  func aMountOnTheRuntimesPathsIsRefused(_ target: String) throws {
    guard let bench = Workbench(#function) else { return }
    var spec = bench.container("a.run", ["true"])
    spec.mounts = [WorkloadMount(source: "/etc", target: target)]
    #expect(throws: Failure.self) { try bench.host.start(spec, identity: "") }
  }
}
