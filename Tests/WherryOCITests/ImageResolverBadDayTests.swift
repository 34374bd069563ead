import Testing
import WherryCrypto
import WherryJSON
import WherryModel
import WherryTestSupport
import WherryTransfer

@testable import WherryOCI

/// Registries that contradict themselves, that are busy, and indexes as they are found in the world.
@Suite struct ImageResolverBadDayTests {
  private static let amd64 = Platform(["os": "linux", "architecture": "amd64"])

  /// Answers by path; what is not listed is 404.
  private func resolve(
    _ answers: [String: LoopbackServer.Response], platform: Platform = Self.amd64
  ) throws(Failure) -> PlannedImage {
    let server = LoopbackServer { answers[$0.target] ?? LoopbackServer.Response(404) }
    defer { server.stop() }
    let host = "127.0.0.1:\(server.port)"
    return try ImageResolver(http: HTTPClient(), insecureRegistries: [host]).resolve(
      "\(host)/web:1", platform: platform)
  }

  private func refusal(_ answers: [String: LoopbackServer.Response]) -> Failure? {
    do throws(Failure) {
      _ = try resolve(answers)
      return nil
    } catch { return error }
  }

  private static let tag = "/v2/web/manifests/1"

  private func served(_ json: JSON, type: String = MediaType.ociManifest, _ more: [(String, String)] = [])
    -> LoopbackServer.Response
  {
    LoopbackServer.Response(headers: [("Content-Type", type)] + more, body: json.canonicalBytes)
  }

  private func descriptor(_ json: JSON, type: String = MediaType.ociManifest, size: Int? = nil, platform: JSON) -> JSON
  {
    let bytes = json.canonicalBytes
    return [
      "mediaType": .string(type), "digest": .string(SHA256.digest(of: bytes).description),
      "size": .integer(Int64(size ?? bytes.count)), "platform": platform,
    ]
  }

  private func index(_ manifests: [JSON]) -> JSON {
    ["schemaVersion": 2, "mediaType": .string(MediaType.ociIndex), "manifests": .array(manifests)]
  }

  private func manifestPath(_ json: JSON) -> String { "/v2/web/manifests/\(SHA256.digest(of: json.canonicalBytes))" }

  private func servedConfig(of image: TestImage) -> (String, LoopbackServer.Response) {
    let bytes = image.config.canonicalBytes
    return ("/v2/web/blobs/\(SHA256.digest(of: bytes))", LoopbackServer.Response(body: bytes))
  }

  // MARK: Busy

  @Test(arguments: [408, 425, 429, 500, 502, 503])
  func aRegistryThatCannotNowIsTransientAsADownloadIs(_ status: Int) throws {
    let answer = LoopbackServer.Response(status, headers: [("Retry-After", "7")])
    let failure = try #require(refusal([Self.tag: answer]))
    #expect(failure.code == "download.unavailable" && failure.isTransient)
    #expect(failure.message.contains("\(status)") && failure.message.contains("7 seconds"))
  }

  @Test(arguments: [400, 405, 410, 451]) func anotherRefusalIsNotTransient(_ status: Int) {
    let failure = refusal([Self.tag: LoopbackServer.Response(status)])
    #expect(failure?.code == "download.status" && failure?.isTransient == false)
  }

  // MARK: Contradictions

  @Test(arguments: [SHA256.digest(of: "other").description, "sha256:1", "sha256:"])
  func aDeclaredDigestOfOtherBytesIsRefused(_ declared: String) throws {
    let answer = served(TestImage(layers: []).manifest, [("Docker-Content-Digest", declared)])
    let failure = try #require(refusal([Self.tag: answer]))
    #expect(failure.code == "blob.digestMismatch" && failure.message.contains(declared))
  }

  @Test func aDeclaredDigestThatFitsOrIsOfAnotherKindIsTaken() throws {
    let image = TestImage(layers: [])
    let (configPath, config) = servedConfig(of: image)
    for declared in [
      SHA256.digest(of: image.manifest.canonicalBytes).description, "sha512:" + String(repeating: "0", count: 128),
    ] {
      let answers = [Self.tag: served(image.manifest, [("Docker-Content-Digest", declared)]), configPath: config]
      #expect(try resolve(answers).repository == "web")
    }
  }

  @Test(arguments: [MediaType.ociIndex, MediaType.dockerManifest, "text/html"])
  func aDocumentThatIsSaidToBeSomethingElseIsRefused(_ type: String) throws {
    let failure = try #require(refusal([Self.tag: served(TestImage(layers: []).manifest, type: type)]))
    #expect(failure.code == "image.malformed")
    #expect(failure.message.contains(type) && failure.message.contains(MediaType.ociManifest))
  }

  @Test(arguments: ["application/json", "application/octet-stream", "APPLICATION/JSON; charset=utf-8"])
  func aServerThatKnowsNoTypesLeavesItToTheDocument(_ type: String) throws {
    let image = TestImage(layers: [])
    let (configPath, config) = servedConfig(of: image)
    #expect(try resolve([Self.tag: served(image.manifest, type: type), configPath: config]).repository == "web")
  }

  @Test func aDocumentThatIsManifestAndIndexAtOnceIsRefused() {
    var manifest = TestImage(layers: []).manifest
    manifest["manifests"] = []
    #expect(refusal([Self.tag: served(manifest)])?.message.contains("as only an index has") == true)
    for member in ["config", "layers"] {
      var index = index([])
      index[member] = [:]
      let failure = refusal([Self.tag: served(index, type: MediaType.ociIndex)])
      #expect(failure?.message.contains("as only a manifest has") == true, "\(member)")
    }
  }

