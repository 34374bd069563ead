import Glibc
import Testing
import WherryAgent
import WherryJSON
import WherryModel
import WherryTestSupport
import WherryWire

@Suite struct ConfigurationTests {
  private static func parse(_ text: String) throws -> AgentConfiguration {
    try AgentConfiguration(parsing: text, fileName: "agent.conf", programs: "/usr/bin")
  }

  @Test func readsKeysAndKeepsDefaults() throws {
    let configuration = try Self.parse(
      """
      # where
      root = /srv/wherry/   # on the big disk
      agent_id=edge1
      log_level = debug
      """)
    #expect(configuration.root == "/srv/wherry")
    #expect(configuration.agentID == "edge1")
    #expect(configuration.logLevel == .debug)
    #expect(configuration.run == "/run/wherry" && configuration.shim == "/usr/bin/wherry-shim")
  }

  @Test(arguments: [
    ("rooot = /srv", "agent.conf, line 1: the key \"rooot\" is not known"),
    ("\nroot /srv", "agent.conf, line 2: \"root /srv\" is not `key = value`"),
    ("root = srv", "absolute path"), ("root = /a/../b", "absolute path"), ("run = /a:b", "colons"),
    ("root = /a\nroot = /b", "agent.conf, line 2: \"root\" is set twice"), ("subnet =", "has no value"),
    ("agent_id = Far-Too-Long-Name", "lower-case"), ("log_level = loud", "error, warning, info or debug"),
  ]) func refusesWithPlaceAndRemedy(text: String, sentence: String) throws {
    let failure = try #require(throws: Failure.self) { try Self.parse(text) }
    #expect(failure.description.contains(sentence), "\(failure)")
    #expect(failure.message.contains("agent.conf, line "))
  }

  @Test func anIdentityIsKeptTightAndReplacedWhole() throws {
    let directory = TemporaryDirectory()
    let store = TrustStore(directory: directory.file("trust"))
    #expect(throws: Failure.self) { try store.load() }
    for name in ["kiosk-1", "kiosk-2"] as [DeviceName] {
      let response = ProvisioningResponse(
        device: name, certificate: "crt", authority: "ca",
        trust: TrustRoot(version: 1, keys: [SigningKey(id: "k", publicKey: [UInt8](repeating: 1, count: 32))]),
        brokerHost: "broker", brokerPort: 8883, deviceURL: "https://service:8444")
      try store.save(response, privateKeyPEM: "key", at: Instant(milliseconds: 5))
      let identity = try store.load()
      #expect(identity.name == name && identity.brokerPort == 8883 && identity.keys.count == 1)
      #expect(identity.givenAt == Instant(milliseconds: 5))
      #expect(Self.mode(store.directory) == 0o700 && Self.mode(identity.keyFile) == 0o600)
    }
    #expect(!TestFile.exists(store.directory + ".old") && !TestFile.exists(store.directory + ".new"))
  }

  private static func mode(_ path: String) -> UInt32 {
    var status = stat()
    return stat(path, &status) == 0 ? status.st_mode & 0o7777 : 0
  }

  @Test func aDamagedIdentitySaysWhatToDo() throws {
    let directory = TemporaryDirectory()
    let store = TrustStore(directory: directory.path)
    TestFile.write(Array("{".utf8), to: directory.file("provision.json"))
    let failure = try #require(throws: Failure.self) { try store.load() }
    #expect(failure.code == "trust.damaged" && failure.remedy.contains("--force"))
  }

  @Test func usersAreFoundByNameAndNumber() throws {
    let directory = TemporaryDirectory()
    let passwd = directory.file("passwd")
    let group = directory.file("group")
    TestFile.write(Array("root:x:0:0::/:/bin/sh\napp:x:1005:1006::/:/bin/sh\n".utf8), to: passwd)
    TestFile.write(Array("video:x:44:app,other\naudio:x:29:other\n".utf8), to: group)
    let account = try UserAccount.named("app", passwd: passwd, groupFile: group)
    #expect(account == UserAccount(name: "app", user: 1005, group: 1006, groups: [44]))
    #expect(try UserAccount.named("7:8", passwd: passwd, groupFile: group).group == 8)
    let failure = try #require(throws: Failure.self) {
      try UserAccount.named("nemo", passwd: passwd, groupFile: group)
    }
    #expect(failure.message.contains("nemo"))
  }
}
