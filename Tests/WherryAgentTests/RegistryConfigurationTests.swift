import Testing
import WherryAgent
import WherryModel
import WherryTestSupport
import WherryWire

/// What `agent.conf` and Docker's file say about registries.
@Suite struct RegistryConfigurationTests {
  private static func parse(_ text: String) throws -> RegistrySettings {
    try AgentConfiguration(parsing: text, fileName: "agent.conf", programs: "/usr/bin").registries
  }

  @Test func registriesAreAPartOfTheKey() throws {
    let settings = try Self.parse(
      """
      registry_auth = /etc/wherry/registries.json
      registry_mirror.docker.io = mirror.example.com/hub, http://10.0.0.2:5000
      registry_token_server.registry.example.com:5000 = auth.example.com
      registry_credential.1.dkr.ecr.eu-north-1.amazonaws.com = /usr/bin/aws ecr get-login-password
      registry_credential.robot@registry.example.com:5000 = /usr/bin/vault read "a b" ""
      """)
    let (hub, own) = (try #require(RegistryHost("docker.io")), try #require(RegistryHost("registry.example.com:5000")))
    let ecr = try #require(RegistryHost("1.dkr.ecr.eu-north-1.amazonaws.com"))
    #expect(settings.authFile == "/etc/wherry/registries.json")
    #expect(settings.mirrors[hub]?.map(\.description) == ["mirror.example.com/hub", "http://10.0.0.2:5000"])
    #expect(settings.tokenServers == [own: ["auth.example.com"]])
    #expect(
      settings.commands[ecr] == CredentialCommand(user: "AWS", words: ["/usr/bin/aws", "ecr", "get-login-password"]))
    #expect(settings.commands[own] == CredentialCommand(user: "robot", words: ["/usr/bin/vault", "read", "a b", ""]))
    #expect(try Self.parse("") == RegistrySettings())
  }

  @Test(arguments: [
    ("registry_mirror = a", "is not a registry"), ("registry_mirror.docker.io = a b/../c", "is not a mirror"),
    ("registry_mirror.a/b = c", "is not a registry"), ("registry_mirror.a = c c", "twice"),
    ("registry_mirror.a =", "nothing is named"), ("registry_token_server.a = https://b", "is not a host"),
    ("registry_token_server.a = b:443", "is not a host"), ("registry_credential.a = aws x", "absolute path"),
    ("registry_credential.a = /bin/x \"y", "is not a command"), ("registry_credential.:x@a = /bin/x", "user's name"),
    ("registry_credential.docker.io = /bin/x\nregistry_credential.index.docker.io = /bin/y", "two credential commands"),
    ("registry_auth = registries.json", "absolute path"), ("registry_proxy.a = b", "is not known"),
  ])
  func refusesWithPlaceAndRemedy(_ text: String, _ sentence: String) throws {
    let failure = try #require(throws: Failure.self) { try Self.parse(text) }
    #expect(failure.message.hasPrefix("agent.conf, line "), "\(failure)")
    #expect(failure.description.contains(sentence) && !failure.remedy.isEmpty, "\(failure)")
  }

  // MARK: Docker's file

  private static func credentials(_ text: String) throws -> [RegistryHost: RegistryCredential] {
    try RegistryAuthFile(parsing: Array(text.utf8), path: "/etc/wherry/registries.json").credentials
  }

  @Test(arguments: [
    #"{"auths": {"registry.example.com": {"auth": "a2lvc2s6c2VjcmV0"}}}"#,
    #"{"auths": {"https://registry.example.com/v2/": {"username": "kiosk", "password": "secret", "email": "k@x"}}}"#,
    #"{"credsStore": "x", "auths": {"registry.example.com": {"auth": "a2lvc2s6c2VjcmV0", "username": "kiosk"}}}"#,
  ])
  func aFileThatDockerWroteIsRead(_ text: String) throws {
    let host = try #require(RegistryHost("registry.example.com"))
    let credential = try #require(RegistryCredential(user: "kiosk", secret: "secret"))
    #expect(try Self.credentials(text) == [host: credential])
  }

  @Test func aPasswordMayHoldColonsAndOtherLetters() throws {
    let host = try #require(RegistryHost("docker.io"))
    let text = #"{"auths": {"https://index.docker.io/v1/": {"auth": "a2lvc2s6cMOkOnNz"}}}"#
    #expect(try Self.credentials(text)[host]?.secret == "pä:ss")
  }

