import Testing
import WherryJSON
import WherryModel
import WherryRollout
import WherryWire

@testable import WherryInventory

/// Budgets, limits and deferrals of a rollout, as the service carries them out.
@Suite struct PolicyEngineTests {
  private static let hello: [ComponentName: Version] = ["com.example.hello": Version(1, 0, 0)]

  /// Two devices to a store.
  private func stores(_ count: Int) async throws -> EngineFixture {
    let fleet = try await EngineFixture()
    for number in 1...count {
      try await fleet.provision(
        DeviceName(trusted: "kiosk-\(number)"), labels: ["store": "\((number + 1) / 2)"])
    }
    try await fleet.publish(EngineFixture.recipe("1.0.0"))
    return fleet
  }

  private func refusal(_ body: () async throws -> DeploymentSummary) async -> Refusal? {
    do {
      _ = try await body()
      return nil
    } catch { return error as? Refusal }
  }

  /// The service is started anew, and then it hears of the end.
  private func restartAndCommit(_ device: DeviceName, _ fleet: EngineFixture) async throws {
    let plan = try await fleet.engine.desiredPlan(of: device)
    try await fleet.restart()
    var report = DeviceReport(sequence: 1, generation: Generation(1), status: .committed, components: [])
    report.running = plan
    await fleet.deliver(Topic.reported(device), report.json)
  }

  @Test func oneOfEachStoreChangesAtATimeAlsoAfterARestart() async throws {
    let fleet = try await stores(4)
    _ = try await fleet.deploy(Self.hello) {
      $0.disruption = [RolloutPolicy.DisruptionBudget(label: "store", changingMaximum: 1)]
    }
    func ordered() throws -> [Int] {
      try (1...4).map { try fleet.orders(to: DeviceName(trusted: "kiosk-\($0)")).count }
    }
    #expect(try ordered() == [1, 0, 1, 0])
    let waiting = try await fleet.engine.deployment(DeploymentID(1)).devices[1]
    #expect(waiting.waitsFor?.contains("kiosk-1 is, or has not come back") == true)
    await fleet.acknowledgeAll()
    try await fleet.report("kiosk-3", 1, .committed)
    #expect(try ordered() == [1, 0, 1, 1])
    await fleet.acknowledgeAll()
    try await restartAndCommit("kiosk-1", fleet)
    #expect(try fleet.orders(to: "kiosk-2").count == 1)
    // Who joins later has its store, too.
    try await fleet.provision("kiosk-5", labels: ["store": "2"])
    #expect(try fleet.orders(to: "kiosk-5").isEmpty)
  }

  @Test func whatContradictsItselfIsRefusedWhole() async throws {
    let fleet = try await stores(4)
    let starved = await refusal {
      try await fleet.deploy(Self.hello) {
        $0.disruption = [RolloutPolicy.DisruptionBudget(label: "store", upMinimum: 2)]
        $0.silenceSeconds = 10_000
      }
    }
    #expect(starved?.code == "rollout.contradiction" && starved?.status == 422)
    #expect(starved?.errors.count == 2)
    #expect(starved?.errors.last?.hasPrefix("rollout/disruption/0: store=1 has 2 of group/kiosks's devices") == true)
    let wide = await refusal { try await fleet.deploy(Self.hello, waves: [.count(5), .percent(100)]) }
    #expect(wide?.description.contains("wave 1 takes 5 devices, and group/kiosks has 4; let it take 4") == true)
    let everyone = await refusal { try await fleet.deploy(Self.hello) { $0.canary = [:] } }
    #expect(everyone == nil)
    #expect(try await fleet.engine.deployments().count == 1)
    let draft = DeploymentRequest(
      target: .group("kiosks"),
      components: ["com.example.hello": DeployedComponent(requirement: VersionRequirement(exactly: Version(1, 0, 0)))])
    var contradicting = draft
    contradicting.rollout.waves = [.count(9)]
    await #expect(throws: Refusal.self) { try await fleet.engine.preview(contradicting) }
  }

  @Test func canariesThatAreEverybodyAreRefused() async throws {
    let fleet = try await EngineFixture()
    for name: DeviceName in ["kiosk-1", "kiosk-2"] { try await fleet.provision(name, labels: ["ring": "canary"]) }
    try await fleet.publish(EngineFixture.recipe("1.0.0"))
    let refused = await refusal { try await fleet.deploy(Self.hello) { $0.canary = ["ring": "canary"] } }
    #expect(refused?.detail.hasPrefix("all 2 devices of group/kiosks have the labels ring=canary") == true)
  }

