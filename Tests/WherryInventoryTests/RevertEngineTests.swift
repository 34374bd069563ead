import Testing
import WherryModel
import WherryWire

@testable import WherryInventory

/// What devices are told when a rollout that reverts halts.
@Suite struct RevertEngineTests {
  @Test func aHaltThatRevertsOrdersWhatWasThereBefore() async throws {
    let fleet = try await EngineFixture()
    for name: DeviceName in ["kiosk-1", "kiosk-2", "kiosk-3"] { try await fleet.provision(name) }
    for version in ["1.0.0", "2.0.0"] { try await fleet.publish(EngineFixture.recipe(version)) }
    _ = try await fleet.deploy(["com.example.hello": Version(1, 0, 0)])
    for name: DeviceName in ["kiosk-1", "kiosk-2", "kiosk-3"] { try await fleet.report(name, 1, .committed) }
    _ = try await fleet.deploy(["com.example.hello": Version(2, 0, 0)], onFailure: .revert)
    // One has it, one is at it, one fails and has gone back by itself.
    try await fleet.report("kiosk-1", 2, .committed)
    try await fleet.report("kiosk-2", 2, .applying)
    let failure = Failure(.start, code: "x", message: "it fell over")
    try await fleet.report("kiosk-3", 2, .rolledBack, failure: failure)
    let summary = try await fleet.engine.deployment(DeploymentID(2))
    #expect(summary.state == "halted" && summary.reason.contains("2 devices go back"))
    #expect(
      Dictionary(uniqueKeysWithValues: summary.devices.map { ($0.name, $0.status) })
        == ["kiosk-1": "reverted", "kiosk-2": "reverted", "kiosk-3": "failed"])
    for name: DeviceName in ["kiosk-1", "kiosk-2"] {
      let order = try #require(try fleet.orders(to: name).last)
      #expect(order.statement.generation == Generation(3))
      #expect(order.plan?["com.example.hello"]?.version == Version(1, 0, 0))
    }
    #expect(try fleet.orders(to: "kiosk-3").last?.statement.generation == Generation(2))
    // They end there, also after a restart of the service, and the next deployment goes on from it.
    try await fleet.restart()
    try await fleet.report("kiosk-2", 3, .superseded, generation: 2)
    for name: DeviceName in ["kiosk-1", "kiosk-2"] { try await fleet.report(name, 4, .committed) }
    let halted = try await fleet.engine.deployment(DeploymentID(2))
    #expect(halted.devices.filter { $0.status == "reverted" }.count == 2)
    #expect(try await fleet.engine.device("kiosk-2").status == .committed)
  }

  @Test func theFirstDeploymentOfATargetIsTakenOffAgain() async throws {
    let fleet = try await EngineFixture()
    for name: DeviceName in ["kiosk-1", "kiosk-2"] { try await fleet.provision(name) }
    try await fleet.publish(EngineFixture.recipe("1.0.0"))
    _ = try await fleet.deploy(["com.example.hello": Version(1, 0, 0)], onFailure: .revert)
    try await fleet.report("kiosk-1", 1, .committed)
    try await fleet.report("kiosk-2", 1, .failed, failure: Failure(.start, code: "x", message: "it fell over"))
    let order = try #require(try fleet.orders(to: "kiosk-1").last)
    #expect(order.statement.generation == Generation(2) && order.plan?.components.isEmpty == true)
  }
}
