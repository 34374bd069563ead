import Glibc
import Testing
import WherryModel
import WherryTestSupport
import WherryWire

@testable import WherryInventory

/// Where the service has registries' credentials from, and the words of its options.
@Suite struct RegistryCredentialTests {
  private let directory = TemporaryDirectory()
  private let host: RegistryHost

  init() throws { host = try #require(RegistryHost("registry.example.com")) }

  private func program(_ script: String) -> String {
    let path = directory.file("command")
    TestFile.write(Array("#!/bin/sh\n\(script)\n".utf8), to: path)
    chmod(path, 0o755)
    return path
  }

  private func source(_ command: String, lifetime: Duration = .seconds(300)) throws -> RegistryCredentialSource {
    var settings = RegistrySettings()
    try settings.addCommand(command, for: "kiosk@registry.example.com")
    return RegistryCredentialSource(settings, lifetime: lifetime)
  }

  private var runs: Int { (TestFile.read(directory.file("runs")) ?? []).count }

  @Test func aCommandIsRunWhenItIsNeededAndItsAnswerIsKeptForAWhile() throws {
    let command = program("read host\nprintf x >>'\(directory.file("runs"))'\necho \"$host-$1\"")
    let source = try source("\(command) \"a b\"")
    for _ in 0..<3 {
      #expect(try source.credential(of: host) == RegistryCredential(user: "kiosk", secret: "registry.example.com-a b"))
    }
    #expect(runs == 1)
    let other = try #require(RegistryHost("other.example.com"))
    #expect(try source.credential(of: other) == nil)
    let forgetful = try self.source(command, lifetime: .zero)
    for _ in 0..<2 { #expect(try forgetful.credential(of: host) != nil) }
    #expect(runs == 3)
  }

  @Test func whatARegistryRefusedIsNotKept() throws {
    let command = program("printf x >>'\(directory.file("runs"))'\nwc -c <'\(directory.file("runs"))'")
    let source = try source(command)
    let first = try #require(try source.credential(of: host))
    source.refused(first, by: host)
    let second = try #require(try source.credential(of: host))
    #expect(first.secret == "1" && second.secret == "2")
    // Somebody else's late refusal of the old one takes nothing away.
    source.refused(first, by: host)
    #expect(try source.credential(of: host) == second && runs == 2)
  }

  @Test(arguments: [
    ("exit 4", "wait status", "download.unavailable"), ("kill -9 $$", "wait status 9", "download.unavailable"),
    ("echo", "neither one line", "registry.credential"),
    ("while :; do echo sesame; done", "printed too much", "download.unavailable"),
  ])
  func aCommandThatGivesNothingIsRefusedWithItsReason(_ script: String, _ reason: String, _ code: String) throws {
    let source = try source(program(script))
    let failure = try #require(throws: Failure.self) { try source.credential(of: host) }
    #expect(failure.code == code && failure.message.contains(reason), "\(failure)")
    #expect(failure.message.contains("registry.example.com") && !failure.description.contains("sesame"))
  }

  @Test func aCommandThatHangsIsEndedWithAllThatItStarted() throws {
    let path = program("sleep 1000 & echo $! >'\(directory.file("pid"))'; wait")
    let command = CredentialCommand(user: "kiosk", words: [path])
    let failure = try #require(throws: Failure.self) {
      try CredentialProgram.output(of: command, for: host, timeoutMilliseconds: 3_000)
    }
    #expect(failure.code == "download.unavailable" && failure.message.contains("did not end"))
    let text = String(decoding: TestFile.read(directory.file("pid")) ?? [], as: UTF8.self)
    let child = try #require(pid_t(text.split(separator: "\n").first ?? ""))
    for _ in 0..<24_000 where isAlive(child) { poll(nil, 0, 5) }
    #expect(!isAlive(child))
  }

  /// A zombie that its new parent has not looked at yet is not alive.
  private func isAlive(_ process: pid_t) -> Bool {
    guard let bytes = TestFile.read("/proc/\(process)/stat") else { return false }
    let text = String(decoding: bytes, as: UTF8.self)
    return text.lastIndex(of: ")").map { !text[$0...].hasPrefix(") Z") } ?? false
  }

  @Test func aProgramThatIsNotInstalledIsNamed() throws {
    let source = try source("no-such-program-here")
    let failure = try #require(throws: Failure.self) { try source.credential(of: host) }
    #expect(failure.message.contains("no-such-program-here is not installed"))
  }

  @Test func aFileIsReadAgainAfterARefusal() throws {
    let path = directory.file("registries.json")
    TestFile.write(#"{"auths": {"registry.example.com": {"username": "u", "password": "old"}}}"#.utf8, to: path)
    var settings = RegistrySettings()
    settings.authFile = path
    let source = RegistryCredentialSource(settings)
    let old = try #require(try source.credential(of: host))
    TestFile.write(#"{"auths": {"registry.example.com": {"username": "u", "password": "new"}}}"#.utf8, to: path)
    #expect(try source.credential(of: host) == old)
    source.refused(old, by: host)
    #expect(try source.credential(of: host)?.secret == "new")
  }

  // MARK: Options

  private func configuration() -> ServiceConfiguration { ServiceConfiguration(dataDirectory: directory.path) }

  @Test func theOptionsSayTheSameAsTheKeysOfADevice() throws {
    let path = directory.file("registries.json")
    TestFile.write(#"{"auths": {}}"#.utf8, to: path)
    var configuration = configuration()
    try configuration.setRegistryAuth(path)
    try configuration.addRegistryCredential("robot@registry.example.com=aws ecr get-login-password --region=x")
    try configuration.addRegistryMirror("docker.io=mirror.example.com/hub")
    try configuration.addRegistryMirror("docker.io=mirror2.example.com")
    try configuration.addRegistryTokenServer("registry.example.com=auth.example.com")
    try configuration.setDefaultRegistry("registry.example.com")
    let settings = configuration.registries
    let words = ["aws", "ecr", "get-login-password", "--region=x"]
    #expect(settings.authFile == path)
    #expect(settings.commands == [host: CredentialCommand(user: "robot", words: words)])
    #expect(
      settings.mirrors.values.map { $0.map(\.description) } == [["mirror.example.com/hub", "mirror2.example.com"]])
    #expect(settings.tokenServers == [host: ["auth.example.com"]])
    #expect(configuration.defaultRegistry == "registry.example.com")
  }

  @Test func aFileThatCannotBeUsedIsRefusedAtTheStart() {
    var configuration = configuration()
    #expect(throws: Failure.self) { try configuration.setRegistryAuth(directory.file("missing")) }
    TestFile.write("{}".utf8, to: directory.file("empty"))
    #expect(throws: Failure.self) { try configuration.setRegistryAuth(directory.file("empty")) }
    #expect(configuration.registries.authFile == nil)
  }

  @Test(arguments: ["", "docker.io", "=mirror", "docker.io=", "a b=mirror", "docker.io=a/../b"])
  func anOptionThatSaysNothingIsRefusedWithTheRemedy(_ text: String) throws {
    var configuration = configuration()
    let failure = try #require(throws: Failure.self) { try configuration.addRegistryMirror(text) }
    #expect(!failure.remedy.isEmpty)
  }
}
