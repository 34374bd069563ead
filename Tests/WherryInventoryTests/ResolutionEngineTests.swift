import Testing
import WherryModel
import WherryWire

@testable import WherryInventory

/// A deployment's versions are chosen when it is created; what is published later changes none of it.
@Suite struct ResolutionEngineTests {
  private static func dependency(on name: String) -> String {
    """
    ComponentDependencies:
      \(name):
        VersionRequirement: "^1.0.0"
    """
  }

  /// kiosk-1 has hello 1.0.0 and with it lib 1.0.0, kiosk-2 waits for wave 2, and lib 1.1.0 has just been published.
  private func fleetBetweenWaves() async throws -> EngineFixture {
    let fleet = try await EngineFixture()
    for name: DeviceName in ["kiosk-1", "kiosk-2"] { try await fleet.provision(name) }
    try await fleet.publish(EngineFixture.recipe("1.0.0", of: "com.example.lib"))
    try await fleet.publish(EngineFixture.recipe("1.0.0", extra: Self.dependency(on: "com.example.lib")))
    _ = try await fleet.deploy(["com.example.hello": Version(1, 0, 0)], waves: [.count(1), .percent(100)])
    try await fleet.publish(EngineFixture.recipe("1.1.0", of: "com.example.lib"))
    return fleet
  }

  private func library(_ fleet: EngineFixture, on device: DeviceName) throws -> Version? {
    try fleet.orders(to: device).last?.plan?["com.example.lib"]?.version
  }

  @Test func aLaterWaveGetsTheVersionsOfTheFirst() async throws {
    let fleet = try await fleetBetweenWaves()
    try await fleet.report("kiosk-1", 1, .committed)
    let first = try #require(try fleet.orders(to: "kiosk-1").last)
    let second = try #require(try fleet.orders(to: "kiosk-2").last)
    #expect(second.planText == first.planText)
    #expect(try library(fleet, on: "kiosk-2") == Version(1, 0, 0))
    // Whoever deploys now gets what there is now.
    _ = try await fleet.deploy(["com.example.hello": Version(1, 0, 0)])
    #expect(try library(fleet, on: "kiosk-1") == Version(1, 1, 0))
  }

  @Test func aRestartForgetsNoVersion() async throws {
    let fleet = try await fleetBetweenWaves()
    try await fleet.report("kiosk-1", 1, .received)
    try await fleet.restart()
    var report = DeviceReport(sequence: 2, generation: Generation(1), status: .committed, components: [])
    report.running = try await fleet.engine.desiredPlan(of: "kiosk-1")
    await fleet.deliver(Topic.reported("kiosk-1"), report.json)
    #expect(try library(fleet, on: "kiosk-2") == Version(1, 0, 0))
  }

  @Test func aDeviceThatMeanwhileRunsMoreThanItsWaveExpectedGetsTheSameVersions() async throws {
    let fleet = try await fleetBetweenWaves()
    try await fleet.publish(EngineFixture.recipe("1.0.0", of: "com.example.other"))
    _ = try await fleet.deploy(["com.example.other": Version(1, 0, 0)], to: .device("kiosk-2"))
    try await fleet.report("kiosk-1", 1, .committed)
    let plan = try #require(try fleet.orders(to: "kiosk-2").last?.plan)
    #expect(plan.deployments == [DeploymentID(1), DeploymentID(2)])
    #expect(plan["com.example.lib"]?.version == Version(1, 0, 0))
  }

  @Test func aDeploymentBesideAnotherLeavesItsVersionsAlone() async throws {
    let fleet = try await fleetBetweenWaves()
    try await fleet.publish(EngineFixture.recipe("1.0.0", of: "com.example.other"))
    _ = try await fleet.deploy(["com.example.other": Version(1, 0, 0)], to: .device("kiosk-1"))
    #expect(try library(fleet, on: "kiosk-1") == Version(1, 0, 0))
  }

  @Test func aDeploymentThatNeedsMoreMovesWhatItShares() async throws {
    let fleet = try await fleetBetweenWaves()
    let needsNewer = Self.dependency(on: "com.example.lib").replacing("^1.0.0", with: ">=1.1.0")
    try await fleet.publish(EngineFixture.recipe("1.0.0", of: "com.example.other", extra: needsNewer))
    _ = try await fleet.deploy(["com.example.other": Version(1, 0, 0)], to: .device("kiosk-1"))
    #expect(try library(fleet, on: "kiosk-1") == Version(1, 1, 0))
  }

  @Test func anImageThatIsPublishedDuringARolloutIsNotNeededByIt() async throws {
    let fleet = try await EngineFixture()
    for name: DeviceName in ["kiosk-1", "kiosk-2"] { try await fleet.provision(name) }
    try await fleet.publish(EngineFixture.containerRecipe("1.0.0", image: "registry.example.com/team/web:1"))
    try await fleet.publish(EngineFixture.recipe("1.0.0", extra: Self.dependency(on: "com.example.web")))
    _ = try await fleet.deploy(["com.example.hello": Version(1, 0, 0)], waves: [.count(1), .percent(100)])
    try await fleet.publish(EngineFixture.containerRecipe("1.1.0", image: "registry.example.com/team/web:2"))
    try await fleet.report("kiosk-1", 1, .committed)
    let plan = try #require(try fleet.orders(to: "kiosk-2").last?.plan)
    #expect(plan["com.example.web"]?.version == Version(1, 0, 0))
    #expect(try await fleet.engine.deployment(DeploymentID(1)).state == "rolling")
  }

  @Test func aDeviceThatJoinsLaterGetsTheVersionsOfTheOthers() async throws {
    let fleet = try await fleetBetweenWaves()
    for name: DeviceName in ["kiosk-1", "kiosk-2"] { try await fleet.report(name, 1, .committed) }
    try await fleet.provision("kiosk-3")
    #expect(try library(fleet, on: "kiosk-3") == Version(1, 0, 0))

    let claim = try await fleet.engine.createClaim(ClaimRequest(device: "kiosk-4", groups: ["kiosks"]), by: "t")
    var request = try EngineFixture.request("kiosk-4")
    request.platform = Platform(["os": "linux", "architecture": "arm64"])
    _ = try await fleet.engine.provision(request, token: try Claim(text: try #require(claim.claim)).token)
    #expect(try library(fleet, on: "kiosk-4") == Version(1, 0, 0))
  }

  @Test func aDeploymentOfBeforeVersionsWereStoredGoesOn() async throws {
    let fleet = try await fleetBetweenWaves()
    try fleet.inDatabase("DELETE FROM resolutions")
    try await fleet.report("kiosk-1", 1, .committed)
    #expect(try library(fleet, on: "kiosk-2") == Version(1, 1, 0))
    try await fleet.report("kiosk-2", 1, .committed)
    // From the first plan on it stays as it is.
    try await fleet.publish(EngineFixture.recipe("1.2.0", of: "com.example.lib"))
    try await fleet.provision("kiosk-3")
    #expect(try library(fleet, on: "kiosk-3") == Version(1, 1, 0))
  }
}
