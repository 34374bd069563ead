import Testing
import WherryCrypto
import WherryJSON
import WherryModel
import WherryOCI
import WherryTestSupport

@testable import WherryClient

@Suite struct RegistryClientTests {
  private let image = TestImage([Array("layer".utf8)])

  private func failure(_ body: () throws -> Void) -> ClientError? { Script.failure(of: body) }

  /// A registry that has the image in `team/web` under some tags.
  private func registry(_ tags: String...) -> FakeRegistry {
    let registry = FakeRegistry()
    registry.state.withLock { state in
      for blob in image.blobs { state.blobs["team/web", default: [:]][SHA256.digest(of: blob)] = blob }
      for tag in tags.isEmpty ? [] : tags + ["\(image.digest)"] {
        state.manifests["team/web", default: [:]][tag] = FakeRegistry.Manifest(
          type: MediaType.ociManifest, bytes: image.manifest)
      }
    }
    return registry
  }

  // MARK: - Names

  @Test func namesComePageByPage() throws {
    let registry = registry("1", "2", "3", "4", "5")
    registry.state.withLock { state in
      for name in ["a", "b", "c"] { state.manifests[name] = [:] }
    }
    let server = registry.serve()
    defer { server.stop() }
    let client = RegistryClient(server)
    #expect(try client.repositories() == ["a", "b", "c", "team/web"])
    #expect(try client.tags(of: "team/web") == ["1", "2", "3", "4", "5"])
    #expect(try client.tags(of: "team/none") == nil)
    #expect(server.requests.allSatisfy { $0.headers["authorization"] == "Bearer secret" })
  }

  @Test func aListWithoutAnEndIsGivenUp() {
    let next = LoopbackServer.Response(headers: [("Link", "</v2/_catalog>; rel=\"next\"")], text: "{}")
    let server = Script([next]).serve()
    defer { server.stop() }
    #expect(failure { _ = try RegistryClient(server).repositories() }?.description.contains("has no end") == true)
    #expect(server.requests.count == 1_000)
  }

  // MARK: - Manifests

  @Test func aManifestIsWhatItsDigestSays() throws {
    let registry = registry("1")
    registry.state.withLock { state in
      let other = TestImage([Array("other".utf8)])
      state.manifests["team/web"]?["\(other.digest)"] = FakeRegistry.Manifest(
        type: MediaType.ociManifest, bytes: image.manifest)
    }
    let server = registry.serve()
    defer { server.stop() }
    let client = RegistryClient(server)
    let manifest = try #require(try client.manifest("1", in: "team/web"))
    #expect(manifest.digest == image.digest && !manifest.isIndex)
    #expect(manifest.blobs.map(\.digest) == image.blobs.map { SHA256.digest(of: $0) })
    #expect(try client.manifest("2", in: "team/web") == nil)
    let other = TestImage([Array("other".utf8)]).digest
    let failure = failure { _ = try client.manifest("\(other)", in: "team/web") }
    #expect(failure?.description.contains("with the digest \(image.digest) in place of \(other)") == true)
  }

  @Test(arguments: [
    "{}", "[]", "{", #"{"schemaVersion":2,"mediaType":"text/plain"}"#,
    #"{"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"x","digest":"y","size":1}]}"#,
    #"{"mediaType":"application/vnd.oci.image.manifest.v1+json","layers":[]}"#,
  ])
  func whatIsNoManifestIsRefused(text: String) {
    let failure = failure { _ = try RegistryManifest(Array(text.utf8), mediaType: nil, what: "1 of team/web") }
    #expect(failure?.description.hasPrefix("1 of team/web is no manifest of an image: ") == true)
    #expect(failure?.isTransient == false)
  }

  @Test func aDocumentOfTwoKindsIsRefused() {
    let failure = failure {
      _ = try RegistryManifest(image.manifest, mediaType: MediaType.ociIndex, what: "1 of team/web")
    }
    #expect(failure?.description.contains("it came as \(MediaType.ociIndex)") == true)
  }

  // MARK: - Refusals

