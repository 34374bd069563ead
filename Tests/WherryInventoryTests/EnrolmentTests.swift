import Testing
import WherryDatabase
import WherryModel
import WherryWire

@testable import WherryInventory

/// Names and claims when devices are removed, meet, or come back.
@Suite struct EnrolmentTests {
  private func token(_ fleet: EngineFixture, _ request: ClaimRequest) async throws -> String {
    let claim = try await fleet.engine.createClaim(request, by: "t")
    return try Claim(text: try #require(claim.claim)).token
  }

  private func refusal(
    _ fleet: EngineFixture, _ request: ProvisioningRequest, _ token: String
  ) async -> Refusal? {
    await #expect(throws: Refusal.self) { _ = try await fleet.engine.provision(request, token: token) }
  }

  @Test(arguments: [DeviceName("kiosk-1"), nil])
  func aRemovedDeviceDoesNotComeBackWithItsOldRequest(claimed: DeviceName?) async throws {
    let fleet = try await EngineFixture()
    let token = try await token(fleet, ClaimRequest(device: claimed))
    let request = try EngineFixture.request("kiosk-1")
    _ = try await fleet.engine.provision(request, token: token)
    // An answer that was lost is given again while the device is there.
    _ = try await fleet.engine.provision(request, token: token)

    try await fleet.engine.removeDevice("kiosk-1", by: "t")
    #expect(await refusal(fleet, request, token)?.code == "claim.unknown")
    #expect(try await fleet.engine.devices().isEmpty)
    #expect(try await fleet.engine.revokedDevices() == ["kiosk-1"])
  }

  @Test func aRemovedDeviceTakesItsUnusedClaimsWithItAndNoOthers() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    let own = try await token(fleet, ClaimRequest(device: "kiosk-1"))
    let other = try await token(fleet, ClaimRequest(device: "kiosk-2"))
    try await fleet.engine.removeDevice("kiosk-1", by: "t")
    #expect(await refusal(fleet, try EngineFixture.request("kiosk-1"), own)?.code == "claim.unknown")
    _ = try await fleet.engine.provision(try EngineFixture.request("kiosk-2"), token: other)
    #expect(try await fleet.engine.devices().map(\.name) == ["kiosk-2"])
  }

  /// As a database written before removal took claims along may still have it.
  @Test func aUsedUpClaimRepeatsNothingForADeviceThatIsGone() async throws {
    let fleet = try await EngineFixture()
    let token = try await token(fleet, ClaimRequest())
    let request = try EngineFixture.request("kiosk-1")
    _ = try await fleet.engine.provision(request, token: token)
    try await fleet.engine.forget("kiosk-1")
    #expect(await refusal(fleet, request, token)?.code == "claim.used")
    #expect(try await fleet.engine.devices().isEmpty)
  }

  @Test(.timeLimit(.minutes(10))) func ofTwoThatAskForOneNameAtOnceOneGetsIt() async throws {
    let fleet = try await EngineFixture()
    let engine = try fleet.secondEngine(images: MeetingImages())
    _ = try await engine.createGroup("kiosks", by: "t")
    let recipe = EngineFixture.containerRecipe("1.0.0", image: "registry.example.com/team/web:1")
    _ = try await engine.publish(PublicationRequest(recipe: recipe, fileName: "r.yaml"), by: "t")
    let component = DeployedComponent(requirement: VersionRequirement(exactly: Version(1, 0, 0)))
    _ = try await engine.deploy(
      DeploymentRequest(target: .group("kiosks"), components: ["com.example.web": component]), by: "t")
    let claim = try await engine.createClaim(ClaimRequest(groups: ["kiosks"], uses: 5), by: "t")
    let token = try Claim(text: try #require(claim.claim)).token

    // Both are checked, and then wait for the registry at the same time.
    let requests = [try EngineFixture.request("kiosk-1"), try EngineFixture.request("kiosk-1")]
    async let first = Self.outcome(of: requests[0], token, engine)
    async let second = Self.outcome(of: requests[1], token, engine)
    let outcomes = try await [first, second]
    #expect(outcomes.compactMap { $0 }.map(\.code) == ["device.exists"])
    #expect(try await engine.claims().map(\.usesLeft) == [4])
    await engine.stop()
  }

  /// nil when it was let in.
  private static func outcome(
    of request: ProvisioningRequest, _ token: String, _ engine: InventoryEngine
  ) async throws -> Refusal? {
    do {
      _ = try await engine.provision(request, token: token)
      return nil
    } catch let refusal as Refusal {
      return refusal
    }
  }

  @Test func aDeviceThatIsInstalledAnewGetsWhatWorkedAndNotWhatFailed() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    for version in ["1.0.0", "2.0.0"] { try await fleet.publish(EngineFixture.recipe(version)) }
    _ = try await fleet.deploy(["com.example.hello": Version(1, 0, 0)])
    try await fleet.report("kiosk-1", 1, .committed)
    _ = try await fleet.deploy(["com.example.hello": Version(2, 0, 0)])
    let failure = Failure(.start, code: "component.exited", message: "com.example.hello exited with 1")
    try await fleet.report("kiosk-1", 2, .rolledBack, failure: failure)
    let failed = try #require(try fleet.orders(to: "kiosk-1").last)
    #expect(failed.plan?["com.example.hello"]?.version == Version(2, 0, 0))

    try await fleet.provision("kiosk-1")
    let order = try #require(try fleet.orders(to: "kiosk-1").last)
    #expect(order.plan?["com.example.hello"]?.version == Version(1, 0, 0))
    #expect(order.statement.generation > failed.statement.generation)
  }

  @Test func aDeviceThatIsInstalledAnewBeforeItsFirstOrderGetsNone() async throws {
    let fleet = try await EngineFixture()
    for _ in 0..<2 { try await fleet.provision("kiosk-1") }
    #expect(try fleet.orders(to: "kiosk-1").isEmpty)
  }
}

/// A registry that answers when two have asked.
private actor MeetingImages: ImagePinning {
  private let (meeting, both) = AsyncStream.makeStream(of: Void.self)
  private var isOneHere = false

  func pin(_ reference: String, platform: Platform) async throws -> PlannedImage {
    if isOneHere {
      both.finish()
    } else {
      isOneHere = true
      // Ends with its task, too: a test that is given up ends.
      for await _ in meeting {}
    }
    return try await FakeImages().pin(reference, platform: platform)
  }
}

extension EngineFixture {
  /// A second engine beside the first, on a database of its own.
  fileprivate func secondEngine(images: any ImagePinning) throws -> InventoryEngine {
    let trust = TrustRoot(
      version: 1, keys: [SigningKey(id: signingKey.publicKey.keyID, publicKey: signingKey.publicKey.raw)])
    let environment = EngineEnvironment(
      authority: authority, signingKey: signingKey, trustRoot: trust,
      endpoints: Endpoints(
        operatorURL: "https://localhost:1", deviceURL: "https://localhost:2", brokerHost: "localhost", brokerPort: 3),
      blobs: blobs, images: images, now: { [clock] in clock.now })
    return try InventoryEngine(
      database: try InventoryDatabase(path: directory.path + "/second.db"), bus: RecordingBus(),
      environment: environment)
  }
}

extension InventoryEngine {
  /// Takes the device out of the inventory and nothing else.
  fileprivate func forget(_ name: DeviceName) throws { try commit { try database.removeDevice(name) } }
}
