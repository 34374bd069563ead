import Testing
import WherryCrypto
import WherryJSON
import WherryModel
import WherryTestSupport

@testable import WherryClient

@Suite struct RegistryTransferTests {
  private let directory = TemporaryDirectory()
  private let image = TestImage([Array("layer one".utf8), (0..<1_000).map { UInt8(truncatingIfNeeded: $0) }])

  private func layout(_ images: [TestImage], index: [UInt8], others: [[UInt8]] = []) throws -> RegistryLayout {
    TestImage.write(TestImage.layout(images, index: index, others: others), to: directory.file("layout"))
    return try RegistryLayout(path: directory.file("layout"))
  }

  private func content(_ registry: FakeRegistry, _ repository: String, _ tag: String) -> [UInt8]? {
    registry.state.withLock { $0.manifests[repository]?[tag]?.bytes }
  }

  // MARK: - Pushing

  @Test func anImageIsPushedWithAllThatItNeedsAndNothingTwice() throws {
    let registry = FakeRegistry()
    let server = registry.serve()
    defer { server.stop() }
    let layout = try layout([image], index: TestImage.index([image.entry(named: "1")]))
    var events: [RegistryTransfer.Event] = []
    let transfer = RegistryTransfer(from: layout, to: "team/web", at: RegistryClient(server)) { events.append($0) }
    let first = try transfer.run(layout.images[0], as: "1")
    let bytes = Int64(image.blobs.reduce(0) { $0 + $1.count })
    #expect(first.digest == image.digest && first.blobs == 3 && first.bytes == bytes && first.bytesPushed == bytes)
    #expect(content(registry, "team/web", "1") == image.manifest)
    #expect(registry.state.withLock { $0.blobs["team/web"]?.count } == 3)
    #expect(events.first == .progress(done: 0, total: bytes) && events.last == .progress(done: bytes, total: bytes))

    events.removeAll()
    let second = try transfer.run(layout.images[0], as: "stable")
    #expect(second.bytesPushed == 0)
    #expect(content(registry, "team/web", "stable") == image.manifest)
    let outcomes = events.compactMap { event -> RegistryTransfer.Outcome? in
      if case .blob(_, let outcome, _, _) = event { outcome } else { nil }
    }
    #expect(outcomes == [.present, .present, .present])
  }

  @Test(arguments: [0, 1, 3])
  func aBrokenConnectionCostsNoMoreThanAChunk(losses: Int) throws {
    let registry = FakeRegistry()
    registry.state.withLock { $0.answersToLose = losses }
    let server = registry.serve()
    defer { server.stop() }
    let client = RegistryClient(server)
    client.chunkBytes = 100
    let layout = try layout([image], index: TestImage.index([image.entry()]))
    _ = try RegistryTransfer(from: layout, to: "team/web", at: client) { _ in }.run(layout.images[0], as: "1")
    #expect(content(registry, "team/web", "1") == image.manifest)
    // What came through was asked for, and not sent again.
    let bytes = image.blobs.reduce(0) { $0 + $1.count }
    #expect(registry.state.withLock { $0.bytesReceived } == bytes)
    #expect(registry.state.withLock { $0.uploadsBegun } == 3)
  }

  @Test func aRegistryThatNeverAnswersIsGivenUpAfterItsPauses() throws {
    let registry = FakeRegistry()
    registry.state.withLock { $0.answersToLose = .max }
    let server = registry.serve()
    var pauses: [Int] = []
    let client = RegistryClient(RegistryServer(base: server.origin, permission: .token("secret"))) { pauses.append($0) }
    client.chunkBytes = 2_000
    TestFile.write([UInt8](repeating: 1, count: 5_000), to: directory.file("blob"))
    let bytes = [UInt8](repeating: 1, count: 5_000)
    let blob = RegistryContent(mediaType: "x", digest: SHA256.digest(of: bytes), size: 5_000)
    let file = RegistryFile(path: directory.file("blob"), size: 5_000)
    // Its bytes come through and its answers do not, so the upload ends all the same, after a pause for each chunk.
    try client.push(blob, from: file, to: "team/web") { _ in }
    #expect(pauses == [250, 250])
    registry.state.withLock { $0.uploads = [:] }
    server.stop()
    pauses = []
    let failure = Script.failure { try client.push(blob, from: file, to: "team/web") { _ in } }
    #expect(failure?.isTransient == true)
    #expect(pauses == RegistryClient.pausesMilliseconds)
  }

