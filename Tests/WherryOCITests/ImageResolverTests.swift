import Testing
import WherryCrypto
import WherryJSON
import WherryModel
import WherryTestSupport
import WherryTransfer

@testable import WherryOCI

/// Against Debian's docker-registry.
@Suite struct ImageResolverRegistryTests {
  private let amd64 = Platform(["os": "linux", "architecture": "amd64"])
  private let arm64 = Platform(["os": "linux", "architecture": "aarch64"])

  private func layers() throws -> [TestLayer] {
    var base = TarBuilder()
    base.directory("etc")
    base.file("etc/hostname", "box\n")
    var top = TarBuilder()
    top.file("serve", "#!/bin/sh\n", mode: 0o755)
    return [try TestLayer(base.archive, .gzip), try TestLayer(top.archive, .gzip)]
  }

  private func resolver(_ registry: TestRegistry) -> ImageResolver {
    ImageResolver(http: HTTPClient(), insecureRegistries: [registry.host])
  }

  @Test(arguments: [true, false]) func anImageIsPinnedToItsContent(_ isDocker: Bool) throws {
    let registry = try TestRegistry()
    let layers = try layers()
    let descriptor = try registry.push(
      image: TestImage(layers: layers, isDocker: isDocker), to: "example/web", tag: "1.0.0")
    let text = "\(registry.host)/example/web:1.0.0"
    let image = try resolver(registry).resolve(text, platform: amd64)
    #expect(image.reference == text)
    #expect(image.registry == "http://\(registry.host)")
    #expect(image.repository == "example/web")
    #expect(image.manifest.description == descriptor["digest"]?.stringValue)
    #expect(
      image.layers
        == layers.map {
          PlannedLayer(digest: $0.digest, size: Int64($0.blob.count), compression: .gzip, diffID: $0.diffID)
        })
    #expect(image.entrypoint == ["/serve"])
    #expect(image.command == ["--port", "80"])
    #expect(image.environment == ["PATH=/bin"])
    #expect(image.user == "1000")
    #expect(image.workingDirectory == "/srv")
    #expect(image.stopSignal == "SIGQUIT")
  }

  @Test func theIndexGivesEachPlatformItsManifest() throws {
    let registry = try TestRegistry()
    let layers = try layers()
    let small = try registry.push(
      image: TestImage(layers: [layers[0]], architecture: "arm64"), to: "example/web", tag: "arm")
    let large = try registry.push(image: TestImage(layers: layers), to: "example/web", tag: "amd")
    let index: JSON = [
      "schemaVersion": 2, "mediaType": .string(MediaType.ociIndex), "manifests": .array([small, large]),
    ]
    let digest = try registry.push(manifest: index, type: MediaType.ociIndex, to: "example/web", tag: "1")
    let resolver = resolver(registry)
    #expect(try resolver.resolve("\(registry.host)/example/web:1", platform: amd64).layers.count == 2)
    #expect(try resolver.resolve("\(registry.host)/example/web:1", platform: arm64).layers.count == 1)
    #expect(try resolver.resolve("\(registry.host)/example/web@\(digest)", platform: arm64).layers.count == 1)
    let failure = #expect(throws: Failure.self) {
      try resolver.resolve(
        "\(registry.host)/example/web:1", platform: Platform(["os": "linux", "architecture": "riscv64"]))
    }
    #expect(failure?.code == "image.platform")
    #expect(failure?.message.contains("linux/amd64, linux/arm64") == true)
  }

  @Test func aSingleImageOfAnotherPlatformIsRefused() throws {
    let registry = try TestRegistry()
    try registry.push(image: TestImage(layers: layers()), to: "example/web", tag: "1")
    let failure = #expect(throws: Failure.self) {
      try resolver(registry).resolve("\(registry.host)/example/web:1", platform: arm64)
    }
    #expect(failure?.code == "image.platform")
  }

  @Test func anImageThatIsNotThereIsNamed() throws {
    let registry = try TestRegistry()
    let failure = #expect(throws: Failure.self) {
      try resolver(registry).resolve("\(registry.host)/example/web:9", platform: amd64)
    }
    #expect(failure?.code == "image.notFound")
    #expect(failure?.message.contains("example/web:9") == true)
  }
}

/// Against a registry that does not keep to the rules.
@Suite struct ImageResolverHostileTests {
  private static let amd64 = Platform(["os": "linux", "architecture": "amd64"])

