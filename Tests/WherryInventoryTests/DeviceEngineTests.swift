import Testing
import WherryCrypto
import WherryDatabase
import WherryJSON
import WherryModel
import WherryWire

@testable import WherryInventory

@Suite struct DeviceEngineTests {
  @Test func aClaimGivesOneDeviceItsCertificateGroupsLabelsAndTrust() async throws {
    let fleet = try await EngineFixture()
    let claim = try await fleet.engine.createClaim(
      ClaimRequest(device: nil, groups: ["kiosks"], labels: ["site": "hall"], expiresInSeconds: 60, uses: 1), by: "t")
    let token = try Claim(text: try #require(claim.claim)).token
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
    #expect(try await fleet.engine.claims().first?.claim == nil)
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
    fleet.clock.advance(seconds: 61)
    let expired = await #expect(throws: Refusal.self) {
      _ = try await fleet.engine.provision(try EngineFixture.request("kiosk-1"), token: token)
    }
    #expect(expired?.code == "claim.expired")
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

  @Test func publishingTheSameVersionAgainIsFineAndWithOtherContentIsAConflict() async throws {
    let fleet = try await EngineFixture()
    let text = EngineFixture.recipe("1.0.0")
    let first = try await fleet.engine.publish(PublicationRequest(recipe: text, fileName: "r.yaml"), by: "t")
    let second = try await fleet.engine.publish(
      PublicationRequest(recipe: "# a comment changes nothing\n" + text, fileName: "r.yaml"), by: "t")
    #expect(first.isNew)
    #expect(!second.isNew)
    let other = text.replacing("echo hello", with: "echo goodbye")
    let refusal = await #expect(throws: Refusal.self) {
      _ = try await fleet.engine.publish(PublicationRequest(recipe: other, fileName: "r.yaml"), by: "t")
    }
    #expect(refusal?.code == "component.conflict")
    #expect(refusal?.remedy.contains("raise ComponentVersion") == true)
  }

  @Test func artifactsNeedABlobAndAMatchingDigest() async throws {
    let fleet = try await EngineFixture()
    let recipe = """
      RecipeFormatVersion: "2020-01-25"
      ComponentName: com.example.hello
      ComponentVersion: "1.0.0"
      Manifests:
        - Platform: { os: linux }
          Lifecycle: { run: "sh {artifacts:path}/hello.sh" }
          Artifacts:
            - Uri: wherry:hello.sh
      """
    let without = await #expect(throws: Refusal.self) { try await fleet.publish(recipe) }
    #expect(without?.code == "artifact.incomplete")

    let bytes = Array("echo hello".utf8)
    let digest = SHA256.digest(of: bytes)
    let request = PublicationRequest(
      recipe: recipe, fileName: "r.yaml", artifacts: ["hello.sh": .init(digest: digest, size: Int64(bytes.count))])
    let missing = await #expect(throws: Refusal.self) { _ = try await fleet.engine.publish(request, by: "t") }
    #expect(missing?.code == "artifact.missing")
    try fleet.blobs.add(bytes, as: digest)
    _ = try await fleet.engine.publish(request, by: "t")
    let stored = try await fleet.engine.component("com.example.hello", Version(1, 0, 0))
    #expect(stored.recipe.manifests.first?.artifacts.first?.digest == digest)
  }

  @Test func aRecipeWithProblemsIsRefusedWithAllOfThem() async throws {
    let fleet = try await EngineFixture()
    let refusal = await #expect(throws: Refusal.self) {
      try await fleet.publish(EngineFixture.recipe("1.0.0", extra: "Lifecycel: {}"))
    }
    #expect(refusal?.status == 422)
    #expect(refusal?.detail.contains("Lifecycel") == true)
    #expect(refusal?.errors.isEmpty == false)
  }

  @Test func logsAreStreamedAndEndingTheStreamCancelsThemOnTheDevice() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    let stream = try await fleet.engine.command(
      .logs(component: "com.example.hello", tail: 10, follow: true), to: "kiosk-1", by: "t")
    let message = try #require(fleet.bus.messages(to: Topic.commands("kiosk-1")).last)
    #expect(message.expirySeconds == 60)
    #expect(!message.isRetained)
    let id = try Command(JSONCursor(try JSON(parsing: message.payload))).id
    for (sequence, isLast) in [(0, false), (1, true)] {
      let result = CommandResult(id: id, sequence: sequence, lines: ["line \(sequence)"], isLast: isLast, failure: nil)
      await fleet.deliver(Topic.results("kiosk-1"), result.json)
    }
    var lines: [String] = []
    for await result in stream { lines += result.lines }
    #expect(lines == ["line 0", "line 1"])
  }

  @Test func commandsToADeviceThatIsOfflineAreRefused() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1", isOnline: false)
    let refusal = await #expect(throws: Refusal.self) {
      _ = try await fleet.engine.command(.restart(component: "com.example.hello"), to: "kiosk-1", by: "t")
    }
    #expect(refusal?.detail == "kiosk-1 is offline")
  }

  @Test func theAdminTokenIsMadeOnceAndOpensSessions() async throws {
    let fleet = try await EngineFixture()
    let token = try #require(try await fleet.engine.makeFirstToken())
    #expect(try await fleet.engine.makeFirstToken() == nil)
    #expect(try await fleet.engine.operatorToken(token)?.role == .admin)
    #expect(try await fleet.engine.operatorToken("wherry_guess") == nil)
    let session = try #require(try await fleet.engine.openSession(token: token))
    #expect(try await fleet.engine.session(session)?.name == "admin")
    fleet.clock.advance(seconds: InventoryEngine.sessionSeconds + 1)
    #expect(try await fleet.engine.session(session) == nil)
  }
}