  @Test func anIndexThatLiesAboutAManifestsSizeIsRefused() {
    let manifest = TestImage(layers: []).manifest
    let platform: JSON = ["os": "linux", "architecture": "amd64"]
    for size in [0, manifest.canonicalBytes.count - 1, manifest.canonicalBytes.count + 1, 1 << 40] {
      let index = index([descriptor(manifest, size: size, platform: platform)])
      let failure = refusal([
        Self.tag: served(index, type: MediaType.ociIndex), manifestPath(manifest): served(manifest),
      ])
      #expect(["blob.digestMismatch", "image.malformed"].contains(failure?.code), "\(size)")
    }
  }

  /// No document can hold its own digest, so a nest has to lie about its type.
  @Test func anIndexThatIsSaidToBeAManifestIsRefused() {
    let platform: JSON = ["os": "linux", "architecture": "amd64"]
    let inner = index([descriptor(TestImage(layers: []).manifest, platform: platform)])
    let outer = index([descriptor(inner, platform: platform)])
    for type in [MediaType.ociManifest, MediaType.ociIndex, "application/json"] {
      let failure = refusal([
        Self.tag: served(outer, type: MediaType.ociIndex), manifestPath(inner): served(inner, type: type),
      ])
      #expect(failure?.code == "image.malformed", "\(type)")
    }
  }

  @Test func anIndexOfIndexesSaysThatItIsNotLookedInto() {
    let inner = index([])
    let outer = index([descriptor(inner, type: MediaType.ociIndex, platform: ["os": "linux", "architecture": "amd64"])])
    let failure = refusal([Self.tag: served(outer, type: MediaType.ociIndex), manifestPath(inner): served(inner)])
    #expect(failure?.code == "image.platform")
    #expect(failure?.message.contains("further indexes") == true)
  }

  @Test func anIndexWithTenThousandManifestsIsRefused() {
    let entry = descriptor(TestImage(layers: []).manifest, platform: ["os": "linux", "architecture": "amd64"])
    let failure = refusal([
      Self.tag: served(index([JSON](repeating: entry, count: 10_000)), type: MediaType.ociIndex)
    ])
    #expect(failure?.code == "image.malformed")
    #expect(failure?.message.contains("10000 manifests") == true)
  }

  // MARK: Platforms

  /// Each variant's image has as many environment entries more, to be told apart.
  private static let variants: [(architecture: String, variant: String?)] = [
    ("arm", "v5"), ("arm", "v6"), ("arm", "v7"), ("arm64", "v8"), ("amd64", nil), ("amd64", "v3"), ("386", nil),
  ]

  private func chosen(_ attributes: [String: String], from variants: [(architecture: String, variant: String?)])
    throws -> String
  {
    // What builders put there beside images; it comes first here, and is to be stepped over.
    let attestation: JSON = ["schemaVersion": 2, "config": [:], "layers": []]
    var entries = [descriptor(attestation, platform: ["os": "unknown", "architecture": "unknown"])]
    var answers: [String: LoopbackServer.Response] = [:]
    var names: [Digest: String] = [:]
    for (place, (architecture, variant)) in variants.enumerated() {
      let image = TestImage(layers: [], architecture: architecture)
      var manifest = image.manifest
      manifest["annotations"] = ["place": .string("\(place)")]
      var platform: JSON = ["os": "linux", "architecture": .string(architecture)]
      if let variant { platform["variant"] = .string(variant) }
      entries.append(descriptor(manifest, platform: platform))
      answers[manifestPath(manifest)] = served(manifest)
      let (configPath, config) = servedConfig(of: image)
      answers[configPath] = config
      names[SHA256.digest(of: manifest.canonicalBytes)] = architecture + (variant.map { "/" + $0 } ?? "")
    }
    answers[Self.tag] = served(index(entries), type: MediaType.ociIndex)
    let image = try resolve(answers, platform: Platform(attributes))
    return names[image.manifest] ?? ""
  }

  @Test(arguments: [
    (["architecture": "aarch64"], "arm64/v8"), (["architecture": "amd64"], "amd64"), (["architecture": "x86"], "386"),
    (["architecture": "amd64", "architecture.detail": "x86-64-v3"], "amd64/v3"),
    (["architecture": "amd64", "architecture.detail": "x86-64-v2"], "amd64"),
    (["architecture": "arm", "architecture.detail": "armv7l"], "arm/v7"),
    (["architecture": "arm", "architecture.detail": "armv8l"], "arm/v7"),
    (["architecture": "arm", "architecture.detail": "armv6l"], "arm/v6"),
    (["architecture": "arm", "architecture.detail": "armv5tejl"], "arm/v5"),
  ])
  func aDeviceGetsTheBestVariantThatItRuns(_ attributes: [String: String], _ name: String) throws {
    #expect(try chosen(attributes, from: Self.variants) == name)
  }

  @Test func anOlderVariantDoesWhereTheOwnIsMissing() throws {
    #expect(
      try chosen(["architecture": "arm", "architecture.detail": "armv7l"], from: [("arm", "v5"), ("arm", "v6")])
        == "arm/v6")
    #expect(try chosen(["architecture": "aarch64"], from: [("arm64", nil)]) == "arm64")
    #expect(try chosen(["architecture": "amd64"], from: [("amd64", "v1")]) == "amd64/v1")
  }

  @Test func aVariantThatADeviceMayNotRunIsNotGivenToIt() {
    let failure = #expect(throws: Failure.self) { try chosen(["architecture": "amd64"], from: [("amd64", "v3")]) }
    #expect(failure?.code == "image.platform")
    // Attestations are no platforms.
    #expect(failure?.message.contains("linux/amd64/v3") == true && failure?.message.contains("unknown") == false)
  }
}
