import Glibc
import Testing
import WherryCrypto
import WherryDatabase
import WherryTestSupport

@testable import WherryInventory

/// The fleet's keys are made once: whatever goes wrong later, no other ones take their place.
@Suite struct IdentityTests {
  static let onceMade = ["ca.crt", "keys/ca.key", "keys/signing.key"]
  static let issued = ["server.crt", "server.key", "server.names", "inventory.crt", "inventory.key"]

  let directory = TemporaryDirectory()
  var data: String { directory.file("data") }

  /// As at a start; the directory's lock is given back.
  func load(_ name: String = "data") throws -> Identity {
    try Identity.load(try DataDirectory(directory.file(name)), names: ["localhost"])
  }

  /// As at the end of a first start.
  func establish(_ name: String = "data") throws -> Identity {
    let identity = try load(name)
    try InventoryDatabase(path: directory.file("\(name)/inventory.db")).close()
    return identity
  }

  func replace(_ file: String, by other: String) throws {
    TestFile.write(try #require(TestFile.read(directory.file(other))), to: directory.file(file))
  }

  private func isIssued(_ name: String, by authority: CertificateAuthority) -> Bool {
    let files = ["crt", "key"].map { TestFile.read("\(data)/keys/\(name).\($0)") ?? [] }
    return Certificate.isIssued(
      pem: String(decoding: files[0], as: UTF8.self), key: String(decoding: files[1], as: UTF8.self),
      by: authority.certificatePEM)
  }

  @Test func theSameKeysServeEveryStart() throws {
    let first = try establish()
    let second = try load()
    #expect(second.authority.certificatePEM == first.authority.certificatePEM)
    #expect(second.signingKey.publicKey == first.signingKey.publicKey)
    #expect(second.serverCertificatePEM == first.serverCertificatePEM)
  }

  @Test(arguments: IdentityTests.onceMade) func aKeyThatIsMissingIsNotMadeAnew(file: String) throws {
    _ = try establish()
    unlink("\(data)/\(file)")
    let refusal = #expect(throws: Refusal.self) { _ = try load() }
    #expect(refusal?.description.contains("\(file) is missing") == true)
    #expect(refusal?.remedy == "restore it from a backup")
    #expect(!TestFile.exists("\(data)/\(file)"))
  }

  /// Also where no service has been at work: somebody may have restored the keys first.
  @Test(arguments: IdentityTests.onceMade) func aKeyThatCannotBeReadIsNotMadeAnew(file: String) throws {
    _ = try load()
    unlink("\(data)/\(file)")
    #expect(mkdir("\(data)/\(file)", 0o700) == 0)
    let refusal = #expect(throws: Refusal.self) { _ = try load() }
    #expect(refusal?.code == "data.unreadable")
    #expect(refusal?.description.contains(file) == true)
  }

  @Test func aFirstStartThatWasInterruptedIsBegunAgain() throws {
    _ = try DataDirectory(data)
    TestFile.write(Array("half a certificate".utf8), to: "\(data)/ca.crt")
    let identity = try load()
    #expect(TestFile.read("\(data)/ca.crt") == Array(identity.authority.certificatePEM.utf8))
  }

  @Test func filesOfTwoBackupsAreNotMixed() throws {
    _ = try establish()
    _ = try establish("other")
    try replace("data/keys/ca.key", by: "other/keys/ca.key")
    let refusal = #expect(throws: Refusal.self) { _ = try load() }
    #expect(refusal?.remedy == "restore both from the same backup")
  }

  @Test func certificatesOfAnotherAuthorityAreIssuedAgain() throws {
    _ = try establish()
    _ = try establish("other")
    for name in Self.issued { try replace("data/keys/\(name)", by: "other/keys/\(name)") }
    let identity = try load()
    #expect(isIssued("server", by: identity.authority))
    #expect(isIssued("inventory", by: identity.authority))
  }

  @Test func aCertificateWithAnotherKeyIsIssuedAgain() throws {
    let first = try establish()
    _ = try establish("other")
    for name in ["server.key", "inventory.key"] { try replace("data/keys/\(name)", by: "other/keys/\(name)") }
    #expect(!isIssued("server", by: first.authority))
    let identity = try load()
    #expect(isIssued("server", by: identity.authority))
    #expect(isIssued("inventory", by: identity.authority))
  }
}
