import Testing
import WherryJSON
import WherryModel
import WherryTestSupport

@testable import WherryDatabase

/// The registry's part of the storage contract.
@Suite struct RegistryTests {
  let directory = TemporaryDirectory()
  let now = Instant(milliseconds: 1_000)
  let web = RepositoryName(trusted: "team/web")
  let api = RepositoryName(trusted: "team/api")

  func open() throws -> InventoryDatabase { try InventoryDatabase(path: directory.path + "/inventory.db") }

  func digest(_ byte: UInt8) -> Digest { Digest(bytes: Array(repeating: byte, count: 32)) }

  func manifest(_ byte: UInt8, subject: Digest? = nil, type: String? = nil) -> RegistryManifestRecord {
    RegistryManifestRecord(
      digest: digest(byte), mediaType: "application/vnd.oci.image.manifest.v1+json", size: 100, subject: subject,
      artifactType: type)
  }

  func put(
    _ manifest: RegistryManifestRecord, needing references: Set<Digest> = [], annotations: JSON = [:],
    in repository: RepositoryName, of database: InventoryDatabase
  ) throws {
    try database.createRepository(repository, at: now)
    try database.putManifest(manifest, annotations: annotations, references: references, in: repository, at: now)
  }

  @Test func repositoriesAreListedInOrderFromBehindOne() throws {
    let database = try open()
    for name in [web, api, RepositoryName(trusted: "base"), web] { try database.createRepository(name, at: now) }
    #expect(try database.repositories(after: "", limit: 2).map(\.rawValue) == ["base", "team/api"])
    #expect(try database.repositories(after: "team/api", limit: 2) == [web])
    #expect(try database.hasRepository(api))
    #expect(try !database.hasRepository(RepositoryName(trusted: "none")))
  }

  @Test func aBlobIsSeenOnlyWhereItIsLinked() throws {
    let database = try open()
    #expect(throws: (any Error).self) { try database.linkBlob(digest(1), to: web, at: now) }
    try database.createRepository(web, at: now)
    try database.linkBlob(digest(1), to: web, at: now)
    try database.linkBlob(digest(1), to: web, at: now)
    #expect(try database.isBlobLinked(digest(1), to: web))
    #expect(try !database.isBlobLinked(digest(1), to: api))
    #expect(try database.isBlobLinkedAnywhere(digest(1)))
    #expect(try !database.isBlobLinkedAnywhere(digest(2)))
    #expect(try database.unlinkBlob(digest(1), from: web))
    #expect(try !database.unlinkBlob(digest(1), from: web))
    #expect(try !database.isBlobLinkedAnywhere(digest(1)))
  }

  @Test func aManifestIsFoundByDigestAndByTagInItsRepository() throws {
    let database = try open()
    let first = manifest(1, subject: digest(9), type: "a/b")
    try put(first, in: web, of: database)
    #expect(try database.manifest(digest(1), in: web) == first)
    #expect(try database.manifest(digest(1), in: api) == nil)
    let latest = TagName(trusted: "latest")
    #expect(throws: (any Error).self) { try database.setTag(latest, to: digest(2), in: web, at: now) }
    try database.setTag(latest, to: digest(1), in: web, at: now)
    #expect(try database.manifest(tagged: latest, in: web) == first)
    try put(manifest(2), in: web, of: database)
    try database.setTag(latest, to: digest(2), in: web, at: now)
    #expect(try database.manifest(tagged: latest, in: web) == manifest(2))
    #expect(try database.removeTag(latest, in: web))
    #expect(try !database.removeTag(latest, in: web))
    #expect(try database.manifest(digest(2), in: web) != nil)
  }

  @Test func aManifestThatGoesTakesItsTagsAndReferences() throws {
    let database = try open()
    try put(manifest(1), needing: [digest(5), digest(6)], in: web, of: database)
    try put(manifest(2), needing: [digest(5)], in: web, of: database)
    for tag in ["b", "a"] { try database.setTag(TagName(trusted: tag), to: digest(1), in: web, at: now) }
    #expect(try database.manifest(needing: digest(5), in: web) == digest(1))
    #expect(try database.manifest(needing: digest(5), in: api) == nil)
    #expect(try database.tags(of: web, after: "", limit: 9).map(\.rawValue) == ["a", "b"])
    #expect(try database.tags(of: web, after: "a", limit: 9).map(\.rawValue) == ["b"])
    #expect(try database.removeManifest(digest(1), in: web))
    #expect(try !database.removeManifest(digest(1), in: web))
    #expect(try database.tags(of: web, after: "", limit: 9).isEmpty)
    #expect(try database.manifest(needing: digest(5), in: web) == digest(2))
    #expect(try database.manifest(needing: digest(6), in: web) == nil)
  }

