import Testing
import WherryJSON
import WherryModel

@testable import WherryOCI

/// Seeded mutations of good input: every one ends in a value or in a refusal, and a value keeps its own rules.
@Suite struct ParserFuzzTests {
  private struct Seeded: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
      state &+= 0x9e37_79b9_7f4a_7c15
      var mixed = state
      mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
      mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
      return mixed ^ (mixed >> 31)
    }
  }

  private func mutated(_ text: String, _ random: inout Seeded) -> [UInt8] {
    var bytes = Array(text.utf8)
    for _ in 0..<Int.random(in: 1...4, using: &random) {
      let place = Int.random(in: 0..<bytes.count, using: &random)
      switch Int.random(in: 0..<4, using: &random) {
      case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
      case 1: bytes.remove(at: place)
      case 2: bytes.insert(contentsOf: bytes[place...].prefix(8), at: place)
      default: bytes[place] = Array("\"{}[]:,/@.-_0e".utf8).randomElement(using: &random) ?? 0
      }
      if bytes.isEmpty { bytes = [0] }
    }
    return bytes
  }

  @Test func mutatedReferencesAreReadBackAsThemselvesOrRefused() throws {
    var random = Seeded(state: 1)
    let hex = String(repeating: "0a", count: 32)
    for _ in 0..<3_000 {
      let text = String(
        decoding: mutated("registry.example.com:5000/team/web-app:1.2.3@sha256:\(hex)", &random), as: UTF8.self)
      guard let reference = try? ImageReference(parsing: text) else { continue }
      #expect(try ImageReference(parsing: reference.description) == reference, "\(text)")
      #expect(!reference.repository.contains("..") && !reference.registry.contains("/"), "\(text)")
    }
  }

  @Test func mutatedManifestsAreRefusedOrKeepTheirBounds() throws {
    var random = Seeded(state: 2)
    let image = TestImage(layers: [try TestLayer([1]), try TestLayer([2])])
    let index: JSON = ["schemaVersion": 2, "manifests": [image.manifest["config"] ?? .null]]
    for document in [image.manifest, image.config, index] {
      for _ in 0..<1_000 {
        guard let json = try? JSON(parsing: mutated(document.canonical, &random)) else { continue }
        if let manifest = try? ImageManifest(JSONCursor(json)) {
          #expect(manifest.layers.allSatisfy { $0.size >= 0 && MediaType.compression(ofLayer: $0.mediaType) != nil })
        }
        _ = try? ImageIndex(JSONCursor(json))
        _ = try? ImageConfig(JSONCursor(json))
      }
    }
  }

  @Test func mutatedChallengesNeverLeadToAnotherScheme() {
    var random = Seeded(state: 3)
    for _ in 0..<3_000 {
      let text = #"Bearer realm="https://auth.example.com/token",service="r",scope="repository:a/b:pull""#
      let header = String(decoding: mutated(text, &random), as: UTF8.self)
      guard let challenge = BearerChallenge(header: header) else { continue }
      #expect(challenge.tokenURL.hasPrefix("https://") || challenge.tokenURL.hasPrefix("http://"), "\(header)")
    }
  }
}
