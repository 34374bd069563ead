import Glibc
import Testing
import WherryModel
import WherryTestSupport

@testable import WherryIsolation

/// What happens when the agent, the shim or both are killed. A killed agent is one whose end of the link is closed and
/// of which only the state directory is left: that is all that a shim can see of it.
@Suite struct SurvivalTests {
  @Test func aWorkloadOutlivesItsAgentAndIsAdopted() throws {
    guard let bench = Workbench(#function) else { return }
    let script = "echo one; while [ ! -e /data/go ]; do sleep 0.02; done; echo two; exit 5"
    var spec = bench.container("a.run", ["sh", "-c", script], readOnly: false)
    // The host's root makes a file in it.
    spec.users = .host
    let link = try bench.host.start(spec, identity: "1.0.0-abc")
    let pid = link.waitForStart()
    link.close()
    try bench.restartAgent()
    let adopted = bench.host.adopt()
    #expect(adopted.map(\.id) == ["a.run"])
    #expect(adopted.first?.identity == "1.0.0-abc")
    let found = try #require(adopted.first?.link)
    #expect(found.waitForStart() == pid)
    // Given through the workload's own root: it waits for a file.
    TestFile.write([], to: "/proc/\(try #require(pid))/root/data/go")
    #expect(found.waitForEnd() == .exited(code: 5))
    #expect(bench.output("a.run") == ["one", "two"])
  }

  @Test func anEndThatNoAgentSawIsKept() throws {
    guard let bench = Workbench(#function) else { return }
    for (id, script) in [("a.run", "exit 9"), ("b.run", "kill -6 $$; echo no"), ("c.run", "sleep 1000")] {
      try bench.host.start(bench.container(id, ["sh", "-c", script]), identity: id).close()
    }
    try bench.host.start(bench.container("d.run", ["no-such-program"]), identity: "d.run").close()
    bench.wait { ["a.run", "d.run"].allSatisfy { bench.hasEnded($0) } }
    try bench.restartAgent()
    let adopted = bench.host.adopt()
    #expect(adopted.map(\.identity) == ["a.run", "b.run", "c.run", "d.run"])
    // A shim that has not left yet tells it once more.
    #expect((adopted[0].link?.waitForEnd() ?? adopted[0].exit.map { .exited($0) }) == .exited(code: 9))
    #expect(adopted[2].link != nil)
    guard case .failedToStart(let step, ENOENT, _) = adopted[3].link?.waitForEnd() ?? adopted[3].failure else {
      Issue.record("no failure: \(adopted[3])")
      return
    }
    #expect(step == "execute no-such-program")
  }

  @Test func aKilledShimMeansALostWorkloadOfWhichNothingRuns() throws {
    guard let bench = Workbench(#function) else { return }
    let link = try bench.host.start(bench.container("a.run", ["sh", "-c", "sleep 1000 & wait"]), identity: "")
    let pid = try #require(link.waitForStart())
    kill(try #require(parent(of: pid)), SIGKILL)
    #expect(link.waitForEnd() == .lost)
    bench.wait { bench.host.cgroup(of: "a.run").processes.isEmpty }
    #expect(bench.host.cgroup(of: "a.run").processes.isEmpty)
    bench.host.release("a.run")
    #expect(bench.cgroups.isEmpty)
  }

  @Test func shimAndAgentKilledTogetherLeaveNothingThatTheNextAgentDoesNotEnd() throws {
    guard let bench = Workbench(#function) else { return }
    let link = try bench.host.start(bench.container("a.run", ["sh", "-c", "sleep 1000 & wait"]), identity: "x")
    let pid = try #require(link.waitForStart())
    link.close()
    kill(try #require(parent(of: pid)), SIGKILL)
    try bench.restartAgent()
    bench.wait {
      guard case .connected(let descriptor) = bench.directoryOf("a.run").reach() else { return true }
      close(descriptor)
      return false
    }
    let adopted = try #require(bench.host.adopt().first)
    #expect(adopted.link == nil && adopted.exit == nil && adopted.failure == nil)
    bench.host.release("a.run")
    #expect(!isRunning(pid))
    #expect(bench.cgroups.isEmpty)
  }

  @Test func aCgroupThatNobodyKnowsIsRemovedAtAdoption() throws {
    guard let bench = Workbench(#function) else { return }
    try bench.host.cgroup(of: "stray.run").create(Resources())
    #expect(!bench.cgroups.isEmpty)
    #expect(bench.host.adopt().isEmpty)
    #expect(bench.cgroups.isEmpty)
  }

  @Test func tearDownLeavesNoProcessNoMountNoCgroupAndNoFile() throws {
    guard let bench = Workbench(#function) else { return }
    var pids: [Int32] = []
    for id in ["a.run", "b.run", "c.install"] {
      let link = try bench.host.start(bench.container(id, ["sh", "-c", "trap '' TERM; sleep 1000"]), identity: "")
      let pid = try #require(link.waitForStart())
      pids += [pid, try #require(parent(of: pid))]
    }
    bench.host.tearDown()
    for pid in pids { #expect(!isRunning(pid), "\(pid) is there") }
    #expect(bench.cgroups.isEmpty)
    #expect(!TestFile.exists(bench.configuration.stateDirectory + "/workloads"))
    let mounts = String(decoding: TestFile.read("/proc/self/mountinfo") ?? [], as: UTF8.self)
    #expect(!mounts.contains(bench.directory.path))
  }

  @Test func aShimThatDoesNotAnswerIsReleasedAllTheSame() throws {
    guard let bench = Workbench(#function) else { return }
    let link = try bench.host.start(bench.container("a.run", ["sleep", "1000"]), identity: "")
    let pid = try #require(link.waitForStart())
    let shim = try #require(parent(of: pid))
    bench.waitForPid("a.run")
    kill(shim, SIGSTOP)
    link.close()
    try bench.restartAgent()
    bench.host.release("a.run")
    bench.wait { !isRunning(shim) && !isRunning(pid) }
    #expect(!isRunning(shim) && !isRunning(pid))
    #expect(bench.cgroups.isEmpty)
  }

  @Test func aForkBombIsReleasedWhole() throws {
    guard let bench = Workbench(#function) else { return }
    guard bench.host.layout.has(.pids) else {
      print("SKIPPED: this host has no pids controller")
      return
    }
    var spec = bench.container("a.run", ["sh", "-c", "f() { f & f; }; f"])
    spec.resources = Resources(pids: 40)
    let link = try bench.host.start(spec, identity: "")
    #expect(link.waitForStart() != nil)
    bench.host.release("a.run")
    #expect(bench.cgroups.isEmpty)
  }

  /// A dead orphan stays a zombie for as long as the machine's first process takes to reap it.
  private func isRunning(_ pid: Int32) -> Bool {
    let text = String(decoding: TestFile.read("/proc/\(pid)/status") ?? [], as: UTF8.self)
    return !text.isEmpty && !text.contains("State:\tZ")
  }

  private func parent(of pid: Int32) -> Int32? {
    let text = String(decoding: TestFile.read("/proc/\(pid)/status") ?? [], as: UTF8.self)
    return text.split(separator: "\n").first { $0.hasPrefix("PPid:") }.flatMap { Int32($0.dropFirst(6)) }
  }
}

extension Workbench {
  func directoryOf(_ id: String) -> WorkloadDirectory {
    WorkloadDirectory(path: configuration.stateDirectory + "/workloads/" + id)
  }
  func hasEnded(_ id: String) -> Bool { directoryOf(id).readEnd() != nil }
}
