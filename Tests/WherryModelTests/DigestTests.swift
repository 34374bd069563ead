import Testing
import WherryModel

@Suite("Digest")
struct DigestTests {
  private let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

  @Test("has one spelling")
  func spelling() throws {
    let digest = try #require(Digest("sha256:" + hex))
    #expect(digest.description == "sha256:" + hex)
    #expect(digest.short == "e3b0c44298fc")
    #expect(Digest(hex: hex) == digest)
    #expect(Digest("sha256:" + hex.uppercased()) == nil)
  }

  @Test("everything else is refused")
  func refused() {
    for text in [
      "", hex, "sha256:", "sha512:" + hex, "SHA256:" + hex, "sha256:" + hex.dropLast(), "sha256:" + hex + "0",
      "sha256:" + hex.dropLast() + "g", "sha256: " + hex.dropLast(), "sha256:" + "٠".repeated(32),
    ] { #expect(Digest(text) == nil) }
  }

  @Test("of raw bytes")
  func bytes() {
    #expect(Digest(bytes: Array(UInt8(0)..<32)).hex.hasPrefix("000102030405"))
    #expect(Digest(bytes: [UInt8](repeating: 0xAF, count: 32)).hex == "af".repeated(32))
  }
}

@Suite("Instant")
struct InstantTests {
  @Test("arithmetic stops at its ends instead of wrapping")
  func saturation() {
    #expect(Instant(milliseconds: .max).advanced(byMilliseconds: 1).milliseconds == .max)
    #expect(Instant(milliseconds: .min).advanced(byMilliseconds: -1).milliseconds == .min)
    #expect(Instant.zero.advanced(bySeconds: .max).milliseconds == .max)
    #expect(Instant(milliseconds: 5).advanced(bySeconds: 2).milliseconds(since: .zero) == 2005)
  }
}
