import Glibc
import Testing
import WherryAgent
import WherryIsolation
import WherryModel
import WherryTestSupport

/// What the engine relies on, whatever the runner. Scripts are `exit N`, `sleep 1000` and `trap '' TERM; sleep 1000`.
struct RunnerContract {
  /// A runner over the same state as the ones before: an agent that was started again.
  var runner: () throws -> any Runner
  var directory: TemporaryDirectory

  func spec(_ name: String, _ script: String) -> WorkloadSpec {
    var spec = WorkloadSpec(
      id: "com.example.\(name).run", root: .host(writable: [], hidden: []), arguments: ["/bin/sh", "-c", script],
      user: .root, logPath: directory.file("\(name).log"))
    spec.environment = ["PATH=/usr/bin:/bin"]
    spec.network = .host
    return spec
  }

  /// Polls until an event passes the test; far beyond what a working runner needs.
  func wait(
    for link: any RunningWorkload, until isMet: (WorkloadEvent) -> Bool, sourceLocation: SourceLocation
  ) -> WorkloadEvent? {
    for _ in 0..<1_200 {
      for event in link.readEvents() where isMet(event) { return event }
      guard link.descriptor >= 0 else { continue }
      var entry = pollfd(fd: link.descriptor, events: Int16(POLLIN), revents: 0)
      poll(&entry, 1, 100)
    }
    Issue.record("the event never came", sourceLocation: sourceLocation)
    return nil
  }

  func waitForEnd(
    _ link: any RunningWorkload, sourceLocation: SourceLocation = #_sourceLocation
  ) -> WorkloadExit? {
    let event = wait(
      for: link,
      until: { event in
        if case .exited = event { true } else { event == .lost }
      }, sourceLocation: sourceLocation)
    if case .exited(let exit) = event { return exit }
    return nil
  }

  func waitForStart(_ link: any RunningWorkload, sourceLocation: SourceLocation = #_sourceLocation) {
    _ = wait(
      for: link,
      until: { event in
        if case .started = event { true } else { false }
      }, sourceLocation: sourceLocation)
  }

  /// What was let go of is on its way out for a moment; looking at it helps it along.
  func waitUntilGone(_ runner: any Runner, _ name: String, sourceLocation: SourceLocation = #_sourceLocation) {
    let id = "com.example.\(name).run"
    runner.letGo(id)
    for _ in 0..<2_000 where runner.isLeaving(id) {
      poll(nil, 0, 5)
      runner.tidy()
    }
    #expect(!runner.isLeaving(id), "\(id) does not go", sourceLocation: sourceLocation)
  }

  func verify() throws {
    try anExitCodeIsReported()
    try aSignalEndsAndIsReported()
    try killingNeedsNoConsent()
    try whatRunsIsAdoptedWithItsIdentity()
    try whatEndedWhileNobodyLookedIsKnown()
    try whyItDidNotStartIsKnownToTheNextAgent()
    try whatIsReleasedIsForgotten()
    try anIdRunsOnce()
  }

  private func anExitCodeIsReported() throws {
    let runner = try runner()
    let link = try runner.launch(spec("code", "exit 7"), identity: "one")
    #expect(waitForEnd(link) == WorkloadExit(code: 7))
    waitUntilGone(runner, "code")
    let again = try runner.launch(spec("code", "exit 0"), identity: "two")
    #expect(waitForEnd(again)?.isSuccess == true)
    waitUntilGone(runner, "code")
  }

  private func aSignalEndsAndIsReported() throws {
    let runner = try runner()
    let link = try runner.launch(spec("signal", "exec sleep 1000"), identity: "one")
    waitForStart(link)
    link.signal(SIGTERM)
    let exit = try #require(waitForEnd(link))
    #expect(exit.signal == SIGTERM && exit.code == nil)
    waitUntilGone(runner, "signal")
  }

  private func killingNeedsNoConsent() throws {
    let runner = try runner()
    let link = try runner.launch(spec("stubborn", "trap '' TERM; sleep 1000"), identity: "one")
    waitForStart(link)
    link.kill()
    #expect(waitForEnd(link)?.signal == SIGKILL)
    waitUntilGone(runner, "stubborn")
  }

