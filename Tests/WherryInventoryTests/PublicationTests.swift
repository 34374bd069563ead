import Testing
import WherryCrypto
import WherryModel

@testable import WherryInventory

/// What may become an immutable version, and what never does.
@Suite struct PublicationTests {
  private let bytes = Array("echo hello".utf8)
  private var digest: Digest { SHA256.digest(of: bytes) }

  private func recipe(_ artifact: String = "") -> String {
    """
    RecipeFormatVersion: "2020-01-25"
    ComponentName: com.example.hello
    ComponentVersion: "1.0.0"
    Manifests:
      - Platform: { os: linux }
        Lifecycle: { run: "sh {artifacts:path}/hello.sh" }
        Artifacts:
          - Uri: wherry:hello.sh
    \(artifact)
    """
  }

  private func request(_ recipe: String, digest: Digest, size: Int64) -> PublicationRequest {
    PublicationRequest(
      recipe: recipe, fileName: "r.yaml", artifacts: ["hello.sh": .init(digest: digest, size: size)])
  }

  private func refusal(_ fleet: EngineFixture, _ request: PublicationRequest) async -> Refusal? {
    await #expect(throws: Refusal.self) { _ = try await fleet.engine.publish(request, by: "t") }
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

  @Test func aRecipeWithProblemsIsRefusedWithAllOfThem() async throws {
    let fleet = try await EngineFixture()
    let refusal = await #expect(throws: Refusal.self) {
      try await fleet.publish(EngineFixture.recipe("1.0.0", extra: "Lifecycel: {}"))
    }
    #expect(refusal?.status == 422)
    #expect(refusal?.detail.contains("Lifecycel") == true)
    #expect(refusal?.errors.isEmpty == false)
  }

  @Test func anArtifactNeedsABlobAndTheDigestThatTheRecipeSays() async throws {
    let fleet = try await EngineFixture()
    let without = await refusal(fleet, PublicationRequest(recipe: recipe(), fileName: "r.yaml"))
    #expect(without?.code == "artifact.incomplete")
    let good = request(recipe(), digest: digest, size: Int64(bytes.count))
    #expect(await refusal(fleet, good)?.code == "artifact.missing")

    try fleet.blobs.add(bytes, as: digest)
    let other = SHA256.digest(of: "something else")
    let foreign = await refusal(
      fleet, request(recipe("        Digest: \(other)"), digest: digest, size: Int64(bytes.count)))
    #expect(foreign?.code == "artifact.digestMismatch")

    _ = try await fleet.engine.publish(good, by: "t")
    let stored = try await fleet.engine.component("com.example.hello", Version(1, 0, 0))
    #expect(stored.recipe.manifests.first?.artifacts.first?.digest == digest)
  }

  @Test(arguments: [-1, 0, 9, 11, Int64(1) << 53, .max])
  func aSizeThatIsNotTheBlobsIsRefusedAndHarmsNothing(size: Int64) async throws {
    let fleet = try await EngineFixture()
    try fleet.blobs.add(bytes, as: digest)
    let wrong = await refusal(fleet, request(recipe(), digest: digest, size: size))
    #expect(wrong?.code == "artifact.sizeMismatch")
    #expect(wrong?.detail.contains("said to have \(size) bytes, and the uploaded blob has 10") == true)
    #expect(try await fleet.engine.components().isEmpty)

    // The service goes on, and starts again.
    _ = try await fleet.engine.publish(request(recipe(), digest: digest, size: 10), by: "t")
    try await fleet.restart()
    let stored = try await fleet.engine.component("com.example.hello", Version(1, 0, 0))
    #expect(stored.recipe.manifests.first?.artifacts.first?.size == 10)
  }

  @Test func theBlobsOwnSizeIsTaken() async throws {
    let fleet = try await EngineFixture()
    try fleet.blobs.add(bytes, as: digest)
    let wrong = await refusal(
      fleet, PublicationRequest(recipe: recipe("        Digest: \(digest)\n        Size: 11"), fileName: "r.yaml"))
    #expect(wrong?.code == "artifact.sizeMismatch")
    try await fleet.publish(recipe("        Digest: \(digest)"))
    let stored = try await fleet.engine.component("com.example.hello", Version(1, 0, 0))
    #expect(stored.recipe.manifests.first?.artifacts.first?.size == 10)
  }

  @Test(arguments: ["s3://bucket/hello.sh", "WHERRY:hello.sh"])
  func whatDevicesFetchFromHereIsAskedForUnderEveryScheme(uri: String) async throws {
    let fleet = try await EngineFixture()
    let text = recipe("        Digest: \(digest)\n        Size: 10").replacing("wherry:hello.sh", with: uri)
    let missing = await refusal(fleet, PublicationRequest(recipe: text, fileName: "r.yaml"))
    #expect(missing?.code == "artifact.missing")
  }

  @Test func versionsThatDifferInBuildMetadataOnlyAreNotPublishedBesideEachOther() async throws {
    let fleet = try await EngineFixture()
    try await fleet.publish(EngineFixture.recipe("1.0.0+a"))
    for version in ["1.0.0+b", "1.0.0"] {
      let refusal = await #expect(throws: Refusal.self) { try await fleet.publish(EngineFixture.recipe(version)) }
      #expect(refusal?.code == "component.conflict")
      #expect(refusal?.detail.contains("\(version) differs from the published 1.0.0+a") == true)
    }
    // The same one again, and others in the order, are as ever.
    try await fleet.publish(EngineFixture.recipe("1.0.0+a"))
    for version in ["1.0.0-rc.1+a", "1.0.1+a"] { try await fleet.publish(EngineFixture.recipe(version)) }
    let versions = try await fleet.engine.components(named: "com.example.hello").map(\.version.description)
    #expect(versions == ["1.0.1+a", "1.0.0+a", "1.0.0-rc.1+a"])
  }

  @Test func aNewVersionCanBeDeployedAtOnce() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    for version in ["1.0.0", "2.0.0"] { try await fleet.publish(EngineFixture.recipe(version)) }
    _ = try await fleet.deploy(["com.example.hello": Version(2, 0, 0)])
    #expect(try fleet.orders(to: "kiosk-1").last?.plan?["com.example.hello"]?.version == Version(2, 0, 0))
  }
}