  @Test func theSameTwiceIsRefusedWhileItIsUnderWay() async throws {
    let fleet = try await stores(2)
    _ = try await fleet.deploy(Self.hello)
    let twice = await refusal { try await fleet.deploy(Self.hello) }
    #expect(twice?.code == "deployment.same" && twice?.status == 409)
    #expect(try await fleet.engine.deployment(DeploymentID(1)).state == "rolling")
    // Another policy is another deployment, and so is what comes after the end.
    _ = try await fleet.deploy(Self.hello, onFailure: .stop)
    for name: DeviceName in ["kiosk-1", "kiosk-2"] { try await fleet.report(name, 1, .committed) }
    #expect(try await fleet.engine.deployment(DeploymentID(2)).state == "completed")
    _ = try await fleet.deploy(Self.hello, onFailure: .stop)
  }

  @Test func aCauseHasItsOwnBudget() async throws {
    let fleet = try await stores(3)
    _ = try await fleet.deploy(Self.hello) {
      $0.causeBudgets = [RolloutPolicy.CauseBudget(causes: [.download], maximum: 1)]
    }
    let failure = Failure(.download, code: "download.unreachable", message: "nobody answers")
    try await fleet.report("kiosk-1", 1, .failed, failure: failure)
    #expect(try await fleet.engine.deployment(DeploymentID(1)).state == "rolling")
    try await fleet.report("kiosk-2", 1, .failed, failure: failure)
    let halted = try await fleet.engine.deployment(DeploymentID(1))
    #expect(halted.reason == "2 devices failed (download), 1 allowed; kiosk-1: nobody answers")
  }

  @Test func onlyWhatRunsCounts() async throws {
    let fleet = try await stores(1)
    _ = try await fleet.deploy(Self.hello)
    var report = DeviceReport(sequence: 1, generation: Generation(1), status: .committed, components: [])
    report.plan = try await fleet.engine.desiredPlan(of: "kiosk-1")
    for running in [nil, Digest(bytes: Array(repeating: 7, count: 32))] {
      report.running = running
      await fleet.deliver(Topic.reported("kiosk-1"), report.json)
      report.sequence += 1
      #expect(try await fleet.engine.deployment(DeploymentID(1)).state == "rolling")
    }
    report.running = report.plan
    await fleet.deliver(Topic.reported("kiosk-1"), report.json)
    #expect(try await fleet.engine.deployment(DeploymentID(1)).state == "completed")
  }

  @Test func notNowIsToldAndIsNoFailure() async throws {
    let fleet = try await stores(1)
    _ = try await fleet.deploy(Self.hello) { $0.deviceTimeoutSeconds = 60 }
    let why = Failure(.timeout, code: Failure.heldOffCode, message: "com.example.hello asked not to be changed yet")
    var report = DeviceReport(sequence: 1, generation: Generation(1), status: .fetching, components: [])
    report.failure = why
    report.resumesAt = Instant(milliseconds: 1_800_000_000_000)
    await fleet.deliver(Topic.reported("kiosk-1"), report.json)
    fleet.clock.advance(seconds: 7_200)
    await fleet.engine.tick()
    let deployment = try await fleet.engine.deployment(DeploymentID(1))
    #expect(deployment.state == "rolling" && deployment.waves[0].deferred == 1)
    #expect(deployment.devices[0].status == "deferred" && deployment.devices[0].failure == why)
    #expect(deployment.devices[0].resumesAt == report.resumesAt)
    #expect(try await fleet.engine.device("kiosk-1").resumesAt == report.resumesAt)
    #expect(try DeploymentSummary(JSONCursor(deployment.json)) == deployment)
  }

  @Test func whoSaysNothingIsSilent() async throws {
    let fleet = try await stores(2)
    _ = try await fleet.deploy(Self.hello) {
      $0.silenceSeconds = 60
      $0.causeBudgets = [RolloutPolicy.CauseBudget(causes: [.silent], maximum: 2)]
    }
    try await fleet.report("kiosk-2", 1, .committed)
    fleet.clock.advance(seconds: 61)
    await fleet.engine.tick()
    let deployment = try await fleet.engine.deployment(DeploymentID(1))
    #expect(deployment.state == "completed" && deployment.waves[0].silent == 1 && deployment.waves[0].failed == 0)
    #expect(deployment.devices[0].failure?.code == FailureCause.silentCode)
  }

