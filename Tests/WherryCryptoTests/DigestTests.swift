import Testing
import WherryCrypto
import WherryModel
import WherryTestSupport

@Suite struct DigestTests {
  // FIPS 180-4 examples.
  static let vectors: [(String, String)] = [
    ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
      "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    ),
  ]

  @Test(arguments: vectors) func `the digest of a text is the published one`(text: String, hex: String) {
    #expect(SHA256.digest(of: text).hex == hex)
    var hash = SHA256()
    for byte in text.utf8 { hash.update([byte]) }
    #expect(hash.finish().hex == hex)
  }

  @Test func `a million letters in pieces give the published digest`() {
    var hash = SHA256()
    let piece = [UInt8](repeating: UInt8(ascii: "a"), count: 1000)
    for _ in 0..<1000 { hash.update(piece) }
    #expect(hash.finish().hex == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
  }

  @Test func `a copy goes on without disturbing its original`() {
    var first = SHA256()
    first.update(Array("ab".utf8))
    var second = first
    second.update(Array("x".utf8))
    first.update(Array("c".utf8))
    #expect(first.finish() == SHA256.digest(of: "abc"))
    #expect(second.finish() == SHA256.digest(of: "abx"))
  }

  @Test func `after finishing a new digest begins`() {
    var hash = SHA256()
    hash.update([1, 2, 3])
    _ = hash.finish()
    hash.update(Array("abc".utf8))
    #expect(hash.finish() == SHA256.digest(of: "abc"))
  }

  @Test func `a file's digest and size are those of its bytes`() throws {
    let directory = TemporaryDirectory()
    let bytes = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    TestFile.write(bytes, to: directory.file("blob"))
    let (digest, size) = try FileDigest.digest(path: directory.file("blob"))
    #expect(digest == SHA256.digest(of: bytes))
    #expect(size == 1_000_000)
  }

  @Test func `a missing file is named in the error`() {
    let error = #expect(throws: CryptoError.self) { try FileDigest.digest(path: "/nowhere/blob") }
    #expect(error?.message == "/nowhere/blob cannot be opened: No such file or directory")
  }

  @Test func `random bytes have the asked length and differ`() {
    #expect(randomBytes(0).isEmpty)
    #expect(randomBytes(32).count == 32)
    #expect(randomBytes(32) != randomBytes(32))
  }

  @Test func `constant-time comparison compares`() {
    #expect(constantTimeEqual([1, 2, 3], [1, 2, 3]))
    #expect(!constantTimeEqual([1, 2, 3], [1, 2, 4]))
    #expect(!constantTimeEqual([1, 2, 3], [1, 2]))
    #expect(constantTimeEqual([], []))
  }
}
