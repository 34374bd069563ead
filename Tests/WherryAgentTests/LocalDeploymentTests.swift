import Glibc
import Testing
import WherryAgent
import WherryCrypto
import WherryJSON
import WherryLifecycle
import WherryModel
import WherryTestSupport
import WherryWire

/// What `wherry-agent deploy` asks of the running agent, and how that goes together with the service's orders.
@Suite struct LocalDeploymentTests {
  private static let web = Bench.process("com.example.web")
  private static let tool = Bench.process("com.example.tool")

  private static func bench(writesLeft: Int = .max, isAllowed: Bool = true) throws -> Bench {
    let bench = try Bench(writesLeft: writesLeft, configure: { $0.localDeployments = isAllowed })
    bench.start()
    try bench.engine.serveLocally()
    bench.connect()
    return bench
  }

  private static func set(_ components: PlannedComponent...) -> LocalSet {
    var set = LocalSet()
    for component in components {
      set.roots[component.name] = VersionRequirement(exactly: component.version)
      set.components[component.name] = LocalComponent(planned: component, requirements: [:])
    }
    return set
  }

  /// Null = the agent does not answer.
  private static func ask(_ bench: Bench, _ request: JSON) throws -> JSON {
    let client = try #require(SocketClient(bench.paths.socket))
    client.write(request.canonical + "\n")
    for _ in 0..<100 where !client.isEnded {
      bench.engine.turn(maximumWait: 0)
      client.read()
    }
    return try client.lines.first.map { try JSON(parsing: $0) } ?? .null
  }

  private static func deploy(_ bench: Bench, _ set: LocalSet, basis: String? = nil) throws -> JSON {
    let context = try ask(bench, ["request": "local"])
    var policy = ApplyPolicy()
    policy.settleMilliseconds = 500
    var request: JSON = ["request": "deploy", "local": set.json, "policy": policy.json]
    if let basis = basis ?? context["basis"]?.stringValue { request["basis"] = .string(basis) }
    return try ask(bench, request)
  }

  private static func order(_ bench: Bench, _ components: [PlannedComponent], _ generation: Int64) {
    bench.order(bench.message(bench.plan(components, settle: 500), generation: generation))
    bench.run(milliseconds: 3_000)
  }

  private static func running(_ bench: Bench) -> [String] { bench.runner.alive.sorted() }

  @Test func runsBesideWhatTheServiceOrdersAndStays() throws {
    let bench = try Self.bench()
    Self.order(bench, [Self.web], 1)
    #expect(try Self.deploy(bench, Self.set(Self.tool))["id"] == "1.1")
    bench.run(milliseconds: 2_000)
    #expect(Self.running(bench) == ["com.example.tool.run", "com.example.web.run"])
    #expect(bench.reports.last?.local == LocalReport(id: "1.1", status: .committed))
    #expect(bench.reports.last?.components.filter(\.isLocal).map(\.name) == ["com.example.tool"])
    #expect(bench.logLines.contains { $0.contains("nobody signed") })
    // The service orders something else: what is local stays, and keeps its process.
    Self.order(bench, [Bench.process("com.example.web", version: Version(2, 0, 0))], 2)
    #expect(bench.reports.last?.generation == Generation(2) && bench.reports.last?.status == .committed)
    #expect(bench.runner.launches.filter { $0 == "com.example.tool.run" }.count == 1)
    Self.order(bench, [], 3)
    #expect(Self.running(bench) == ["com.example.tool.run"])
    // And the service's stays when the local one goes.
    Self.order(bench, [Self.web], 4)
    #expect(try Self.deploy(bench, LocalSet())["id"] == "4.1")
    bench.run(milliseconds: 2_000)
    #expect(Self.running(bench) == ["com.example.web.run"])
  }

  @Test func worksWithoutABrokerAndTellsTheServiceLater() throws {
    let bench = try Bench(configure: { $0.localDeployments = true })
    bench.start()
    try bench.engine.serveLocally()
    #expect(try Self.deploy(bench, Self.set(Self.tool))["id"] == "0.1")
    bench.run(milliseconds: 2_000)
    #expect(Self.running(bench) == ["com.example.tool.run"] && bench.reports.isEmpty)
    try bench.crash()
    bench.connect()
    #expect(bench.reports.contains { $0.local == LocalReport(id: "0.1", status: .committed) })
  }

