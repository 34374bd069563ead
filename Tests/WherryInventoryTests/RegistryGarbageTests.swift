import Glibc
import Testing
import WherryCrypto
import WherryDatabase
import WherryModel
import WherryWire

@testable import WherryInventory

@Suite struct RegistryGarbageTests {
  private let day = RegistryGarbage.graceSeconds

  @Test func whatIsOldAndNobodyNeedsIsGarbage() {
    let now = Instant(milliseconds: 10_000_000_000)
    func blob(_ text: String, age seconds: Int) -> RegistryGarbage.StoredBlob {
      .init(digest: SHA256.digest(of: text), storedAt: now.advanced(bySeconds: -seconds))
    }
    let stored = [
      blob("old", age: day + 1), blob("needed", age: day + 1), blob("young", age: day - 1), blob("older", age: 2 * day),
    ]
    let needed: Set<Digest> = [SHA256.digest(of: "needed"), SHA256.digest(of: "absent")]
    let garbage = RegistryGarbage.unreachable(stored, needed: needed, at: now)
    #expect(garbage == [SHA256.digest(of: "old"), SHA256.digest(of: "older")].sorted())
    #expect(RegistryGarbage.unreachable([], needed: needed, at: now).isEmpty)
    // A clock that was set back makes everything young.
    #expect(RegistryGarbage.unreachable(stored, needed: [], at: Instant(milliseconds: 0)).isEmpty)
  }

  @Test func digestsAreFoundInAnyText() {
    let digest = SHA256.digest(of: "one")
    let other = SHA256.digest(of: "two")
    let shouted = digest.hex.uppercased()
    let text = "{\"a\":\"\(digest)\",\"b\":[\"x\(other)y\"],\"c\":\"sha256:12\",\"d\":\"sha256:\(shouted)\"}"
    #expect(RegistryGarbage.digests(in: text) == [digest, other])
    #expect(RegistryGarbage.digests(in: "").isEmpty)
    #expect(RegistryGarbage.digests(in: "sha256:sha256:\(digest.hex)") == [digest])
    #expect(RegistryGarbage.digests(in: "\(digest)") == [digest])
  }
}

/// The same over a store and a database.
@Suite struct RegistryCollectionTests {
  private let web = RepositoryName(trusted: "team/web")

  /// A blob whose last byte was written when the engine's clock said so.
  @discardableResult
  private func keep(_ bytes: [UInt8], in fleet: EngineFixture) throws -> Digest {
    let digest = SHA256.digest(of: bytes)
    try fleet.blobs.add(bytes, as: digest)
    let time = timespec(tv_sec: Int(fleet.clock.now.milliseconds / 1_000), tv_nsec: 0)
    #expect(utimensat(AT_FDCWD, fleet.blobs.path(of: digest), [time, time], 0) == 0)
    return digest
  }

  /// As a client pushes it.
  private func push(_ manifest: TestManifest, to repository: RepositoryName, in fleet: EngineFixture) async throws {
    for blob in manifest.blobs {
      let digest = try keep(blob, in: fleet)
      try await fleet.engine.linkRegistryBlob(digest, to: repository)
    }
    try keep(manifest.bytes, in: fleet)
    let parsed = try RegistryManifest(manifest.bytes, contentType: nil)
    try await fleet.engine.putRegistryManifest(parsed, in: repository, tags: [TagName(trusted: "1")], by: "test")
  }

  @Test func everythingThatSomebodyNeedsStays() async throws {
    let fleet = try await EngineFixture()
    let image = TestManifest("one")
    try await push(image, to: web, in: fleet)
    let artifact = try keep(Array("an artifact".utf8), in: fleet)
    let recipe = EngineFixture.recipe("1.0.0", extra: "    Artifacts:\n      - Uri: wherry:tool")
    let file = PublicationRequest.File(digest: artifact, size: 11)
    _ = try await fleet.engine.publish(
      PublicationRequest(recipe: recipe, fileName: "recipe.yaml", artifacts: ["tool": file]), by: "test")
    let planned = try keep(Array("in a plan".utf8), in: fleet)
    try await fleet.engine.keepPlan("{\"artifacts\":[\"\(planned)\"]}")
    let orphan = try keep(Array("nobody's".utf8), in: fleet)

    #expect(try await fleet.engine.collectRegistryGarbage() == 0)
    fleet.clock.advance(seconds: RegistryGarbage.graceSeconds + 10)
    let young = try keep(Array("just pushed".utf8), in: fleet)
    #expect(try await fleet.engine.collectRegistryGarbage() == 1)
    #expect(!fleet.blobs.contains(orphan))
    for digest in image.blobs.map({ SHA256.digest(of: $0) }) + [image.digest, artifact, planned, young] {
      #expect(fleet.blobs.contains(digest))
    }
  }

