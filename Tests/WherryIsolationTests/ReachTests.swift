import CIsolation
import Glibc
import Testing
import WherryModel
import WherryTestSupport

@testable import WherryIsolation

/// What an agent makes of the shims that it finds, or does not find. A socket of the test's stands for the shim, and
/// plain directories for cgroups: their `cgroup.kill` shows whether anything was killed.
@Suite struct ReachTests {
  private let directory = TemporaryDirectory()
  private static let id = "a.run"

  private func host() throws -> WorkloadHost {
    let root = directory.file("cgroup")
    Files.makeDirectories(root)
    TestFile.write(Array("hugetlb\n".utf8), to: root + "/cgroup.controllers")
    var configuration = HostConfiguration(
      agentID: "a1", stateDirectory: directory.file("run"), shimPath: "/bin/sh")
    configuration.cgroupRoot = root
    return try WorkloadHost(configuration)
  }

  private func spec() -> WorkloadSpec {
    WorkloadSpec(
      id: Self.id, root: .host(writable: [], hidden: []), arguments: ["/bin/true"], user: .root,
      logPath: directory.file("log"))
  }

  private var cgroup: String { directory.file("cgroup/wherry/a1/a.run") }
  private var killFile: String { cgroup + "/cgroup.kill" }
  private var wasKilled: Bool { TestFile.read(killFile) == Array("1".utf8) }