  /// Answers by path; what is not listed is 404.
  private func failure(_ answers: [String: LoopbackServer.Response], name: String = "web:1") -> Failure? {
    let server = LoopbackServer { answers[$0.target] ?? LoopbackServer.Response(404) }
    defer { server.stop() }
    let host = "127.0.0.1:\(server.port)"
    do {
      _ = try ImageResolver(http: HTTPClient(), insecureRegistries: [host])
        .resolve("\(host)/\(name)", platform: Self.amd64)
      return nil
    } catch { return error }
  }

  private func answer(_ json: JSON, type: String = MediaType.ociManifest) -> LoopbackServer.Response {
    LoopbackServer.Response(headers: [("Content-Type", type)], body: json.canonicalBytes)
  }

  private var manifest: JSON { TestImage(layers: []).manifest }

  @Test func aRegistryThatIsDownIsUnreachable() {
    let failure = #expect(throws: Failure.self) {
      try ImageResolver(http: HTTPClient(), insecureRegistries: ["127.0.0.1:1"])
        .resolve("127.0.0.1:1/web:1", platform: Self.amd64)
    }
    #expect(failure?.code == "download.unreachable")
  }

  @Test(arguments: [401, 403]) func aRegistryThatWantsCredentialsIsSaidSo(_ status: Int) {
    let failure = failure(["/v2/web/manifests/1": LoopbackServer.Response(status)])
    #expect(failure?.code == "image.unauthorized")
    #expect(failure?.remedy.isEmpty == false)
  }

  @Test func aManifestOfAHundredMegabytesIsNotRead() {
    var huge = LoopbackServer.Response(headers: [("Content-Type", MediaType.ociManifest)], text: "{")
    huge.declaredLength = 100 << 20
    huge.ending = .endless
    #expect(failure(["/v2/web/manifests/1": huge])?.code == "download.tooLarge")
  }

  @Test func aTruncatedManifestIsSaidSo() {
    var cut = answer(manifest)
    cut.ending = .cut(after: 20)
    #expect(failure(["/v2/web/manifests/1": cut])?.code == "download.truncated")
  }

  @Test(arguments: ["", "{", "[]", "null", "<html>", #"{"schemaVersion":1}"#, #"{"schemaVersion":2}"#])
  func whatIsNotAManifestIsRefused(_ text: String) {
    let answer = LoopbackServer.Response(headers: [("Content-Type", MediaType.ociManifest)], text: text)
    #expect(failure(["/v2/web/manifests/1": answer])?.code == "image.malformed")
  }

  @Test func anUnknownTypeIsNamed() {
    let failure = failure([
      "/v2/web/manifests/1": LoopbackServer.Response(headers: [("Content-Type", "a/b")], text: "{}")
    ])
    #expect(failure?.code == "image.malformed")
    #expect(failure?.message.contains("a/b") == true)
  }

  @Test func aManifestUnderAnotherDigestIsRefused() {
    let digest = SHA256.digest(of: "something else")
    let failure = failure(["/v2/web/manifests/\(digest)": answer(manifest)], name: "web@\(digest)")
    #expect(failure?.code == "blob.digestMismatch")
  }

  @Test func aConfigurationWithOtherContentIsRefused() {
    let config = TestImage(layers: []).config.canonicalBytes
    let path = "/v2/web/blobs/\(SHA256.digest(of: config))"
    let other = LoopbackServer.Response(body: config.map { $0 == 0x38 ? 0x39 : $0 })
    #expect(failure(["/v2/web/manifests/1": answer(manifest), path: other])?.code == "blob.digestMismatch")
  }

  @Test func aConfigurationLargerThanDeclaredIsNotRead() {
    let config = TestImage(layers: []).config.canonicalBytes
    var longer = LoopbackServer.Response(body: config)
    longer.hasLength = false
    longer.ending = .endless
    let path = "/v2/web/blobs/\(SHA256.digest(of: config))"
    #expect(failure(["/v2/web/manifests/1": answer(manifest), path: longer])?.code == "download.tooLarge")
  }

  @Test func aManifestWithTenThousandLayersIsRefused() {
    let digest = JSON.string(SHA256.digest(of: "").description)
    let layer: JSON = ["mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": 1]
    var manifest = manifest
    manifest["layers"] = .array([JSON](repeating: layer, count: 10_000))
    let failure = failure(["/v2/web/manifests/1": answer(manifest)])
    #expect(failure?.code == "image.malformed")
    #expect(failure?.message.contains("10000 layers") == true)
  }

  @Test(arguments: [
    ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", JSON.null),
    ("application/vnd.oci.image.layer.nondistributable.v1.tar", .null),
    ("application/vnd.oci.image.layer.v1.tar", JSON.array([.string("http://127.0.0.1:1/elsewhere")])),
    ("text/html", .null),
  ])
  func aLayerFromElsewhereOrOfAnotherKindIsRefused(_ type: String, _ urls: JSON) {
    var layer: JSON = [
      "mediaType": .string(type), "digest": .string(SHA256.digest(of: "").description), "size": 1,
    ]
    layer["urls"] = urls
    var manifest = manifest
    manifest["layers"] = .array([layer])
    let failure = failure(["/v2/web/manifests/1": answer(manifest)])
    #expect(failure?.code == "image.malformed")
    #expect(failure?.message.contains("/layers/0") == true)
  }

  @Test func anIndexInAnIndexIsNotFollowed() {
    let inner: JSON = [
      "mediaType": .string(MediaType.ociIndex), "digest": .string(SHA256.digest(of: "").description), "size": 1,
      "platform": ["os": "linux", "architecture": "amd64"],
    ]
    let index: JSON = ["schemaVersion": 2, "mediaType": .string(MediaType.ociIndex), "manifests": [inner]]
    #expect(
      failure(["/v2/web/manifests/1": answer(index, type: MediaType.ociIndex)])?.code == "image.platform")
  }

  @Test func aConfigurationThatListsOtherLayersIsRefused() {
    var config = TestImage(layers: []).config
    config["rootfs"] = ["diff_ids": .array([.string(SHA256.digest(of: "").description)])]
    let bytes = config.canonicalBytes
    let digest = SHA256.digest(of: bytes)
    var manifest = manifest
    manifest["config"] = [
      "mediaType": "x", "digest": .string(digest.description), "size": .integer(Int64(bytes.count)),
    ]
    let failure = failure([
      "/v2/web/manifests/1": answer(manifest), "/v2/web/blobs/\(digest)": LoopbackServer.Response(body: bytes),
    ])
    #expect(failure?.code == "image.malformed")
  }

  @Test func anAnonymousTokenIsFetchedWhereTheRegistryWantsOne() throws {
    let image = TestImage(layers: [])
    let (manifest, config) = (image.manifest.canonicalBytes, image.config.canonicalBytes)
    let tokens = LoopbackServer { request in
      request.target == "/token?service=r&scope=repository:web:pull"
        ? LoopbackServer.Response(text: #"{"token":"abc"}"#) : LoopbackServer.Response(400)
    }
    let realm = tokens.origin + "/token"
    let server = LoopbackServer { request in
      guard request.headers["authorization"] == "Bearer abc" else {
        let challenge = "Bearer realm=\"\(realm)\",service=\"r\",scope=\"repository:web:pull\""
        return LoopbackServer.Response(401, headers: [("WWW-Authenticate", challenge)])
      }
      return request.target.contains("manifests")
        ? LoopbackServer.Response(headers: [("Content-Type", MediaType.ociManifest)], body: manifest)
        : LoopbackServer.Response(body: config)
    }
    defer {
      server.stop()
      tokens.stop()
    }
    let host = "127.0.0.1:\(server.port)"
    let planned = try ImageResolver(http: HTTPClient(), insecureRegistries: [host])
      .resolve("\(host)/web:1", platform: Self.amd64)
    #expect(planned.manifest == SHA256.digest(of: manifest))
    #expect(tokens.requests.count == 1)
  }

  @Test(arguments: ["Basic realm=\"x\"", "Bearer", "Bearer realm=\"file:///etc/passwd\"", "Bearer realm=\"https://x"])
  func aChallengeThatCannotBeMetIsNone(_ header: String) { #expect(BearerChallenge(header: header) == nil) }

  @Test(arguments: [
    (["os": "linux", "architecture": "amd64"], "linux/amd64"),
    (["os": "linux", "architecture": "aarch64"], "linux/arm64/v8"),
    (["os": "linux", "architecture": "arm", "architecture.detail": "armv6l"], "linux/arm/v6"),
    (["os": "linux", "architecture": "arm", "architecture.detail": "armv7l"], "linux/arm/v7"),
    (["architecture": "x86"], "linux/386"),
  ])
  func devicesWantTheirOwnPlatformFirst(_ attributes: [String: String], _ first: String) {
    #expect(ImagePlatform.runnable(on: Platform(attributes)).first?.description == first)
  }
}
