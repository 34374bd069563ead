import Testing
import WherryCrypto
import WherryDatabase
import WherryModel
import WherryWire

@testable import WherryInventory

@Suite struct DeviceEngineTests {
  @Test func aClaimGivesOneDeviceItsCertificateGroupsLabelsAndTrust() async throws {
    let fleet = try await EngineFixture()
    let claim = try await fleet.engine.createClaim(
      ClaimRequest(device: nil, groups: ["kiosks"], labels: ["site": "hall"], expiresInSeconds: 60, uses: 1), by: "t")
    let token = try Claim(text: try #require(claim.claim)).token
    // Its text is told once.
    #expect(try await fleet.engine.claims().map(\.id) == [claim.id])
    #expect(try await fleet.engine.claims().allSatisfy { $0.claim == nil })
    let request = try EngineFixture.request("kiosk-1")
    let response = try await fleet.engine.provision(request, token: token)
    #expect(response.trust.keys.map(\.publicKey) == [fleet.signingKey.publicKey.raw])
    #expect(Certificate.commonName(pem: response.certificate) == "kiosk-1")
    let device = try await fleet.engine.device("kiosk-1")
    #expect(device.groups == ["kiosks"])
    #expect(device.labels == ["site": "hall"])

    // The answer may have been lost: the same request gets it again.
    _ = try await fleet.engine.provision(request, token: token)
    let used = await #expect(throws: Refusal.self) {
      _ = try await fleet.engine.provision(try EngineFixture.request("kiosk-2"), token: token)
    }
    #expect(used?.code == "claim.used")
    #expect(try await fleet.engine.claims().isEmpty)
  }

  @Test func claimsThatAreExpiredForeignOrUnknownAreRefused() async throws {
    let fleet = try await EngineFixture()
    let claim = try await fleet.engine.createClaim(
      ClaimRequest(device: "kiosk-1", groups: [], labels: [:], expiresInSeconds: 60, uses: 1), by: "t")
    let token = try Claim(text: try #require(claim.claim)).token
    let foreign = await #expect(throws: Refusal.self) {
      _ = try await fleet.engine.provision(try EngineFixture.request("kiosk-2"), token: token)
    }
    #expect(foreign?.code == "claim.otherDevice")
    let unknown = await #expect(throws: Refusal.self) {
      _ = try await fleet.engine.provision(try EngineFixture.request("kiosk-1"), token: "guess")
    }
    #expect(unknown?.status == 401)
    #expect(try await fleet.engine.claims().compactMap(\.device) == ["kiosk-1"])
    fleet.clock.advance(seconds: 61)
    let expired = await #expect(throws: Refusal.self) {
      _ = try await fleet.engine.provision(try EngineFixture.request("kiosk-1"), token: token)
    }
    #expect(expired?.code == "claim.expired")
    #expect(try await fleet.engine.claims().isEmpty)
    #expect(try await fleet.engine.devices().isEmpty)
  }

  @Test func aNameIsTakenOnceUnlessTheClaimIsForExactlyIt() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    let open = try await fleet.engine.createClaim(
      ClaimRequest(device: nil, groups: [], labels: [:], expiresInSeconds: 60, uses: 5), by: "t")
    let token = try Claim(text: try #require(open.claim)).token
    let taken = await #expect(throws: Refusal.self) {
      _ = try await fleet.engine.provision(try EngineFixture.request("kiosk-1"), token: token)
    }
    #expect(taken?.code == "device.exists")
    let reserved = await #expect(throws: Refusal.self) {
      _ = try await fleet.engine.provision(try EngineFixture.request("wherry-inventory"), token: token)
    }
    #expect(reserved?.code == "device.reserved")
    try await fleet.provision("kiosk-1")
    #expect(try await fleet.engine.devices().count == 1)
  }

  @Test func aCertificateRequestForAnotherNameIsNotSigned() async throws {
    let fleet = try await EngineFixture()
    let claim = try await fleet.engine.createClaim(
      ClaimRequest(device: nil, groups: [], labels: [:], expiresInSeconds: 60, uses: 1), by: "t")
    var request = try EngineFixture.request("kiosk-1")
    request.device = "kiosk-2"
    let foreign = request
    let token = try Claim(text: try #require(claim.claim)).token
    let refusal = await #expect(throws: Refusal.self) {
      _ = try await fleet.engine.provision(foreign, token: token)
    }
    #expect(refusal?.code == "csr.refused")
  }

  @Test func aRemovedDeviceLosesItsRetainedOrderAndItsRights() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    try await fleet.publish(EngineFixture.recipe("1.0.0"))
    _ = try await fleet.deploy(["com.example.hello": Version(1, 0, 0)])
    try await fleet.engine.removeDevice("kiosk-1", by: "t")
    #expect(fleet.bus.messages(to: Topic.desired("kiosk-1")).last?.payload == [])
    #expect(try await fleet.engine.revokedDevices() == ["kiosk-1"])
    #expect(try await fleet.engine.fleet().devices == 0)
    try await fleet.provision("kiosk-1")
    #expect(try await fleet.engine.revokedDevices().isEmpty)
  }

  @Test func aTokenOpensSessionsThatEndWithTimeOrWhenTheTokenIsReplaced() async throws {
    let fleet = try await EngineFixture()
    let admin = OperatorToken(name: "admin", role: .admin)
    try await fleet.engine.setToken(admin, "wherry_old")
    #expect(try await fleet.engine.operatorToken("wherry_old")?.role == .admin)
    #expect(try await fleet.engine.operatorToken("wherry_guess") == nil)
    #expect(try await fleet.engine.openSession(token: "wherry_guess") == nil)
    let first = try #require(try await fleet.engine.openSession(token: "wherry_old"))
    #expect(try await fleet.engine.session(first)?.name == "admin")
    fleet.clock.advance(seconds: InventoryEngine.sessionSeconds + 1)
    #expect(try await fleet.engine.session(first) == nil)

    // Who lost the token resets it, and whoever found it is out, with the browser as well.
    let stolen = try #require(try await fleet.engine.openSession(token: "wherry_old"))
    try await fleet.engine.setToken(admin, "wherry_new")
    #expect(try await fleet.engine.session(stolen) == nil)
    #expect(try await fleet.engine.openSession(token: "wherry_old") == nil)
  }
}
