import Testing
import WherryJSON
import WherryModel
import WherryWire

@testable import WherryInventory

/// What becomes of orders, presence and reports when the disk, the broker or a device fails.
@Suite struct RecoveryTests {
  private static let noSpace = "SELECT RAISE(ABORT, 'no space')"

  /// Both devices are online; wave 1 of a deployment has reached kiosk-1.
  private func fleetInWaves() async throws -> EngineFixture {
    let fleet = try await EngineFixture()
    for name: DeviceName in ["kiosk-1", "kiosk-2"] { try await fleet.provision(name) }
    try await fleet.publish(EngineFixture.recipe("1.0.0"))
    _ = try await fleet.deploy(["com.example.hello": Version(1, 0, 0)], waves: [.count(1), .percent(100)])
    return fleet
  }

  private func acknowledged(_ fleet: EngineFixture, _ name: DeviceName) throws -> [Int64] {
    try fleet.bus.messages(to: Topic.acked(name)).map {
      try Acknowledgement(JSONCursor(try JSON(parsing: $0.payload))).sequence
    }
  }

  /// After a failure the engine may try again by itself, so how often an order came says nothing.
  private func generations(_ fleet: EngineFixture, _ name: DeviceName) throws -> Set<Generation> {
    Set(try fleet.orders(to: name).map(\.statement.generation))
  }

  private func push(_ fleet: EngineFixture, _ topic: String, _ json: JSON, isRetained: Bool = false) {
    fleet.bus.push(
      .received(TransportMessage(topic: topic, payload: json.canonicalBytes, isRetained: isRetained)))
  }

  // MARK: - Hostile devices

  private static let hostileGenerations: [Int64] = [
    Int64.max, Int64.max - 1, 9_007_199_254_740_992, 9_007_199_254_740_993, 4_294_967_298,
  ]

  @Test(arguments: hostileGenerations)
  func aReportOfAGenerationThatWasNeverGivenIsRefused(generation: Int64) async throws {
    let fleet = try await fleetInWaves()
    try await fleet.report("kiosk-1", 1, .committed, generation: generation)
    #expect(await fleet.engine.statistics.refusedMessages == 1)
    #expect(await fleet.engine.statistics.reports == 0)
    #expect(try acknowledged(fleet, "kiosk-1").isEmpty)
    #expect(try await fleet.engine.device("kiosk-1").reportedGeneration == Generation(0))

    try await fleet.restart()
    _ = try await fleet.deploy(["com.example.hello": Version(1, 0, 0)])
    #expect(try fleet.orders(to: "kiosk-1").last?.statement.generation == Generation(2))
  }

  @Test func aDeviceThatCountsItsGenerationsUpReachesTheLastOneAndNoFurther() async throws {
    let fleet = try await fleetInWaves()
    try fleet.inDatabase("UPDATE devices SET generation = \(Generation.maximum.rawValue - 1) WHERE name = 'kiosk-1'")
    try await fleet.report("kiosk-1", 1, .committed, generation: Generation.maximum.rawValue)
    #expect(try fleet.orders(to: "kiosk-1").last?.statement.generation == Generation.maximum)
    _ = try await fleet.deploy(["com.example.hello": Version(1, 0, 0)])
    #expect(try fleet.orders(to: "kiosk-1").last?.statement.generation == Generation.maximum)
    // Its own summary can still be read by everyone.
    let summary = try await fleet.engine.device("kiosk-1")
    #expect(try DeviceSummary(JSONCursor(summary.json)).generation == Generation.maximum)
  }

  // MARK: - Devices that have seen more

