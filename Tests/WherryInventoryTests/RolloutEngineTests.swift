import Testing
import WherryCrypto
import WherryJSON
import WherryModel
import WherryPlanning
import WherryWire

@testable import WherryInventory

@Suite struct RolloutEngineTests {
  @Test func aDeploymentGivesEachDeviceASignedOrderWithItsPlan() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    try await fleet.publish(EngineFixture.recipe("1.0.0"))
    let summary = try await fleet.deploy(["com.example.hello": Version(1, 0, 0)])
    #expect(summary.id == DeploymentID(1))
    #expect(summary.state == "rolling")

    let order = try #require(try fleet.orders(to: "kiosk-1").last)
    #expect(order.isSigned)
    #expect(order.statement.device == "kiosk-1")
    #expect(order.statement.generation == Generation(1))
    #expect(order.statement.expires > fleet.clock.now)
    let text = try #require(order.planText)
    #expect(order.statement.plan == SHA256.digest(of: text))
    #expect(order.statement.planSize == Int64(text.utf8.count))
    let plan = try #require(order.plan)
    #expect(plan.deployments == [DeploymentID(1)])
    #expect(plan.components.map(\.name) == ["com.example.hello"])
    #expect(PlanChecker.problems(in: plan).isEmpty)
  }

  @Test func aReportIsAcknowledgedAfterItsCommitAndAgainWhenItComesTwice() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    try await fleet.publish(EngineFixture.recipe("1.0.0"))
    _ = try await fleet.deploy(["com.example.hello": Version(1, 0, 0)])
    try await fleet.report("kiosk-1", 5, .committed)
    try await fleet.report("kiosk-1", 5, .committed)
    try await fleet.report("kiosk-1", 3, .applying)
    let acknowledged = try fleet.bus.messages(to: Topic.acked("kiosk-1")).map {
      try Acknowledgement(JSONCursor(try JSON(parsing: $0.payload))).sequence
    }
    #expect(acknowledged == [5, 5, 5])
    let device = try await fleet.engine.device("kiosk-1")
    #expect(device.status == .committed)
    #expect(try await fleet.engine.fleet().byComponentState == ["RUNNING": 1])
    #expect(try await fleet.engine.deployment(DeploymentID(1)).state == "completed")
    #expect(await fleet.engine.statistics.duplicateReports == 2)
  }

  @Test func whoFailedIsOrderedAnewByARetry() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    try await fleet.publish(EngineFixture.recipe("1.0.0"))
    let id = try await fleet.deploy(["com.example.hello": Version(1, 0, 0)]).id
    try await fleet.report("kiosk-1", 1, .failed, failure: Failure(.start, code: "x", message: "it fell over"))
    #expect(try await fleet.engine.deployment(id).state == "halted")
    #expect(try await fleet.engine.control(id, .retry, by: "test").state == "rolling")
    let orders = try fleet.orders(to: "kiosk-1")
    #expect(orders.count == 2 && orders[1].statement.generation == Generation(2))
    #expect(orders[1].plan?.components.count == 1)
    // What it says of the first try comes late, and changes nothing.
    try await fleet.report("kiosk-1", 2, .failed, generation: 1)
    #expect(try await fleet.engine.deployment(id).state == "rolling")
    try await fleet.report("kiosk-1", 3, .committed)
    #expect(try await fleet.engine.deployment(id).state == "completed")
    _ = try await fleet.deploy(["com.example.hello": Version(1, 0, 0)])
    let refusal = await #expect(throws: Refusal.self) {
      _ = try await fleet.engine.control(id, .retry, by: "test")
    }
    #expect(refusal.map { "\($0)" }?.contains("is not the newest") == true, "\(refusal.debugDescription)")
  }

  @Test func wavesOpenOneAfterTheOther() async throws {
    let fleet = try await EngineFixture()
    for name: DeviceName in ["kiosk-1", "kiosk-2", "kiosk-3"] { try await fleet.provision(name) }
    try await fleet.publish(EngineFixture.recipe("1.0.0"))
    _ = try await fleet.deploy(["com.example.hello": Version(1, 0, 0)], waves: [.count(1), .percent(100)])
    #expect(try fleet.orders(to: "kiosk-1").count == 1)
    #expect(try fleet.orders(to: "kiosk-2").isEmpty)
    try await fleet.report("kiosk-1", 1, .committed)
    #expect(try fleet.orders(to: "kiosk-2").count == 1)
    #expect(try fleet.orders(to: "kiosk-3").count == 1)
    try await fleet.report("kiosk-2", 1, .committed)
    try await fleet.report("kiosk-3", 1, .committed)
    let summary = try await fleet.engine.deployment(DeploymentID(1))
    #expect(summary.state == "completed")
    #expect(summary.finishedAt != nil)
    #expect(summary.waves.map(\.committed) == [1, 2])
  }

  @Test func aFailureHaltsTheRolloutAndTheNextPlanLeavesTheFailedVersionOut() async throws {
    let fleet = try await EngineFixture()
    for name: DeviceName in ["kiosk-1", "kiosk-2"] { try await fleet.provision(name) }
    for version in ["1.0.0", "2.0.0"] { try await fleet.publish(EngineFixture.recipe(version)) }
    try await fleet.publish(EngineFixture.recipe("1.0.0", of: "com.example.other"))
    _ = try await fleet.deploy(["com.example.hello": Version(1, 0, 0)])
    for name: DeviceName in ["kiosk-1", "kiosk-2"] { try await fleet.report(name, 1, .committed) }

    _ = try await fleet.deploy(["com.example.hello": Version(2, 0, 0)], waves: [.count(1), .percent(100)])
    let failure = Failure(
      .start, code: "component.exited", message: "com.example.hello exited with 1", component: "com.example.hello",
      log: ["boom"])
    try await fleet.report("kiosk-1", 2, .rolledBack, failure: failure)
    let summary = try await fleet.engine.deployment(DeploymentID(2))
    #expect(summary.state == "halted")
    #expect(!summary.reason.isEmpty)
    #expect(summary.devices.first { $0.name == "kiosk-1" }?.failure?.log == ["boom"])
    #expect(try fleet.orders(to: "kiosk-2").count == 1)

    // Another deployment to the same device builds on what the device went back to.
    _ = try await fleet.deploy(["com.example.other": Version(1, 0, 0)], to: .device("kiosk-1"))
    let order = try #require(try fleet.orders(to: "kiosk-1").last)
    #expect(order.statement.generation == Generation(3))
    let versions = order.plan?.components.map { "\($0.name) \($0.version)" }.sorted()
    #expect(versions == ["com.example.hello 1.0.0", "com.example.other 1.0.0"])
  }

  @Test func aDeviceThatWasAwayGetsExactlyTheLatest() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    try await fleet.provision("kiosk-2", isOnline: false)
    for version in ["1.0.0", "2.0.0"] { try await fleet.publish(EngineFixture.recipe(version)) }
    for (sequence, version) in [(Int64(1), Version(1, 0, 0)), (2, Version(2, 0, 0))] {
      _ = try await fleet.deploy(["com.example.hello": version])
      try await fleet.report("kiosk-1", sequence, .committed)
    }
    await fleet.setOnline("kiosk-2", true)
    let order = try #require(try fleet.orders(to: "kiosk-2").last)
    #expect(order.plan?["com.example.hello"]?.version == Version(2, 0, 0))
    try await fleet.report("kiosk-2", 1, .committed)
    #expect(try await fleet.engine.deployment(DeploymentID(2)).devices.allSatisfy { $0.status == "committed" })
  }

  @Test func comingOnlineRepeatsTheOrderUnderTheSameGeneration() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    try await fleet.publish(EngineFixture.recipe("1.0.0"))
    _ = try await fleet.deploy(["com.example.hello": Version(1, 0, 0)])
    await fleet.setOnline("kiosk-1", false)
    fleet.bus.forget()
    await fleet.setOnline("kiosk-1", true)
    #expect(try fleet.orders(to: "kiosk-1").map(\.statement.generation) == [Generation(1)])
    // Our own subscription brings retained presence: that is no new arrival.
    try await fleet.report("kiosk-1", 1, .applying)
    fleet.bus.forget()
    await fleet.setOnline("kiosk-1", true, isRetained: true)
    #expect(try fleet.orders(to: "kiosk-1").isEmpty)
  }

  @Test func aNewerDeploymentToTheTargetSupersedesTheOneUnderWay() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    for version in ["1.0.0", "2.0.0"] { try await fleet.publish(EngineFixture.recipe(version)) }
    _ = try await fleet.deploy(["com.example.hello": Version(1, 0, 0)])
    _ = try await fleet.deploy(["com.example.hello": Version(2, 0, 0)])
    #expect(try await fleet.engine.deployment(DeploymentID(1)).state == "superseded")
    // A late report of the old order changes nothing for the new one.
    try await fleet.report("kiosk-1", 1, .rolledBack, generation: 1)
    #expect(try await fleet.engine.deployment(DeploymentID(2)).state == "rolling")
    try await fleet.report("kiosk-1", 2, .committed)
    #expect(try await fleet.engine.deployment(DeploymentID(2)).state == "completed")
  }

  @Test func restartingLosesNothing() async throws {
    let fleet = try await EngineFixture()
    for name: DeviceName in ["kiosk-1", "kiosk-2"] { try await fleet.provision(name) }
    try await fleet.publish(EngineFixture.recipe("1.0.0"))
    _ = try await fleet.deploy(["com.example.hello": Version(1, 0, 0)], waves: [.count(1), .percent(100)])
    let before = try await fleet.engine.deployment(DeploymentID(1))

    // The broker never acknowledged the order, so it is owed still.
    try await fleet.restart()
    #expect(try fleet.orders(to: "kiosk-1").map(\.statement.generation) == [Generation(1)])
    #expect(try await fleet.engine.deployment(DeploymentID(1)) == before)
    #expect(try await fleet.engine.fleet().devices == 2)

    await fleet.acknowledgeAll()
    #expect(try await fleet.engine.outboxCount() == 0)
    try await fleet.report("kiosk-1", 1, .applying)
    try await fleet.restart()
    #expect(try fleet.orders(to: "kiosk-1").isEmpty)

    // The rollout goes on where it was.
    var report = DeviceReport(
      sequence: 2, generation: Generation(1), status: .committed, components: [])
    report.running = try await fleet.engine.desiredPlan(of: "kiosk-1")
    await fleet.deliver(Topic.reported("kiosk-1"), report.json)
    #expect(try fleet.orders(to: "kiosk-2").count == 1)
  }

  @Test func aDeviceThatHasSeenMoreThanTheServiceGetsANewerGeneration() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    try await fleet.publish(EngineFixture.recipe("1.0.0"))
    _ = try await fleet.deploy(["com.example.hello": Version(1, 0, 0)])
    try await fleet.report("kiosk-1", 1, .committed, generation: 7)
    #expect(try fleet.orders(to: "kiosk-1").last?.statement.generation == Generation(8))
  }

  @Test func joiningAGroupBringsItsDeploymentAndLeavingTakesItAway() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    try await fleet.provision("kiosk-2", groups: [])
    try await fleet.publish(EngineFixture.recipe("1.0.0"))
    _ = try await fleet.deploy(["com.example.hello": Version(1, 0, 0)])
    try await fleet.report("kiosk-1", 1, .committed)
    #expect(try fleet.orders(to: "kiosk-2").isEmpty)

    _ = try await fleet.engine.add("kiosk-2", to: "kiosks", by: "test")
    #expect(try fleet.orders(to: "kiosk-2").last?.plan?.components.count == 1)
    _ = try await fleet.engine.remove("kiosk-2", from: "kiosks", by: "test")
    let last = try #require(try fleet.orders(to: "kiosk-2").last)
    #expect(last.plan?.components.isEmpty == true)
    #expect(last.statement.generation == Generation(2))
  }

  @Test func anImageIsPinnedWhenTheDeploymentIsCreatedAndStaysPinned() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    try await fleet.publish(EngineFixture.containerRecipe("1.0.0", image: "registry.example.com/team/web:1"))
    _ = try await fleet.deploy(["com.example.web": Version(1, 0, 0)])
    let first = try #require(try fleet.orders(to: "kiosk-1").last?.plan?["com.example.web"]?.image)
    try await fleet.report("kiosk-1", 1, .committed)

    fleet.images.state.withLock { $0.byte = 2 }
    try await fleet.provision("kiosk-2")
    #expect(try fleet.orders(to: "kiosk-2").last?.plan?["com.example.web"]?.image == first)
    _ = try await fleet.deploy(["com.example.web": Version(1, 0, 0)])
    #expect(try fleet.orders(to: "kiosk-1").last?.plan?["com.example.web"]?.image?.manifest != first.manifest)
  }

  @Test func aRegistryThatIsDownRefusesTheDeploymentWhole() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    try await fleet.publish(EngineFixture.containerRecipe("1.0.0", image: "registry.example.com/team/web:1"))
    fleet.images.state.withLock { $0.isDown = true }
    let refusal = await #expect(throws: Refusal.self) {
      _ = try await fleet.deploy(["com.example.web": Version(1, 0, 0)])
    }
    #expect(refusal?.status == 502)
    #expect(refusal?.description == "the registry is down; start it")
    #expect(try await fleet.engine.deployments().isEmpty)
    #expect(try fleet.orders(to: "kiosk-1").isEmpty)
  }

  @Test func aDeploymentThatCannotBePlannedIsRefusedWithItsReasons() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    let dependency = """
      ComponentDependencies:
        com.example.missing:
          VersionRequirement: ">=1.0.0"
      """
    try await fleet.publish(EngineFixture.recipe("1.0.0", extra: dependency))
    let refusal = await #expect(throws: Refusal.self) {
      _ = try await fleet.deploy(["com.example.hello": Version(1, 0, 0)])
    }
    #expect(refusal?.status == 422)
    #expect(refusal?.detail.contains("com.example.missing") == true)
    #expect(try await fleet.engine.deployments().isEmpty)
  }

  @Test func unknownVersionsGroupsAndDevicesAreNamed() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    try await fleet.publish(EngineFixture.recipe("1.0.0"))
    let version = await #expect(throws: Refusal.self) {
      _ = try await fleet.deploy(["com.example.hello": Version(9, 0, 0)])
    }
    #expect(version?.description.contains("com.example.hello satisfies 9.0.0; there are 1.0.0") == true)
    let group = await #expect(throws: Refusal.self) {
      _ = try await fleet.deploy(["com.example.hello": Version(1, 0, 0)], to: .group("nobody"))
    }
    #expect(group?.detail == "there is no group nobody")
  }

  @Test func pauseHoldsWavesAndResumeOpensThem() async throws {
    let fleet = try await EngineFixture()
    for name: DeviceName in ["kiosk-1", "kiosk-2"] { try await fleet.provision(name) }
    try await fleet.publish(EngineFixture.recipe("1.0.0"))
    _ = try await fleet.deploy(["com.example.hello": Version(1, 0, 0)], waves: [.count(1), .percent(100)])
    #expect(try await fleet.engine.control(DeploymentID(1), .pause, by: "test").state == "paused")
    try await fleet.report("kiosk-1", 1, .committed)
    #expect(try fleet.orders(to: "kiosk-2").isEmpty)
    #expect(try await fleet.engine.control(DeploymentID(1), .resume, by: "test").state == "rolling")
    #expect(try fleet.orders(to: "kiosk-2").count == 1)
    #expect(try await fleet.engine.control(DeploymentID(1), .cancel, by: "test").state == "cancelled")
    let ended = await #expect(throws: Refusal.self) {
      _ = try await fleet.engine.control(DeploymentID(1), .resume, by: "test")
    }
    #expect(ended?.status == 409)
  }

  @Test func whoIsSilentAfterTheBrokersReturnIsTakenForOffline() async throws {
    let fleet = try await EngineFixture()
    for name: DeviceName in ["kiosk-1", "kiosk-2"] { try await fleet.provision(name) }
    try await fleet.restart()
    await fleet.setOnline("kiosk-1", true, isRetained: true)
    #expect(try await fleet.engine.fleet().online == 2)
    await fleet.engine.settlePresence()
    #expect(try await fleet.engine.device("kiosk-1").isOnline)
    #expect(try await !fleet.engine.device("kiosk-2").isOnline)
    #expect(try await fleet.engine.fleet().online == 1)
  }

  @Test func aCommittedDeploymentIsNotJudgedByALaterOnesFailure() async throws {
    let fleet = try await EngineFixture()
    for name: DeviceName in ["kiosk-1", "kiosk-2"] { try await fleet.provision(name) }
    try await fleet.publish(EngineFixture.recipe("1.0.0"))
    try await fleet.publish(EngineFixture.recipe("1.0.0", of: "com.example.other"))
    _ = try await fleet.deploy(["com.example.hello": Version(1, 0, 0)])
    try await fleet.report("kiosk-1", 1, .committed)
    _ = try await fleet.deploy(["com.example.other": Version(1, 0, 0)], to: .device("kiosk-1"))
    try await fleet.report("kiosk-1", 2, .rolledBack)
    #expect(try await fleet.engine.deployment(DeploymentID(2)).state == "halted")
    #expect(try await fleet.engine.deployment(DeploymentID(1)).state == "rolling")
    try await fleet.report("kiosk-2", 1, .committed)
    #expect(try await fleet.engine.deployment(DeploymentID(1)).state == "completed")
  }

  @Test func aDeviceThatNeverAnswersFailsByTheTimer() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    try await fleet.publish(EngineFixture.recipe("1.0.0"))
    _ = try await fleet.deploy(["com.example.hello": Version(1, 0, 0)])
    fleet.clock.advance(seconds: 3_601)
    await fleet.engine.tick()
    let summary = try await fleet.engine.deployment(DeploymentID(1))
    #expect(summary.state == "halted")
    #expect(summary.devices.first?.failure?.failureClass == .timeout)
  }

  @Test func aGroupMadeAgainStartsWithNothing() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    try await fleet.publish(EngineFixture.recipe("1.0.0"))
    _ = try await fleet.deploy(["com.example.hello": Version(1, 0, 0)])
    try await fleet.report("kiosk-1", 1, .committed)
    try await fleet.engine.removeGroup("kiosks", by: "test")
    #expect(try fleet.orders(to: "kiosk-1").last?.plan?.components.isEmpty == true)
    let count = try fleet.orders(to: "kiosk-1").count
    _ = try await fleet.engine.createGroup("kiosks", by: "test")
    _ = try await fleet.engine.add("kiosk-1", to: "kiosks", by: "test")
    #expect(try fleet.orders(to: "kiosk-1").count == count)
    #expect(try await fleet.engine.deployment(DeploymentID(1)).state == "cancelled")
  }

  @Test func removingAGroupInTheMiddleOfARolloutReachesNobodyElse() async throws {
    let fleet = try await EngineFixture()
    for name: DeviceName in ["kiosk-1", "kiosk-2"] { try await fleet.provision(name) }
    try await fleet.publish(EngineFixture.recipe("1.0.0"))
    _ = try await fleet.deploy(["com.example.hello": Version(1, 0, 0)], waves: [.count(1), .percent(100)])
    try await fleet.engine.removeGroup("kiosks", by: "test")
    #expect(try fleet.orders(to: "kiosk-2").isEmpty)
    #expect(try fleet.orders(to: "kiosk-1").last?.plan?.components.isEmpty == true)
  }

  @Test func junkIsCountedAndHoldsUpNothing() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    fleet.bus.push(
      .received(TransportMessage(topic: Topic.reported("kiosk-1"), payload: [0xff, 0x00], isRetained: false)))
    fleet.bus.push(.received(TransportMessage(topic: "wherry/v1/devices/../reported", payload: [], isRetained: false)))
    await fleet.deliver(Topic.reported("nobody"), ["sequence": 1])
    try await fleet.report("kiosk-1", 1, .committed, generation: 0)
    #expect(await fleet.engine.statistics.refusedMessages == 2)
    #expect(await fleet.engine.statistics.reports == 1)
  }
}