  @Test func theSameManifestAgainChangesItsTypeOnly() throws {
    let database = try open()
    try put(manifest(1), needing: [digest(5)], in: web, of: database)
    try database.setTag(TagName(trusted: "a"), to: digest(1), in: web, at: now)
    var again = manifest(1)
    again.mediaType = "application/vnd.docker.distribution.manifest.v2+json"
    try put(again, needing: [digest(5)], in: web, of: database)
    #expect(try database.manifest(tagged: TagName(trusted: "a"), in: web) == again)
    #expect(try database.manifest(needing: digest(5), in: web) == digest(1))
  }

  @Test func referrersAreFilteredByTypeAndCutIntoPages() throws {
    let database = try open()
    let subject = digest(9)
    let note: JSON = ["note": .string(String(repeating: "x", count: 1_000))]
    for byte in UInt8(1)...3 {
      try put(manifest(byte, subject: subject, type: "type/\(byte % 2)"), annotations: note, in: web, of: database)
    }
    try put(manifest(4), in: web, of: database)
    let all = try database.referrers(of: subject, in: web, artifactType: nil, after: nil, bytesMaximum: 1 << 20)
    #expect(all.page.map(\.manifest.digest) == [digest(1), digest(2), digest(3)])
    #expect(all.page.first?.annotations == note)
    #expect(all.isWhole)
    let odd = try database.referrers(of: subject, in: web, artifactType: "type/1", after: nil, bytesMaximum: 1 << 20)
    #expect(odd.page.map(\.manifest.digest) == [digest(1), digest(3)])
    let first = try database.referrers(of: subject, in: web, artifactType: nil, after: nil, bytesMaximum: 3_500)
    #expect(first.page.map(\.manifest.digest) == [digest(1), digest(2)])
    #expect(!first.isWhole)
    let rest = try database.referrers(of: subject, in: web, artifactType: nil, after: digest(2), bytesMaximum: 1)
    #expect(rest.page.map(\.manifest.digest) == [digest(3)])
    #expect(rest.isWhole)
    #expect(try database.referrers(of: subject, in: api, artifactType: nil, after: nil, bytesMaximum: 1).page.isEmpty)
  }

  @Test func oldLinksThatNoManifestNeedsAreForgottenAndEmptyRepositoriesWithThem() throws {
    let database = try open()
    for name in [web, api] { try database.createRepository(name, at: now) }
    for byte in UInt8(1)...4 { try database.linkBlob(digest(byte), to: web, at: now) }
    try database.linkBlob(digest(1), to: api, at: now)
    try put(manifest(7), needing: [digest(1)], in: web, of: database)
    let later = Instant(milliseconds: 5_000)
    try database.renewBlobLink(digest(2), in: web, olderThan: Instant(milliseconds: 2_000), at: later)
    try database.renewBlobLink(digest(3), in: web, olderThan: now, at: later)
    try database.pruneRegistry(linkedBefore: Instant(milliseconds: 3_000))
    // Needed; renewed; not renewed, since it was not older; never asked for.
    #expect(try database.isBlobLinked(digest(1), to: web))
    #expect(try database.isBlobLinked(digest(2), to: web))
    #expect(try !database.isBlobLinked(digest(3), to: web))
    #expect(try !database.isBlobLinked(digest(4), to: web))
    // Needed in another repository only.
    #expect(try !database.isBlobLinked(digest(1), to: api))
    #expect(try database.repositories(after: "", limit: 9) == [web])
    #expect(try database.registryDigests() == [digest(1), digest(2), digest(7)])
  }

  @Test func everyTextThatNamesBlobsIsGoneThrough() throws {
    let database = try open()
    try database.storePlan("{\"plan\":1}", digest: digest(1), at: now)
    let image = PlannedImage(
      reference: "r/web:1", registry: "https://r", repository: "web", manifest: digest(2), layers: [])
    try database.pin(image, reference: "r/web:1", deployment: DeploymentID(1), platform: "{}")
    let recipe = Recipe(name: "com.example.web", version: Version(1, 0, 0))
    try database.insert(ComponentRecord(recipe: recipe, digest: digest(3), source: "", createdAt: now))
    var texts: [String] = []
    try database.forEachTextWithDigests { texts.append($0) }
    #expect(texts.count == 3)
    #expect(texts[0].contains("com.example.web"))
    #expect(texts[1] == "{\"plan\":1}")
    #expect(texts[2].contains("\(digest(2))"))
  }
}