  @Test func aDeletedImageGoesUnlessAnotherRepositoryHasItsParts() async throws {
    let fleet = try await EngineFixture()
    let copy = RepositoryName(trusted: "team/copy")
    let gone = TestManifest("gone")
    let shared = TestManifest("shared")
    try await push(gone, to: web, in: fleet)
    try await push(shared, to: web, in: fleet)
    try await push(shared, to: copy, in: fleet)
    for manifest in [gone, shared] {
      try await fleet.engine.deleteRegistryManifest(manifest.digest, in: web, by: "test")
    }
    fleet.clock.advance(seconds: RegistryGarbage.graceSeconds + 10)
    #expect(try await fleet.engine.collectRegistryGarbage() == 3)
    #expect(fleet.blobs.contains(shared.digest))
    #expect(!fleet.blobs.contains(gone.digest))
    #expect(try await fleet.engine.registryRepositories(after: "", limit: 10) == [copy])
  }

  @Test func whatATagLeftGoesWhenAskedForAndADryRunChangesNothing() async throws {
    let fleet = try await EngineFixture()
    let (old, new, pinned) = (TestManifest("old"), TestManifest("new"), TestManifest("pinned"))
    for manifest in [old, pinned, new] { try await push(manifest, to: web, in: fleet) }
    try await fleet.engine.keepPlan("{\"image\":\"\(pinned.digest)\"}")
    func collect(untagged: Bool, isDryRun: Bool = false) async throws -> GarbageReport {
      try await fleet.engine.collectRegistryGarbage(untagged: untagged, isDryRun: isDryRun, by: "test")
    }
    #expect(try await collect(untagged: true).manifests == 0, "it is too young")
    fleet.clock.advance(seconds: RegistryGarbage.graceSeconds + 10)
    #expect(try await collect(untagged: false) == GarbageReport(blobs: 0, bytes: 0, manifests: 0, isDryRun: false))
    let planned = try await collect(untagged: true, isDryRun: true)
    #expect(planned.manifests == 1 && planned.blobs > 0 && planned.bytes > 0 && planned.isDryRun)
    #expect(fleet.blobs.contains(old.digest))
    let done = try await collect(untagged: true)
    #expect(done.manifests == 1 && done.blobs == planned.blobs && done.bytes == planned.bytes)
    #expect(!fleet.blobs.contains(old.digest))
    for manifest in [new, pinned] {
      for blob in manifest.blobs { #expect(fleet.blobs.contains(SHA256.digest(of: blob))) }
      #expect(fleet.blobs.contains(manifest.digest))
    }
    #expect(try await fleet.engine.registryManifest(.digest(pinned.digest), in: web) != nil, "a plan names it")
  }

  @Test func aBlobThatAPushWasToldOfStaysForItsManifest() async throws {
    let fleet = try await EngineFixture()
    let image = TestManifest("one")
    for blob in image.blobs {
      let digest = try keep(blob, in: fleet)
      try await fleet.engine.linkRegistryBlob(digest, to: web)
    }
    fleet.clock.advance(seconds: RegistryGarbage.graceSeconds - 10)
    for blob in image.blobs {
      #expect(try await fleet.engine.hasRegistryBlob(SHA256.digest(of: blob), in: web, isReserving: true))
    }
    fleet.clock.advance(seconds: 20)
    #expect(try await fleet.engine.collectRegistryGarbage() == 0)
    // Looking without pushing reserves nothing.
    fleet.clock.advance(seconds: RegistryGarbage.graceSeconds)
    for blob in image.blobs {
      #expect(try await fleet.engine.hasRegistryBlob(SHA256.digest(of: blob), in: web, isReserving: false))
    }
    #expect(try await fleet.engine.collectRegistryGarbage() == 2)
    #expect(try await fleet.engine.registryTags(of: web, after: "", limit: 10) == nil)
  }
}

extension InventoryEngine {
  /// A plan whose text is this.
  func keepPlan(_ text: String) throws {
    try database.storePlan(text, digest: SHA256.digest(of: text), at: environment.now())
  }
}