  @Test func refusesWithASentence() throws {
    let bench = try Self.bench()
    Self.order(bench, [Self.web], 1)
    let other = Bench.process("com.example.web", version: Version(2, 0, 0))
    let conflict = try Self.deploy(bench, Self.set(other))["failure"]
    #expect(conflict?["code"] == "local.conflict")
    #expect(conflict?["message"]?.stringValue?.contains("orders com.example.web 1.0.0") == true)
    let changed = try Self.deploy(bench, Self.set(Self.tool), basis: "sha256:" + String(repeating: "0", count: 64))
    #expect(changed["failure"]?["code"] == "local.changed")
    #expect(try Self.ask(bench, ["request": "deploy"])["failure"]?["code"] == "request.invalid")
    var artifact = Self.tool
    artifact.artifacts = [Bench.artifact("x", "content").artifact]
    artifact.artifacts[0].source = PlannedArtifact.localSource
    #expect(try Self.deploy(bench, Self.set(artifact))["failure"]?["code"] == "local.artifactLost")
    #expect(try Self.deploy(bench, Self.set(Self.tool))["id"] == "1.1")
    let busy = try Self.deploy(bench, Self.set(Self.tool))["failure"]
    #expect(busy?["code"] == "local.busy" && busy?["message"]?.stringValue?.contains("1.1 is under way") == true)
    #expect(bench.runner.launches.count <= 2)
  }

  @Test func isForbiddenUnlessTheOwnerAllowsIt() throws {
    let bench = try Self.bench(isAllowed: false)
    let answer = try Self.deploy(bench, Self.set(Self.tool))["failure"]
    #expect(answer?["code"] == "local.forbidden" && answer?["remedy"]?.stringValue?.contains("agent.conf") == true)
    #expect(bench.runner.launches.isEmpty)
  }

  @Test func anOrderThatDoesNotGoWithItIsRefusedAndExplainedToTheService() throws {
    let bench = try Self.bench()
    Self.order(bench, [], 1)
    _ = try Self.deploy(bench, Self.set(Self.web))
    bench.run(milliseconds: 2_000)
    Self.order(bench, [Bench.process("com.example.web", version: Version(2, 0, 0))], 2)
    let report = try #require(bench.reports.last { $0.generation == Generation(2) })
    #expect(report.status == .rejected && report.failure?.code == "local.conflict")
    #expect(report.failure?.message.contains("a local deployment wants com.example.web 1.0.0") == true)
    #expect(bench.runner.launches.count == 1)
    Self.order(bench, [Self.web], 3)
    #expect(bench.reports.last?.status == .committed && bench.reports.last?.components.first?.isLocal == false)
    #expect(bench.runner.launches.count == 1, "the same definition keeps its process")
  }

  @Test func stagedArtifactsAreTakenAndKept() throws {
    let bench = try Self.bench()
    var component = Self.tool
    var (artifact, bytes) = Bench.artifact("tool.sh", "echo hello")
    artifact.source = PlannedArtifact.localSource
    component.artifacts = [artifact]
    TestFiles.write(bytes, to: bench.paths.stagedBlob(artifact.digest))
    #expect(try Self.deploy(bench, Self.set(component))["id"] == "0.1")
    bench.run(milliseconds: 3_000)
    #expect(bench.reports.last?.local?.status == .committed, "\(String(describing: bench.reports.last))")
    #expect(access(bench.paths.artifacts(component) + "/files/tool.sh", F_OK) == 0)
    #expect(access(bench.paths.blob(artifact.digest), F_OK) == 0)
    bench.run(milliseconds: 5_000)
    #expect(access(bench.paths.blob(artifact.digest), F_OK) == 0, "no garbage while it is deployed")
  }

  /// Killed at any write of the journal: what was answered is not lost, and it ends in the old state or the new one.
  @Test func killedAtAnyPointItIsTheOldStateOrTheNewOne() throws {
    var hasCommitted = false
    for writes in 0..<12 {
      let bench = try Self.bench()
      Self.order(bench, [Self.web], 1)
      bench.journal.writesLeft = writes
      let answer = try Self.deploy(bench, Self.set(Self.tool))
      bench.run(milliseconds: 2_000)
      try bench.crash()
      bench.connect()
      bench.run(milliseconds: 4_000)
      let running = Self.running(bench)
      let isNew = running == ["com.example.tool.run", "com.example.web.run"]
      #expect(isNew || running == ["com.example.web.run"], "\(writes): \(running)")
      if answer["id"] == "1.1" {
        #expect(isNew, "\(writes): what was acknowledged is lost")
        #expect(bench.reports.last?.local == LocalReport(id: "1.1", status: .committed), "\(writes)")
        hasCommitted = true
      } else {
        #expect(!isNew, "\(writes): what was not acknowledged has begun")
      }
    }
    #expect(hasCommitted)
  }
}
