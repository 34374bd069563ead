import Testing
import WherryJSON
import WherryModel
import WherryTestSupport

@testable import WherryOCI

/// Seeded damage to good input: every one ends in a value or in a refusal, nothing traps, and a value keeps its own
/// rules and bounds.
@Suite struct ParserFuzzTests {
  /// Damages each of `texts` again and again, a few of them several times over.
  private func damaged(_ texts: [String], seed: UInt64, rounds: Int, _ body: (String, [UInt8]) throws -> Void) rethrows
  {
    var random = SeededGenerator(seed: seed)
    for text in texts {
      var bytes = Array(text.utf8)
      for round in 0..<rounds {
        // Damage upon damage finds what one fault alone does not reach; then it begins with the whole again.
        bytes = Damage.apply(to: round % 4 == 0 ? Array(text.utf8) : bytes, using: &random)
        guard bytes.count <= 1 << 16 else { continue }
        try body(String(decoding: bytes, as: UTF8.self), bytes)
      }
    }
  }

  @Test func damagedReferencesAreReadBackAsThemselvesOrRefused() throws {
    let hex = String(repeating: "0a", count: 32)
    let good = [
      "registry.example.com:5000/team/web-app:1.2.3@sha256:\(hex)", "web", "localhost/a__b:T-1", "wherry:team/web:1",
      "docker.io/library/web@sha256:\(hex)",
    ]
    damaged(good, seed: 1, rounds: 3_000) { text, _ in
      guard let reference = try? ImageReference(parsing: text) else { return }
      #expect((try? ImageReference(parsing: reference.description)) == reference, "\(text)")
      #expect(!reference.repository.contains("..") && !reference.registry.contains("/"), "\(text)")
      #expect(reference.description.utf8.count <= 1_024, "\(text)")
    }
  }

  @Test func damagedManifestsAreRefusedOrKeepTheirBounds() throws {
    let image = TestImage(layers: [try TestLayer([1]), try TestLayer([2])])
    var entry = image.manifest["config"] ?? .null
    entry["platform"] = ["os": "linux", "architecture": "arm", "variant": "v7"]
    let index: JSON = ["schemaVersion": 2, "mediaType": .string(MediaType.ociIndex), "manifests": [entry, entry]]
    let documents = [image.manifest, image.config, index].map(\.canonical)
    damaged(documents, seed: 2, rounds: 2_000) { text, bytes in
      guard let json = try? JSON(parsing: bytes, limits: JSONLimits(bytesMaximum: 1 << 16, depthMaximum: 32)) else {
        return
      }
      if let manifest = try? ImageManifest(JSONCursor(json)) {
        #expect(manifest.layers.count <= ImageManifest.layersMaximum, "\(text)")
        let areSound = manifest.layers.allSatisfy {
          $0.size >= 0 && MediaType.compression(ofLayer: $0.mediaType) != nil && !$0.hasForeignURLs
        }
        #expect(areSound && manifest.config.size >= 0, "\(text)")
      }
      if let index = try? ImageIndex(JSONCursor(json)) {
        #expect(index.manifests.count <= ImageIndex.manifestsMaximum && index.manifests.allSatisfy { $0.size >= 0 })
        let found = index.manifest(for: [ImagePlatform(os: "linux", architecture: "arm", variant: "v7")])
        #expect(found.map { MediaType.manifests.contains($0.mediaType) } ?? true, "\(text)")
      }
      _ = try? ImageConfig(JSONCursor(json))
    }
  }

  @Test func damagedChallengesNeverLeadToAnotherSchemeOrAUser() {
    let good = [
      #"Bearer realm="https://auth.example.com/token",service="r",scope="repository:a/b:pull""#,
      #"Basic realm="x", Bearer realm="http://10.0.0.2:5001/token?account=a",service=r"#,
      #"Negotiate YWJj==, Bearer realm="https://a.example/\"t",error="invalid_token""#,
    ]
    damaged(good, seed: 3, rounds: 4_000) { text, _ in
      let challenges = AuthenticationChallenge.all(in: text)
      #expect(challenges.count <= 16, "\(text)")
      // Nothing is made up: all of it stands in the header.
      let bytes = challenges.reduce(0) { sum, challenge in
        challenge.parameters.reduce(sum + challenge.scheme.utf8.count) { $0 + $1.key.utf8.count + $1.value.utf8.count }
      }
      #expect(bytes <= text.utf8.count, "\(text)")
      guard let challenge = BearerChallenge(header: text) else { return }
      let url = challenge.tokenURL
      #expect(url.hasPrefix("https://") || url.hasPrefix("http://"), "\(text)")
      #expect(url.utf8.allSatisfy { (33...126).contains($0) } && url.utf8.count <= 32_768, "\(text)")
      #expect(RegistryHost.isAuthority(challenge.host) && RegistryHost(url: challenge.realm) != nil, "\(text)")
    }
  }

  @Test func damagedNamesOfRegistriesAndMirrorsAreReadBackAsThemselvesOrRefused() {
    let good = ["registry.example.com:5000", "https://index.docker.io/v1/", "http://mirror.example.com:80/hub/a_b"]
    damaged(good, seed: 4, rounds: 3_000) { text, _ in
      if let host = RegistryHost(text) { #expect(RegistryHost(host.authority) == host, "\(text)") }
      if let mirror = RegistryMirror(text) {
        #expect(RegistryMirror(mirror.description) == mirror, "\(text)")
        #expect(!mirror.repository("a").split(separator: "/").contains(".."), "\(text)")
        #expect(RegistryHost(url: mirror.base) == mirror.host, "\(text)")
      }
      if let host = RegistryHost(url: text) { #expect(RegistryHost(host.authority) == host, "\(text)") }
    }
  }
}