  @Test func aRefusalIsToldInTheRegistrysWordsWithoutWhatATerminalWouldObey() {
    let server = Script([
      FakeRegistry.error(403, "\u{1B}[2Jnot \u{9B}yours\n"), FakeRegistry.error(503, "later"),
      LoopbackServer.Response(500),
    ]).serve()
    defer { server.stop() }
    let client = RegistryClient(server)
    let forbidden = failure { _ = try client.manifest("1", in: "team/web") }
    #expect(forbidden?.description == "\(server.origin) did not give the manifest 1 of team/web: [2Jnot yours")
    #expect(forbidden?.isTransient == false)
    let busy = failure { _ = try client.manifest("1", in: "team/web") }
    #expect(busy?.description.hasSuffix(": later") == true && busy?.isTransient == true)
    let silent = failure { _ = try client.manifest("1", in: "team/web") }
    #expect(silent?.description.hasSuffix("it answered with status 500") == true)
  }

  // MARK: - Credentials

  private func permission(_ server: LoopbackServer, _ secret: String) throws -> RegistryServer.Permission {
    let host = try #require(RegistryHost(url: server.origin))
    let credential = try #require(RegistryCredential(user: "me", secret: secret))
    return .access(RegistryAccess(credentials: KnownCredentials([host: credential])))
  }

  @Test func aPasswordIsShownToWhoAsksForIt() throws {
    let registry = registry("1")
    registry.state.withLock { $0.login = "me:secret" }
    let server = registry.serve()
    defer { server.stop() }
    let client = RegistryClient(server, permission: try permission(server, "secret"))
    #expect(try client.manifest("1", in: "team/web")?.digest == image.digest)
    #expect(try client.hasBlob(SHA256.digest(of: image.config), in: "team/web"))
    let shown = server.requests.map { $0.headers["authorization"]?.prefix(6) }
    #expect(shown == [nil, "Basic ", "Basic "])

    let wrong = RegistryClient(server, permission: try permission(server, "guess"))
    let failure = failure { _ = try wrong.manifest("1", in: "team/web") }
    #expect(failure?.description.contains("who are you?; log in to it with `docker login`") == true)
  }

  @Test func aTokenIsFetchedForWhatIsToBeDone() throws {
    let registry = registry("1")
    registry.state.withLock { ($0.login, $0.hasTokens) = ("me:secret", true) }
    let server = registry.serve()
    defer { server.stop() }
    let directory = TemporaryDirectory()
    let client = RegistryClient(server, permission: try permission(server, "secret"))
    let manifest = try #require(try client.manifest("1", in: "team/web"))
    let source = RegistryRepository("team/web", at: client, directory: directory.path)
    let target = RegistryClient(server, permission: try permission(server, "secret"))
    let transfer = RegistryTransfer(from: source, to: "team/copy", at: target) { _ in }
    #expect(try transfer.run(manifest.content, as: "1").digest == image.digest)
    #expect(registry.state.withLock { $0.manifests["team/copy"]?["1"]?.bytes } == image.manifest)
    // The password went to the token server and nowhere else.
    let basic = server.requests.filter { $0.headers["authorization"]?.hasPrefix("Basic ") == true }
    #expect(!basic.isEmpty && basic.allSatisfy { $0.target.hasPrefix("/token?") })
  }

  @Test func anUploadThatWouldGoToAnotherHostIsNotBegun() throws {
    let registry = FakeRegistry()
    registry.state.withLock { $0.uploadHost = "https://elsewhere.example.com" }
    let server = registry.serve()
    defer { server.stop() }
    let directory = TemporaryDirectory()
    TestFile.write(image.config, to: directory.file("blob"))
    let blob = RegistryContent(
      mediaType: "x", digest: SHA256.digest(of: image.config), size: Int64(image.config.count))
    let failure = failure {
      try RegistryClient(server).push(
        blob, from: RegistryFile(path: directory.file("blob"), size: blob.size), to: "team/web"
      ) { _ in }
    }
    #expect(failure?.description.contains("https://elsewhere.example.com/v2") == true)
    #expect(failure?.isTransient == false)
  }
}