  @Test func aDeviceThatHasSeenMoreIsToldWhatWorkedThereAndNotWhatFailed() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    for version in ["1.0.0", "2.0.0"] { try await fleet.publish(EngineFixture.recipe(version)) }
    _ = try await fleet.deploy(["com.example.hello": Version(1, 0, 0)])
    try await fleet.report("kiosk-1", 1, .committed)
    _ = try await fleet.deploy(["com.example.hello": Version(2, 0, 0)])
    try await fleet.report("kiosk-1", 2, .rolledBack)
    try await fleet.report("kiosk-1", 3, .rolledBack, generation: 9)
    let order = try #require(try fleet.orders(to: "kiosk-1").last)
    #expect(order.statement.generation == Generation(10))
    #expect(order.plan?["com.example.hello"]?.version == Version(1, 0, 0))
  }

  @Test func whatADeviceCommittedUnderAnUnknownOrderIsKnownByItsPlanOnly() async throws {
    let fleet = try await fleetInWaves()
    var report = DeviceReport(sequence: 1, generation: Generation(7), status: .committed, components: [])
    report.plan = Digest(bytes: Array(repeating: 7, count: 32))
    await fleet.deliver(Topic.reported("kiosk-1"), report.json)
    #expect(try fleet.orders(to: "kiosk-2").isEmpty)
    #expect(try fleet.orders(to: "kiosk-1").last?.statement.generation == Generation(8))
    try await fleet.report("kiosk-1", 2, .committed)
    #expect(try fleet.orders(to: "kiosk-2").count == 1)
  }

  // MARK: - Brokers that die

  @Test func whatIsOwedGoesOutWhenTheBrokerIsBack() async throws {
    let fleet = try await fleetInWaves()
    await fleet.disconnect()
    fleet.bus.forget()
    _ = try await fleet.deploy(["com.example.hello": Version(1, 0, 0)])
    #expect(fleet.bus.tokens.isEmpty)
    await fleet.reconnect()
    #expect(try fleet.orders(to: "kiosk-1").map(\.statement.generation) == [Generation(2)])
    #expect(try fleet.orders(to: "kiosk-2").map(\.statement.generation) == [Generation(1)])

    // It died again before it took anything over.
    await fleet.disconnect()
    fleet.bus.forget()
    await fleet.reconnect()
    #expect(try fleet.orders(to: "kiosk-1").map(\.statement.generation) == [Generation(2)])
    await fleet.acknowledgeAll()
    #expect(try await fleet.engine.outboxCount() == 0)
  }

  @Test func anOrderThatTheBrokerTookOverAndLostIsRepeated() async throws {
    let fleet = try await fleetInWaves()
    await fleet.acknowledgeAll()
    await fleet.disconnect()
    fleet.bus.forget()
    await fleet.reconnect()
    await fleet.setOnline("kiosk-1", true, isRetained: true)
    #expect(try fleet.orders(to: "kiosk-1").map(\.statement.generation) == [Generation(1)])

    // A device that has spoken of it has it.
    await fleet.acknowledgeAll()
    try await fleet.report("kiosk-1", 1, .applying)
    await fleet.disconnect()
    fleet.bus.forget()
    await fleet.reconnect()
    await fleet.setOnline("kiosk-1", true, isRetained: true)
    #expect(try fleet.orders(to: "kiosk-1").isEmpty)
  }

  @Test func retainedPresenceOfADeviceThatWaitsForItsOrderRepeatsIt() async throws {
    let fleet = try await fleetInWaves()
    await fleet.acknowledgeAll()
    fleet.bus.forget()
    await fleet.setOnline("kiosk-1", true, isRetained: true)
    #expect(try fleet.orders(to: "kiosk-1").map(\.statement.generation) == [Generation(1)])
  }

  @Test func anOrderIsOwedAgainWhenTheBrokerDiesBeforeTheOutboxWasEmptied() async throws {
    let fleet = try await fleetInWaves()
    for token in fleet.bus.tokens { fleet.bus.push(.published(token: token)) }
    fleet.bus.push(.disconnected(reason: "it was killed"))
    await fleet.engine.drain()
    fleet.bus.forget()
    await fleet.reconnect()
    #expect(try !fleet.orders(to: "kiosk-1").isEmpty)
  }

  @Test func whatTheBrokerRefusedIsOfferedAgain() async throws {
    let fleet = try await fleetInWaves()
    fleet.bus.push(.refused("the broker refused a message: quota exceeded"))
    await fleet.engine.drain()
    fleet.bus.forget()
    await fleet.engine.retry()
    #expect(try generations(fleet, "kiosk-1") == [Generation(1)])
    await fleet.acknowledgeAll()
    #expect(try await fleet.engine.outboxCount() == 0)
  }

  // MARK: - Disks that fail

  @Test func whatTheDatabaseRefusesNeverWas() async throws {
    let fleet = try await fleetInWaves()
    try fleet.inDatabase("CREATE TRIGGER no_space BEFORE UPDATE ON deployments BEGIN \(Self.noSpace); END")
    try await fleet.report("kiosk-1", 1, .committed)
    #expect(try fleet.orders(to: "kiosk-2").isEmpty)
    #expect(try acknowledged(fleet, "kiosk-1").isEmpty)
    #expect(try await fleet.engine.deployment(DeploymentID(1)).waves.map(\.committed) == [0, 0])
    #expect(try await fleet.engine.device("kiosk-1").status == nil)
    #expect(await fleet.engine.statistics.reports == 0)

    try fleet.inDatabase("DROP TRIGGER no_space")
    try await fleet.report("kiosk-1", 1, .committed)
    #expect(try generations(fleet, "kiosk-2") == [Generation(1)])
    #expect(try acknowledged(fleet, "kiosk-1") == [1])
    #expect(try await fleet.engine.deployment(DeploymentID(1)).waves.map(\.committed) == [1, 0])
    #expect(await fleet.engine.statistics.reports == 1)
  }

  @Test func aDiskThatIsFullWhileTheBrokerComesBackLosesNeitherOrdersNorPresence() async throws {
    let fleet = try await fleetInWaves()
    try await fleet.provision("kiosk-3", isOnline: false)
    await fleet.disconnect()
    fleet.bus.forget()
    try fleet.inDatabase("CREATE TRIGGER no_space BEFORE UPDATE ON devices BEGIN \(Self.noSpace); END")
    fleet.bus.push(.connected(sessionPresent: false))
    push(fleet, Topic.presence("kiosk-3"), Presence(isOnline: true).json, isRetained: true)
    await fleet.engine.drain()
    #expect(await fleet.engine.isReady)
    #expect(try generations(fleet, "kiosk-1") == [Generation(1)])
    #expect(try await !fleet.engine.device("kiosk-3").isOnline)

    try fleet.inDatabase("DROP TRIGGER no_space")
    await fleet.engine.retry()
    #expect(try await fleet.engine.device("kiosk-3").isOnline)
    // It was heard of, so silence is no reason to take it for offline.
    await fleet.engine.settlePresence()
    #expect(try await fleet.engine.device("kiosk-3").isOnline)
  }

  @Test func aMessageThatCannotBeStoredTakesNoOtherAlong() async throws {
    let fleet = try await fleetInWaves()
    try fleet.inDatabase(
      "CREATE TRIGGER broken BEFORE UPDATE ON devices WHEN NEW.name = 'kiosk-1' BEGIN \(Self.noSpace); END")
    for name: DeviceName in ["kiosk-1", "kiosk-2"] {
      push(fleet, Topic.presence(name), Presence(isOnline: false).json)
    }
    await fleet.engine.drain()
    #expect(try await fleet.engine.device("kiosk-1").isOnline)
    #expect(try await !fleet.engine.device("kiosk-2").isOnline)

    // Of what waits for the retry only the newest counts.
    push(fleet, Topic.presence("kiosk-1"), Presence(isOnline: true).json)
    await fleet.engine.drain()
    try fleet.inDatabase("DROP TRIGGER broken")
    await fleet.engine.retry()
    #expect(try await fleet.engine.device("kiosk-1").isOnline)
  }

  @Test func noReportOvertakesOneThatWasNotStored() async throws {
    let fleet = try await fleetInWaves()
    try fleet.inDatabase(
      "CREATE TRIGGER broken BEFORE UPDATE ON devices WHEN NEW.report_sequence = 1 BEGIN \(Self.noSpace); END")
    let reports = (1...2).map { sequence in
      DeviceReport(sequence: Int64(sequence), generation: Generation(1), status: .applying, components: [])
    }
    for report in reports { push(fleet, Topic.reported("kiosk-1"), report.json) }
    await fleet.engine.drain()
    #expect(try acknowledged(fleet, "kiosk-1").isEmpty)

    try fleet.inDatabase("DROP TRIGGER broken")
    for report in reports { push(fleet, Topic.reported("kiosk-1"), report.json) }
    await fleet.engine.drain()
    #expect(try acknowledged(fleet, "kiosk-1") == [2])
  }

  @Test func aTimerThatCouldNotBeHandledIsHandledLater() async throws {
    let fleet = try await fleetInWaves()
    fleet.clock.advance(seconds: 3_601)
    try fleet.inDatabase("CREATE TRIGGER no_space BEFORE UPDATE ON deployments BEGIN \(Self.noSpace); END")
    await fleet.engine.tick()
    #expect(try await fleet.engine.deployment(DeploymentID(1)).state == "rolling")
    try fleet.inDatabase("DROP TRIGGER no_space")
    await fleet.engine.retry()
    #expect(try await fleet.engine.deployment(DeploymentID(1)).state == "halted")
  }

  @Test func presenceThatCouldNotBeSettledIsSettledLater() async throws {
    let fleet = try await fleetInWaves()
    await fleet.disconnect()
    await fleet.reconnect()
    await fleet.setOnline("kiosk-1", true, isRetained: true)
    try fleet.inDatabase("CREATE TRIGGER no_space BEFORE UPDATE ON devices BEGIN \(Self.noSpace); END")
    await fleet.engine.settlePresence()
    #expect(try await fleet.engine.fleet().online == 2)
    try fleet.inDatabase("DROP TRIGGER no_space")
    await fleet.engine.settlePresence()
    #expect(try await fleet.engine.fleet().online == 1)
    #expect(try await fleet.engine.device("kiosk-1").isOnline)
  }
}