  private func whatRunsIsAdoptedWithItsIdentity() throws {
    let first = try runner()
    let link = try first.launch(spec("adopted", "exec sleep 1000"), identity: "1.0.0-abc")
    waitForStart(link)
    link.close()
    let second = try runner()
    let adopted = try #require(second.adoptAll().first { $0.id == "com.example.adopted.run" })
    #expect(adopted.identity == "1.0.0-abc" && adopted.exit == nil)
    let newLink = try #require(adopted.link)
    waitForStart(newLink)
    newLink.signal(SIGTERM)
    #expect(waitForEnd(newLink)?.signal == SIGTERM)
    waitUntilGone(second, "adopted")
  }

  private func whatEndedWhileNobodyLookedIsKnown() throws {
    let first = try runner()
    let link = try first.launch(spec("ended", "exit 5"), identity: "one")
    #expect(waitForEnd(link)?.code == 5)
    let second = try runner()
    let adopted = try #require(second.adoptAll().first { $0.id == "com.example.ended.run" })
    // A shim that has not left yet tells it once more.
    if let late = adopted.link {
      #expect(waitForEnd(late)?.code == 5)
    } else {
      #expect(adopted.exit?.code == 5)
    }
    waitUntilGone(second, "ended")
  }

  private func whyItDidNotStartIsKnownToTheNextAgent() throws {
    var broken = spec("broken", "")
    broken.arguments = ["/no/such/program"]
    let first = try runner()
    let link = try first.launch(broken, identity: "one")
    let hasFailed = { (event: WorkloadEvent) in if case .failedToStart = event { true } else { false } }
    let event = wait(for: link, until: hasFailed, sourceLocation: #_sourceLocation)
    let second = try runner()
    let adopted = try #require(second.adoptAll().first { $0.id == "com.example.broken.run" })
    #expect(adopted.exit == nil && event != nil)
    // A shim that has not left yet tells it once more.
    if let late = adopted.link {
      #expect(wait(for: late, until: hasFailed, sourceLocation: #_sourceLocation) == event)
    } else {
      #expect(adopted.failure == event)
    }
    waitUntilGone(second, "broken")
  }

  private func whatIsReleasedIsForgotten() throws {
    let first = try runner()
    let link = try first.launch(spec("released", "exit 0"), identity: "one")
    _ = waitForEnd(link)
    first.letGo("com.example.released.run")
    #expect(try runner().adoptAll().isEmpty)
  }

  private func anIdRunsOnce() throws {
    let runner = try runner()
    let link = try runner.launch(spec("once", "exec sleep 1000"), identity: "one")
    waitForStart(link)
    #expect(throws: Failure.self) { try runner.launch(spec("once", "exec sleep 1000"), identity: "two") }
    link.kill()
    _ = waitForEnd(link)
    waitUntilGone(runner, "once")
  }
}

@Suite(.serialized) struct RunnerContractTests {
  @Test func theFakeKeepsTheContract() throws {
    let fake = FakeRunner()
    fake.outcome = { spec in
      let script = spec.arguments.last ?? ""
      return script.hasPrefix("exit ") ? WorkloadExit(code: Int32(script.dropFirst(5))) : nil
    }
    fake.startFailure = { $0.arguments.first == "/no/such/program" ? "could not execute it" : nil }
    try RunnerContract(runner: { fake }, directory: TemporaryDirectory()).verify()
  }

  @Test func theKernelKeepsTheContract() throws {
    guard getuid() == 0 else {
      print("SKIPPED the contract of the real runner: it makes namespaces and cgroups, which needs root")
      return
    }
    guard let shim = Self.shim() else {
      print("SKIPPED the contract of the real runner: wherry-shim is not built; build the whole package")
      return
    }
    let directory = TemporaryDirectory()
    let configuration = HostConfiguration(
      agentID: "c\(getpid() % 100_000)", stateDirectory: directory.file("run"), shimPath: shim)
    defer { (try? WorkloadHost(configuration))?.tearDown() }
    try RunnerContract(runner: { try WorkloadHost(configuration) }, directory: directory).verify()
  }

  /// Beside the test bundle.
  static func shim() -> String? {
    var path = CommandLine.arguments[0]
    for _ in 0..<6 {
      guard let slash = path.lastIndex(of: "/") else { break }
      path = String(path[..<slash])
      if access(path + "/wherry-shim", X_OK) == 0 { return path + "/wherry-shim" }
    }
    return nil
  }
}
