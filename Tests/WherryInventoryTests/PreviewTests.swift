import Testing
import WherryJSON
import WherryModel
import WherryWire

@testable import WherryInventory

/// `wherry deploy --plan`: what it says is what happens, and it does nothing.
@Suite struct PreviewTests {
  private func request(
    _ components: [ComponentName: String], waves: [RolloutPolicy.Size] = [.percent(100)]
  ) throws -> DeploymentRequest {
    var policy = RolloutPolicy()
    policy.waves = waves
    return DeploymentRequest(
      target: .group("kiosks"),
      components: try components.mapValues {
        DeployedComponent(requirement: try #require(VersionRequirement($0)))
      }, rollout: policy, apply: ApplyPolicy())
  }

  private func lines(_ preview: DeploymentPreview) -> [String] {
    preview.devices.map { device in
      let changes = device.changes.map { "\($0.component) \($0.kind)" }.joined(separator: ", ")
      return "\(device.name) \(device.wave) \(device.bytesToDownload) " + (device.refusal == nil ? changes : "refused")
    }
  }

  @Test func itSaysWhatHappensAndDoesNothing() async throws {
    let fleet = try await EngineFixture()
    for name: DeviceName in ["kiosk-1", "kiosk-2"] { try await fleet.provision(name, isOnline: name == "kiosk-1") }
    try await fleet.publish(EngineFixture.recipe("1.0.0"))
    try await fleet.publish(EngineFixture.recipe("1.1.0"))
    try await fleet.publish(EngineFixture.containerRecipe("1.0.0", image: "registry.example.com/team/web:1"))
    let first = try request(
      ["com.example.hello": "1.0.0", "com.example.web": "^1.0.0"], waves: [.count(1), .percent(100)])
    let preview = try await fleet.engine.preview(first)
    #expect(
      lines(preview) == [
        "kiosk-1 1 10 com.example.hello added, com.example.web added",
        "kiosk-2 2 10 com.example.hello added, com.example.web added",
      ])
    #expect(preview.waves == [1, 1] && preview.devices.map(\.isOnline) == [true, false])
    #expect(preview.components["com.example.web"] == "1.0.0", "ranges are chosen")
    #expect(try DeploymentPreview(JSONCursor(preview.json)) == preview)
    #expect(try await fleet.engine.deployments().isEmpty)
    #expect(try fleet.orders(to: "kiosk-1").isEmpty)
    #expect(try await fleet.engine.device("kiosk-1").generation == Generation(0))

    _ = try await fleet.engine.deploy(first, by: "test")
    let order = try #require(try fleet.orders(to: "kiosk-1").last?.plan)
    #expect(order.components.map(\.name).sorted() == preview.devices[0].changes.map(\.component))
    let again = try await fleet.engine.preview(first)
    #expect(lines(again)[0] == "kiosk-1 1 0 com.example.hello unchanged, com.example.web unchanged")
    #expect(lines(again)[1].contains("added"), "the other was not told yet")

    let second = try await fleet.engine.preview(try request(["com.example.hello": "^1.1.0"]))
    #expect(lines(second)[0] == "kiosk-1 1 0 com.example.hello changed, com.example.web removed")
    #expect(second.devices[0].changes[0].to == Version(1, 1, 0))
  }

  @Test func configurationsAreToldApart() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    try await fleet.publish(EngineFixture.recipe("1.0.0"))
    _ = try await fleet.engine.deploy(try request(["com.example.hello": "1.0.0"]), by: "test")
    var other = try request(["com.example.hello": "1.0.0"])
    other.components["com.example.hello"]?.merge = ["greeting": "moin"]
    #expect(try await lines(fleet.engine.preview(other)) == ["kiosk-1 1 0 com.example.hello reconfigured"])
  }

  @Test func canariesAreTheFirstWave() async throws {
    let fleet = try await EngineFixture()
    for name: DeviceName in ["kiosk-1", "kiosk-2", "kiosk-3"] {
      let claim = try await fleet.engine.createClaim(
        ClaimRequest(device: name, groups: ["kiosks"], labels: name == "kiosk-3" ? ["ring": "canary"] : [:]), by: "test"
      )
      let token = try Claim(text: claim.claim ?? "").token
      _ = try await fleet.engine.provision(try EngineFixture.request(name), token: token)
      await fleet.setOnline(name, true)
    }
    try await fleet.publish(EngineFixture.recipe("1.0.0"))
    var asked = try request(["com.example.hello": "1.0.0"], waves: [.percent(100)])
    asked.rollout.canary = ["ring": "canary"]
    let preview = try await fleet.engine.preview(asked)
    #expect(preview.waves == [1, 2] && preview.devices.map(\.wave) == [2, 2, 1])
    _ = try await fleet.engine.deploy(asked, by: "test")
    #expect(try fleet.orders(to: "kiosk-3").count == 1 && fleet.orders(to: "kiosk-1").isEmpty)
    try await fleet.report("kiosk-3", 1, .committed)
    #expect(try fleet.orders(to: "kiosk-1").count == 1)
    asked.rollout.canary = ["ring": "none"]
    let refusal = await #expect(throws: Refusal.self) { try await fleet.engine.deploy(asked, by: "test") }
    #expect(refusal?.code == "rollout.noCanary")
  }

  @Test func whoCannotHaveItIsNamed() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    try await fleet.publish(
      EngineFixture.recipe("1.0.0").replacing("os: linux", with: "os: linux\n      architecture: riscv64"))
    let preview = try await fleet.engine.preview(try request(["com.example.hello": "1.0.0"]))
    #expect(lines(preview) == ["kiosk-1 1 0 refused"])
    #expect(preview.devices[0].refusal?.contains("com.example.hello") == true)
    await #expect(throws: Refusal.self) { try await fleet.engine.preview(request(["com.example.none": "1.0.0"])) }
  }
}