  @Test(arguments: [
    "", "[]", "{}", #"{"auths": []}"#, #"{"auths": {"a": {}}}"#, #"{"auths": {"a": {"auth": ""}}}"#,
    #"{"auths": {"a": {"auth": "a2lvc2s6c2VjcmV0="}}}"#, #"{"auths": {"a": {"auth": "a2lvc2s="}}}"#,
    #"{"auths": {"a": {"auth": "Og=="}}}"#, #"{"auths": {"a": {"auth": "//86//8="}}}"#,
    #"{"auths": {"a": {"username": "k"}}}"#, #"{"auths": {"a": {"username": "k", "password": ""}}}"#,
    #"{"auths": {"a": {"identitytoken": "t", "auth": "a2lvc2s6c2VjcmV0"}}}"#,
    #"{"auths": {"a": {"registrytoken": "t", "auth": "a2lvc2s6c2VjcmV0"}}}"#,
    #"{"auths": {"a": {"auth": "a2lvc2s6c2VjcmV0", "password": "other"}}}"#,
    #"{"auths": {"a/b": {"auth": "a2lvc2s6c2VjcmV0"}}}"#, #"{"auths": {"a": {"auth": 7}}}"#,
    #"{"auths": {"docker.io": {"auth": "a2lvc2s6c2VjcmV0"}, "index.docker.io": {"auth": "a2lvc2s6c2VjcmV0"}}}"#,
    #"{"auths": {"a": {"auth": "a2lvc2s6c2VjcmV0"}, "a": {"auth": "a2lvc2s6c2VjcmV0"}}}"#,
  ])
  func nothingIsGuessedInAFile(_ text: String) throws {
    let failure = try #require(throws: Failure.self) { try Self.credentials(text) }
    #expect(failure.code == "registry.credential" && failure.message.contains("/etc/wherry/registries.json"))
    #expect(!failure.description.contains("secret") && !failure.description.contains("a2lvc2s6"))
  }

  @Test func damagedFilesAreRefusedOrKeepTheirBounds() throws {
    let good = #"""
      {"auths": {
        "registry.example.com:5000": {"auth": "a2lvc2s6c2VjcmV0"}, "b": {"username": "u", "password": "p"}
      }}
      """#
    var random = SeededGenerator(seed: 5)
    for _ in 0..<5_000 {
      let bytes = Damage.apply(to: Array(good.utf8), using: &random)
      guard let file = try? RegistryAuthFile(parsing: bytes, path: "f") else { continue }
      for credential in file.credentials.values {
        #expect(!credential.user.isEmpty && !credential.secret.isEmpty && credential.secret.utf8.count <= bytes.count)
        #expect(!credential.basicAuthorization.contains("\n"))
      }
    }
  }

  // MARK: What commands print

  private static let command = CredentialCommand(user: "AWS", words: ["/bin/x"])

  private static func read(_ output: String) throws -> RegistryCredential {
    let host = try #require(RegistryHost("registry.example.com"))
    return try command.credential(in: Array(output.utf8), of: host)
  }

  @Test(arguments: [
    ("sesame", "AWS", "sesame"), ("sesame\n", "AWS", "sesame"), ("open sesame\r\n", "AWS", "open sesame"),
    (#"{"ServerURL": "x", "Username": "kiosk", "Secret": "sesame"}"#, "kiosk", "sesame"),
    ("\n {\"Username\": \"kiosk\", \"Secret\": \"s\"}\n", "kiosk", "s"),
  ])
  func aPasswordOrAHelpersAnswerIsUnderstood(_ output: String, _ user: String, _ secret: String) throws {
    #expect(try Self.read(output) == RegistryCredential(user: user, secret: secret))
  }

  @Test(arguments: [
    "", "\n", "two\nlines", "{", "{}", #"{"Username": "a"}"#, #"{"Username": "<token>", "Secret": "sesame"}"#,
    #"{"Username": "a:b", "Secret": "sesame"}"#, "sesame\u{7}", String(repeating: "x", count: 70_000),
  ])
  func anythingElseIsRefusedWithoutRepeatingIt(_ output: String) throws {
    let failure = try #require(throws: Failure.self) { try Self.read(output) }
    #expect(failure.code == "registry.credential" && failure.message.contains("registry.example.com"))
    #expect(!failure.description.contains("sesame") && failure.description.utf8.count < 1_000)
  }
}