  /// As a start leaves it just before the shim is spawned.
  private func prepare(_ host: WorkloadHost, launched: Bool) throws -> WorkloadDirectory {
    let workload = host.directory(of: Self.id)
    Files.makeDirectories(workload.path, mode: 0o700)
    #expect(workload.prepare(identity: "1.0.0-abc") == 0)
    try host.cgroup(of: Self.id).create(Resources())
    if launched { #expect(workload.markLaunched() == 0) }
    return workload
  }

  // MARK: Launches that were cut off

  @Test func whatAnAgentDiedOverBeforeThereWasAShimIsForgotten() throws {
    let workload = try prepare(host(), launched: false)
    #expect(try host().adopt().isEmpty)
    #expect(!Files.exists(workload.path) && !Files.exists(cgroup))
  }

  @Test func aLaunchedWorkloadWithoutShimAndEndIsLost() throws {
    _ = try prepare(host(), launched: true)
    let adopted = try #require(try host().adopt().first)
    #expect(adopted.identity == "1.0.0-abc" && adopted.startedAt != nil)
    #expect(adopted.link == nil && adopted.exit == nil && adopted.failure == nil)
  }

  @Test func anEndProvesThatThereWasAShim() throws {
    let workload = try prepare(host(), launched: false)
    TestFile.write(Array("failed 2 execute /server\n".utf8), to: workload.file("exit"))
    let adopted = try #require(try host().adopt().first)
    #expect(adopted.identity == "1.0.0-abc")
    #expect(adopted.failure == WorkloadEvent.failure(step: "execute /server", errno: ENOENT))
  }

  // MARK: Shims that do not answer

  @Test func onlyARefusalSaysThatAShimIsGone() throws {
    let workload = try prepare(host(), launched: true)
    guard case .gone = workload.reach() else {
      Issue.record("there is no socket")
      return
    }
    let tooLong = WorkloadDirectory(path: directory.path + "/" + String(repeating: "x", count: 5_000))
    guard case .unreachable(ENAMETOOLONG) = tooLong.reach() else {
      Issue.record("nothing is known about it")
      return
    }
    let shim = try TestShim(workload)
    guard case .connected(let descriptor) = workload.reach() else {
      Issue.record("it listens")
      return
    }
    close(descriptor)
    shim.end()
    guard case .gone = workload.reach() else {
      Issue.record("nobody holds the listening end")
      return
    }
  }

  @Test func aShimThatIsStoppedIsNotTakenForDead() throws {
    let workload = try prepare(host(), launched: true)
    TestFile.write([], to: killFile)
    let shim = try TestShim(workload)
    shim.fillQueue()
    let host = try host()
    let link = try #require(host.adopt().first?.link)
    #expect(link.descriptor == -1)
    #expect(link.readEvents().isEmpty)
    link.signal(SIGTERM)
    #expect(!wasKilled && host.hasLeftovers, "it is tried again")
    let failure = #expect(throws: Failure.self) { try host.start(spec(), identity: "") }
    #expect(failure?.code == "workload.running")
    host.tidy()
    #expect(link.descriptor == -1)

    // It goes on, and is found.
    shim.acceptOne()
    host.tidy()
    #expect(link.descriptor >= 0 && !host.hasLeftovers)
    shim.acceptAll()
    shim.send(WHERRY_STARTED, 77)
    #expect(link.readEvents() == [.started(pid: 77)])
    #expect(shim.receive()?.a == SIGTERM, "what was asked of it meanwhile is not lost")
    #expect(!wasKilled)
  }

  @Test func aShimThatHangsUpAndStillListensIsFoundAgain() throws {
    let workload = try prepare(host(), launched: true)
    TestFile.write([], to: killFile)
    let shim = try TestShim(workload)
    let host = try host()
    let link = try #require(host.adopt().first?.link)
    shim.acceptAll()
    shim.hangUp()
    #expect(link.readEvents().isEmpty)
    #expect(link.descriptor >= 0 && !wasKilled)
    shim.acceptAll()
    shim.send(WHERRY_EXITED, 5)
    #expect(link.readEvents() == [.exited(code: 5)])
  }

  @Test func aShimThatHangsUpOnEverybodyDoesNotKeepTheAgentBusy() throws {
    let workload = try prepare(host(), launched: true)
    let shim = try TestShim(workload)
    let host = try host()
    let link = try #require(host.adopt().first?.link)
    for _ in 0..<10 where link.descriptor >= 0 {
      shim.acceptAll()
      shim.hangUp()
      #expect(link.readEvents().isEmpty)
    }
    #expect(link.descriptor == -1 && host.hasLeftovers, "it is left to the timer")
  }

  @Test func aShimThatIsGoneForGoodTakesItsWorkloadAlong() throws {
    let workload = try prepare(host(), launched: true)
    TestFile.write([], to: killFile)
    let shim = try TestShim(workload)
    let host = try host()
    let link = try #require(host.adopt().first?.link)
    shim.acceptAll()
    shim.end()
    #expect(link.readEvents() == [.lost])
    #expect(wasKilled && link.descriptor == -1 && !host.hasLeftovers)
  }

  // MARK: Leaving

  @Test func whatDoesNotGoAtOnceIsNotWaitedFor() throws {
    let host = try host()
    let workload = try prepare(host, launched: true)
    // Stands for a process that does not end: the directory cannot be removed.
    TestFile.write([], to: killFile)
    host.letGo(Self.id)
    #expect(host.isLeaving(Self.id) && host.hasLeftovers && !Files.exists(workload.path))
    #expect(wasKilled)
    let failure = #expect(throws: Failure.self) { try host.start(spec(), identity: "") }
    #expect(failure?.code == "workload.leaving")

    let next = try self.host()
    #expect(next.adopt().isEmpty && next.isLeaving(Self.id), "heard once, by whichever agent")
    unlink(killFile)
    next.tidy()
    host.tidy()
    #expect(!next.hasLeftovers && !host.hasLeftovers && !Files.exists(cgroup))
    #expect(Files.names(in: directory.file("run/workloads")).isEmpty)
  }

  @Test func aCgroupWithCgroupsOfTheWorkloadsOwnIsRemovedWhole() throws {
    guard let bench = Workbench(#function) else { return }
    let cgroup = bench.host.cgroup(of: "stray.run")
    try cgroup.create(Resources())
    let parents = bench.host.layout.directories(of: cgroup.path, for: Resources())
    for parent in parents { #expect(mkdir(parent + "/own", 0o755) == 0) }
    bench.host.letGo("stray.run")
    #expect(!bench.host.hasLeftovers && bench.cgroups.isEmpty)
  }

  @Test func aProbesShimThatDoesNotEndIsNotWaitedFor() throws {
    let program = try #require(ChildProcess.find("sleep"))
    let child = try #require(ChildProcess(program, ["1000"]))
    var pair: [Int32] = [-1, -1]
    #expect(socketpair(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue), 0, &pair) == 0)
    defer { close(pair[1]) }
    let reaper = ProcessReaper()
    let link = WorkloadLink(
      id: "probe", descriptor: pair[0], directory: nil, cgroup: nil, shim: ShimProcess(pid: child.processID),
      reaper: reaper)
    link.kill()
    link.close()
    #expect(!reaper.isEmpty)
    child.signal(SIGKILL)
    for _ in 0..<2_000 where !reaper.isEmpty {
      poll(nil, 0, 5)
      reaper.reap()
    }
    #expect(reaper.isEmpty)
  }

  @Test func aHangingHealthCheckDoesNotHangTheAgent() throws {
    guard let bench = Workbench(#function) else { return }
    let link = try bench.host.start(bench.container("a.run", ["sleep", "1000"]), identity: "")
    #expect(link.waitForStart() != nil)
    bench.waitForPid("a.run")
    let probe = try bench.host.execute(in: "a.run", arguments: ["sleep", "1000"])
    let pid = try #require(probe.waitForStart())
    let status = String(decoding: TestFile.read("/proc/\(pid)/status") ?? [], as: UTF8.self)
    let line = status.split(separator: "\n").first { $0.hasPrefix("PPid:") }
    let shim = try #require(line.flatMap { Int32($0.dropFirst(6)) })
    // It does not notice that the agent hangs up: as while its child is in an uninterruptible call.
    kill(shim, SIGSTOP)
    probe.kill()
    probe.close()
    #expect(bench.host.hasLeftovers)
    kill(shim, SIGCONT)
    bench.wait {
      bench.host.tidy()
      return !bench.host.hasLeftovers
    }
    #expect(!bench.host.hasLeftovers)
  }
}

/// The listening end of a shim, in the test's hands.
private final class TestShim {
  private let workload: WorkloadDirectory
  private var listener: Int32
  private var connection: Int32 = -1
  private var others: [Int32] = []

  init(_ workload: WorkloadDirectory) throws {
    self.workload = workload
    listener = wherry_listen(workload.path, "ctl.sock")
    try #require(listener >= 0)
  }

  deinit { end() }

  /// What a stopped shim comes to after many starts of the agent.
  func fillQueue() {
    for _ in 0..<1_000 {
      let descriptor = wherry_connect(workload.path, "ctl.sock")
      guard descriptor >= 0 else { break }
      others.append(descriptor)
    }
    #expect(others.count > 60, "many starts before that")
  }

  @discardableResult
  func acceptOne() -> Bool {
    let accepted = accept(listener, nil, nil)
    guard accepted >= 0 else { return false }
    hangUp()
    connection = accepted
    return true
  }

  /// Keeps the newest.
  func acceptAll() { while acceptOne() {} }

  func hangUp() {
    if connection >= 0 { close(connection) }
    connection = -1
  }

  func send(_ kind: wherry_message_kind, _ number: Int32) {
    var message = wherry_message()
    message.kind = kind.rawValue
    message.a = number
    let count = Glibc.send(connection, &message, MemoryLayout<wherry_message>.size, Int32(MSG_NOSIGNAL))
    #expect(count == MemoryLayout<wherry_message>.size)
  }

  func receive() -> wherry_message? {
    var message = wherry_message()
    let count = recv(connection, &message, MemoryLayout<wherry_message>.size, Int32(MSG_DONTWAIT))
    return count == MemoryLayout<wherry_message>.size ? message : nil
  }

  func end() {
    hangUp()
    for descriptor in others { close(descriptor) }
    others = []
    if listener >= 0 { close(listener) }
    listener = -1
  }
}
