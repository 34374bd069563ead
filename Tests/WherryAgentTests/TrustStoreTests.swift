import Glibc
import Testing
import WherryAgent
import WherryModel
import WherryTestSupport
import WherryWire

/// A device that loses power while its identity is replaced has one of the two afterwards.
@Suite struct TrustStoreTests {
  private let directory = TemporaryDirectory()
  private var store: TrustStore { TrustStore(directory: directory.file("trust")) }

  private func save(_ name: DeviceName, at place: String = "trust") throws {
    let response = ProvisioningResponse(
      device: name, certificate: "crt", authority: "ca",
      trust: TrustRoot(version: 1, keys: [SigningKey(id: "k", publicKey: [UInt8](repeating: 1, count: 32))]),
      brokerHost: "broker", brokerPort: 8883, deviceURL: "https://service:8444")
    try TrustStore(directory: directory.file(place)).save(response, privateKeyPEM: "key", at: .zero)
  }

  private func move(_ from: String, _ to: String) {
    #expect(rename(directory.file(from), directory.file(to)) == 0)
  }

  private var names: [String] {
    ["trust", "trust.new", "trust.old"].filter { TestFile.exists(directory.file($0)) }
  }

  @Test func betweenTheTwoRenamesTheNewIdentityIsFinished() throws {
    try save("kiosk-1")
    try save("kiosk-2", at: "next")
    move("trust", "trust.old")
    move("next", "trust.new")
    #expect(try store.load().name == "kiosk-2")
    #expect(names == ["trust"])
    #expect(try store.load().name == "kiosk-2")
  }

  @Test func withoutAWholeNewIdentityTheOldOneComesBack() throws {
    try save("kiosk-1")
    move("trust", "trust.old")
    TestFiles.write(Array("key".utf8), to: directory.file("trust.new/device.key"))
    #expect(try store.exists())
    #expect(try store.load().name == "kiosk-1")
    try save("kiosk-2")
    #expect(try store.load().name == "kiosk-2")
    #expect(names == ["trust"])
  }

  @Test func aFirstIdentityThatWasGivenIsNotLost() throws {
    try save("kiosk-1")
    move("trust", "trust.new")
    #expect(try store.load().name == "kiosk-1")
  }

  @Test func anOldKeyIsRemovedAlsoAfterTheCut() throws {
    try save("kiosk-1")
    try save("kiosk-0", at: "trust.old")
    #expect(try store.load().name == "kiosk-1")
    #expect(names == ["trust"])
  }

  @Test func nothingIsNoIdentity() throws {
    #expect(try !store.exists())
    let failure = try #require(throws: Failure.self) { try store.load() }
    #expect(failure.code == "trust.missing")
  }
}