  @Test func bytesThatAreNotTheBlobsAreRefusedByTheRegistry() throws {
    let server = FakeRegistry().serve()
    defer { server.stop() }
    TestFile.write(Array("other".utf8), to: directory.file("blob"))
    let blob = RegistryContent(mediaType: "x", digest: SHA256.digest(of: "blob!"), size: 5)
    let failure = Script.failure {
      try RegistryClient(server).push(
        blob, from: RegistryFile(path: directory.file("blob"), size: 5), to: "team/web"
      ) { _ in }
    }
    #expect(failure?.description.contains("have another digest") == true)
  }

  @Test(arguments: ["", "../../../v1/groups/x", "a/b", "a?b", ".a", "-a", "ä", String(repeating: "a", count: 129)])
  func aNameThatIsNoTagBecomesNoPath(name: String) throws {
    let server = FakeRegistry().serve()
    defer { server.stop() }
    let layout = try layout([image], index: TestImage.index([image.entry(named: name)]))
    let transfer = RegistryTransfer(from: layout, to: "team/web", at: RegistryClient(server)) { _ in }
    let failure = Script.failure { _ = try transfer.run(layout.images[0], as: name) }
    #expect(failure?.description.contains("is no tag") == true)
    #expect(server.requests.isEmpty)
  }

  // MARK: - Copying

  @Test func anIndexIsCopiedWithAllItsImages() throws {
    let arm = TestImage([Array("arm".utf8)], architecture: "arm64")
    let index = TestImage.index([image.entry(architecture: "amd64"), arm.entry(architecture: "arm64")])
    let name = TestImage.descriptor(index, "application/vnd.oci.image.index.v1+json")
    let layout = try layout([image, arm], index: TestImage.index([name]), others: [index])
    let (registry, other) = (FakeRegistry(), FakeRegistry())
    let (server, second) = (registry.serve(), other.serve())
    defer {
      server.stop()
      second.stop()
    }
    let client = RegistryClient(server)
    _ = try RegistryTransfer(from: layout, to: "team/web", at: client) { _ in }.run(layout.images[0], as: "all")

    let manifest = try #require(try client.manifest("all", in: "team/web"))
    #expect(manifest.isIndex && manifest.manifests.map(\.platform) == ["linux/amd64", "linux/arm64"])
    let source = RegistryRepository("team/web", at: client, directory: directory.path)
    var progress: [Int64] = []
    let transfer = RegistryTransfer(from: source, to: "mirror/web", at: RegistryClient(second)) { event in
      if case .progress(let done, _) = event { progress.append(done) }
    }
    let summary = try transfer.run(manifest.content, as: "1")
    #expect(summary.digest == SHA256.digest(of: index) && summary.blobs == 5)
    #expect(progress == progress.sorted() && progress.last == summary.bytes)
    #expect(content(other, "mirror/web", "1") == index)
    for image in [image, arm] { #expect(content(other, "mirror/web", "\(image.digest)") == image.manifest) }
    // What was fetched is not left behind.
    for blob in image.blobs { #expect(!TestFile.exists(directory.file(SHA256.digest(of: blob).hex))) }
  }

  @Test func withinARegistryNothingIsMoved() throws {
    let registry = FakeRegistry()
    let server = registry.serve()
    defer { server.stop() }
    let layout = try layout([image], index: TestImage.index([image.entry()]))
    let client = RegistryClient(server)
    _ = try RegistryTransfer(from: layout, to: "team/web", at: client) { _ in }.run(layout.images[0], as: "1")
    let before = registry.state.withLock { $0.bytesReceived }
    let source = RegistryRepository("team/web", at: client, directory: directory.path)
    let transfer = RegistryTransfer(from: source, to: "team/copy", at: client, neighbour: "team/web") { _ in }
    let summary = try transfer.run(layout.images[0], as: "1")
    #expect(summary.bytesPushed == 0 && summary.bytes > 0)
    #expect(registry.state.withLock { $0.bytesReceived } == before)
    #expect(content(registry, "team/copy", "1") == image.manifest)
    #expect(!server.requests.contains { $0.method == "GET" && $0.target.contains("/blobs/") })
  }

  @Test func anIndexThatIsNestedTooDeepIsRefused() throws {
    var index = TestImage.index([image.entry()])
    var others: [[UInt8]] = []
    for _ in 0..<5 {
      others.append(index)
      index = TestImage.index([TestImage.descriptor(index, "application/vnd.oci.image.index.v1+json")])
    }
    let layout = try layout([image], index: index, others: others)
    let server = FakeRegistry().serve()
    defer { server.stop() }
    let transfer = RegistryTransfer(from: layout, to: "team/web", at: RegistryClient(server)) { _ in }
    let failure = Script.failure { _ = try transfer.run(layout.images[0], as: "1") }
    #expect(failure?.description.contains("more than 4 deep") == true)
    #expect(server.requests.isEmpty)
  }
}