  // MARK: - Storing

  @Test func aReportWritesTheDevicesThatItChangesAndNoOthers() async throws {
    let fleet = try await stores(4)
    _ = try await fleet.deploy(Self.hello, waves: [.count(2), .percent(100)])
    for verb in ["INSERT", "UPDATE"] {
      try fleet.inDatabase(
        """
        CREATE TRIGGER thrift_\(verb) BEFORE \(verb) ON rollout_members WHEN NEW.slot > 0
        BEGIN SELECT RAISE(ABORT, 'it writes more than it changed'); END
        """)
    }
    try await fleet.report("kiosk-1", 1, .committed)
    #expect(try await fleet.engine.deployment(DeploymentID(1)).waves[0].committed == 1)
    for verb in ["INSERT", "UPDATE"] { try fleet.inDatabase("DROP TRIGGER thrift_\(verb)") }
    try await fleet.restart()
    #expect(try await fleet.engine.deployment(DeploymentID(1)).waves[0].committed == 1)
  }

  @Test func aRolloutThatAnOlderServiceBeganGoesOn() async throws {
    let fleet = try await stores(2)
    _ = try await fleet.deploy(Self.hello, waves: [.count(1), .percent(100)])
    // As it was stored before members had rows of their own.
    try fleet.inDatabase(
      """
      UPDATE deployments SET machine = json_set(machine, '$.members', json((
        SELECT json_group_array(json(member)) FROM (SELECT member FROM rollout_members ORDER BY slot))));
      DELETE FROM rollout_members;
      """)
    try await restartAndCommit("kiosk-1", fleet)
    #expect(try fleet.orders(to: "kiosk-2").count == 1)
    try await fleet.restart()
    #expect(try await fleet.engine.deployment(DeploymentID(1)).waves.map(\.committed) == [1, 0])
  }

  // MARK: - Forecast

  @Test func thePlanForeseesWhatHappens() async throws {
    let fleet = try await stores(3)
    await fleet.setOnline("kiosk-3", false)
    var request = DeploymentRequest(
      target: .group("kiosks"),
      components: ["com.example.hello": DeployedComponent(requirement: VersionRequirement(exactly: Version(1, 0, 0)))])
    request.rollout.waves = [.count(1), .percent(100)]
    request.rollout.soakMilliseconds = 60_000
    let preview = try await fleet.engine.preview(request)
    let forecast = try #require(preview.forecast)
    #expect(forecast.ending == "completed" && forecast.missing.map(\.name) == ["kiosk-3"])
    #expect(forecast.missing[0].reason.hasPrefix("offline since ") && forecast.unknownPaces == 3)
    // A change takes 5 s, then it settles for 3.
    #expect(forecast.waves == [0, 68_000] && forecast.milliseconds == 76_000)
    #expect(preview.supersedes == nil)
    #expect(try DeploymentPreview(JSONCursor(preview.json)) == preview)
    _ = try await fleet.engine.deploy(request, by: "test")
    #expect(try await fleet.engine.preview(request).supersedes == DeploymentID(1))
    fleet.clock.advance(seconds: 8)
    try await fleet.report("kiosk-1", 1, .committed)
    #expect(try fleet.orders(to: "kiosk-2").isEmpty)
    fleet.clock.advance(seconds: 60)
    await fleet.engine.tick()
    #expect(try fleet.orders(to: "kiosk-2").count == 1, "as foreseen")
  }

  @Test func paceIsLearntFromWhatIsSeen() async throws {
    let fleet = try await stores(1)
    _ = try await fleet.deploy(Self.hello)
    var report = DeviceReport(sequence: 1, generation: Generation(1), status: .fetching, components: [])
    report.bytesTotal = 1_000_000
    func pace() async throws -> Int64? { try await fleet.engine.pace(of: "kiosk-1") }
    for (bytes, expected) in [(0, nil), (200_000, 100_000), (300_000, 87_500)] as [(Int64, Int64?)] {
      report.bytesDone = bytes
      await fleet.deliver(Topic.reported("kiosk-1"), report.json)
      #expect(try await pace() == expected)
      report.sequence += 1
      fleet.clock.advance(seconds: 2)
    }
  }
}

extension InventoryEngine {
  func pace(of device: DeviceName) throws -> Int64? { try database.device(device)?.pace }
}
