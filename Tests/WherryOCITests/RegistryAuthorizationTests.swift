import Testing
import WherryModel
import WherryTestSupport
import WherryTransfer

@testable import WherryOCI

/// What registries ask for before they let somebody read, and who gets to see a credential.
@Suite struct RegistryAuthorizationTests {
  private static let amd64 = Platform(["os": "linux", "architecture": "amd64"])
  private static let basic = "Basic a2lvc2s6c2VjcmV0"
  private static let host = "registry.example.com"

  private func credentials(_ host: String = Self.host) throws -> KnownCredentials {
    KnownCredentials([
      try #require(RegistryHost(host)): try #require(RegistryCredential(user: "kiosk", secret: "secret"))
    ])
  }

  private func resolve(
    _ http: any HTTPGetting, _ access: RegistryAccess, host: String = Self.host, insecure: Set<String> = []
  ) throws -> PlannedImage {
    try ImageResolver(http: http, insecureRegistries: insecure, access: access)
      .resolve("\(host)/web:1", platform: Self.amd64)
  }

  private func refusal(_ http: any HTTPGetting, _ access: RegistryAccess) -> Failure? {
    #expect(throws: Failure.self) { try resolve(http, access) }
  }

  /// A registry that wants `authorization` and otherwise challenges.
  private func registry(
    _ challenge: String, accepts authorization: String, token: @escaping (String?) -> HTTPAnswer = { _ in .token("t") }
  ) -> ScriptedHTTP {
    let image = ServedImage()
    return ScriptedHTTP { url, given in
      guard url.contains("/v2/") else { return token(given) }
      return given == authorization ? image.answer(to: url) : .challenge(challenge)
    }
  }

  private func bearer(_ realm: String) -> String {
    "Bearer realm=\"\(realm)\",service=\"r\",scope=\"repository:web:pull\""
  }

  // MARK: Basic

  @Test func aRegistryThatWantsAPasswordGetsTheConfiguredOne() throws {
    let http = registry("Basic realm=\"x\"", accepts: Self.basic)
    #expect(try resolve(http, RegistryAccess(credentials: credentials())).manifest == ServedImage().digest)
    #expect(http.requests.map(\.authorization) == [nil, Self.basic, Self.basic])
  }

  @Test func withoutACredentialTheRefusalSaysHowToConfigureOne() throws {
    let http = registry("Basic realm=\"x\"", accepts: Self.basic)
    let failure = try #require(refusal(http, RegistryAccess()))
    #expect(failure.code == "image.unauthorized" && failure.message.contains("without credentials"))
    #expect(failure.remedy.contains("configure a credential"))
    #expect(http.requests.count == 1)
  }

  @Test func aWrongPasswordIsTriedOnceAndSaidToBeWrong() throws {
    let http = registry("Basic realm=\"x\"", accepts: "Basic other")
    let failure = try #require(refusal(http, RegistryAccess(credentials: try credentials())))
    #expect(failure.code == "image.unauthorized" && failure.message.contains("with its credential"))
    #expect(http.requests.map(\.authorization) == [nil, Self.basic])
  }

  @Test func aCredentialOfAnotherRegistryIsNotShown() throws {
    let http = registry("Basic realm=\"x\"", accepts: Self.basic)
    #expect(refusal(http, RegistryAccess(credentials: try credentials("other.example.com"))) != nil)
    #expect(http.requests.allSatisfy { $0.authorization == nil })
  }

  @Test func aPasswordThatWasKeptTooLongIsReplacedOnce() throws {
    let http = registry("Basic realm=\"x\"", accepts: "Basic a2lvc2s6c2VjcmV0")
    let access = RegistryAccess(credentials: RotatingCredentials(["old", "secret"]))
    #expect(try resolve(http, access).repository == "web")
    let hopeless = registry("Basic realm=\"x\"", accepts: "nothing")
    #expect(refusal(hopeless, RegistryAccess(credentials: RotatingCredentials(["1", "2", "3", "4"]))) != nil)
    #expect(hopeless.requests.count == 3)
  }

  // MARK: Tokens

  @Test func theTokenServerGetsTheCredentialAndTheRegistryOnlyTheToken() throws {
    let http = registry(bearer("https://registry.example.com/token"), accepts: "Bearer t")
    #expect(try resolve(http, RegistryAccess(credentials: credentials())).repository == "web")
    let asked = http.requests.filter { $0.url.contains("/token") }
    #expect(asked.map(\.url) == ["https://registry.example.com/token?service=r&scope=repository:web:pull"])
    #expect(asked.map(\.authorization) == [Self.basic])
    #expect(http.requests.filter { $0.url.contains("/v2/") }.map(\.authorization) == [nil, "Bearer t", "Bearer t"])
  }

  @Test func aTokenServerIsTriedBeforeAPasswordIsShownToTheRegistry() throws {
    let challenge = "Basic realm=\"x\", " + bearer("https://registry.example.com/token")
    let http = registry(challenge, accepts: "Bearer t")
    #expect(try resolve(http, RegistryAccess(credentials: credentials())).repository == "web")
    #expect(http.requests.filter { $0.url.contains("/v2/") }.allSatisfy { $0.authorization != Self.basic })
  }

  @Test(arguments: ["https://evil.example.com/token", "https://evil.test/token", "https://registry.example.com.evil/t"])
  func aForeignTokenServerNeverSeesTheCredential(_ realm: String) throws {
    let http = registry(bearer(realm), accepts: "Bearer t")
    let failure = try #require(refusal(http, RegistryAccess(credentials: try credentials())))
    #expect(failure.code == "image.unauthorized")
    #expect(failure.remedy.contains("--registry-token-server registry.example.com="))
    #expect(http.requests.map(\.authorization) == [nil])
    // Without a credential there is nothing to take.
    #expect(try resolve(registry(bearer(realm), accepts: "Bearer t"), RegistryAccess()).repository == "web")
  }

  @Test func aTokenServerThatTheOperatorAllowedSeesTheCredential() throws {
    let http = registry(bearer("https://auth.example.org/token"), accepts: "Bearer t")
    var access = RegistryAccess(credentials: try credentials())
    access.tokenServers = [try #require(RegistryHost(Self.host)): ["auth.example.org"]]
    #expect(try resolve(http, access).repository == "web")
    #expect(http.requests.contains { $0.url.hasPrefix("https://auth.example.org/") && $0.authorization == Self.basic })
  }

  @Test func anEncryptedRegistryMayNotNameATokenServerInTheClear() throws {
    let http = registry(bearer("http://registry.example.com/token"), accepts: "Bearer t")
    for access in [RegistryAccess(credentials: try credentials()), RegistryAccess()] {
      #expect(refusal(http, access)?.code == "image.unauthorized")
    }
    #expect(http.requests.allSatisfy { $0.url.hasPrefix("https://") })
  }

  @Test func aTokenThatExpiredInTheMiddleIsFetchedAnew() throws {
    var fetched = 0
    var isUsed = false
    let image = ServedImage()
    let challenge = bearer("https://registry.example.com/token")
    let http = ScriptedHTTP { url, given in
      if url.contains("/token") {
        fetched += 1
        return .token("t\(fetched)")
      }
      // The first token is good for one request.
      guard given == "Bearer t\(fetched)", !(fetched == 1 && isUsed) else { return .challenge(challenge) }
      isUsed = true
      return image.answer(to: url)
    }
    #expect(try resolve(http, RegistryAccess()).manifest == image.digest)
    #expect(fetched == 2)
  }

  @Test func aRegistryThatIsNeverContentIsLeftAfterOneToken() {
    let http = registry(bearer("https://registry.example.com/token"), accepts: "nothing")
    #expect(refusal(http, RegistryAccess())?.code == "image.unauthorized")
    #expect(http.requests.count == 3)
  }

  @Test(arguments: [
    (401, "image.unauthorized"), (403, "image.unauthorized"), (429, "download.unavailable"),
    (503, "download.unavailable"),
  ])
  func aTokenServersRefusalIsNamed(_ status: Int, _ code: String) throws {
    let http = registry(
      bearer("https://registry.example.com/token"), accepts: "Bearer t",
      token: { _ in HTTPAnswer(status: status, headers: [:], body: []) })
    let failure = try #require(refusal(http, RegistryAccess(credentials: try credentials())))
    #expect(failure.code == code && failure.message.contains("registry.example.com/token"))
  }

  @Test(arguments: ["", "{}", "[]", #"{"token":""}"#, #"{"token":"a b"}"#, #"{"token":7}"#])
  func anAnswerWithoutATokenIsNone(_ body: String) {
    let http = registry(
      bearer("https://registry.example.com/token"), accepts: "Bearer t",
      token: { _ in HTTPAnswer(status: 200, headers: [:], body: Array(body.utf8)) })
    #expect(refusal(http, RegistryAccess())?.code == "download.invalidResponse")
  }

  // MARK: Redirects

  /// Over real connections, since it is the client that keeps track of origins.
  @Test func aChallengeFromWhereARedirectLeadsIsNotMet() throws {
    let other = LoopbackServer { _ in
      LoopbackServer.Response(401, headers: [("WWW-Authenticate", "Basic realm=\"x\"")])
    }
    let target = other.origin + "/v2/web/manifests/1"
    let server = LoopbackServer { _ in LoopbackServer.Response(307, headers: [("Location", target)]) }
    defer {
      server.stop()
      other.stop()
    }
    let host = "127.0.0.1:\(server.port)"
    var known: [RegistryHost: RegistryCredential] = [:]
    for name in [host, "127.0.0.1:\(other.port)"] {
      known[try #require(RegistryHost(name))] = RegistryCredential(user: "kiosk", secret: "secret")
    }
    let failure = #expect(throws: Failure.self) {
      try resolve(
        HTTPClient(), RegistryAccess(credentials: KnownCredentials(known)), host: host, insecure: [host])
    }
    #expect(failure?.code == "image.unauthorized")
    #expect((server.requests + other.requests).allSatisfy { $0.headers["authorization"] == nil })
  }

  @Test func thePasswordDoesNotFollowARedirectToAnotherHost() throws {
    let image = ServedImage()
    let other = LoopbackServer { image.response(to: $0.target) }
    let target = other.origin
    let server = LoopbackServer { request in
      request.headers["authorization"] == nil
        ? LoopbackServer.Response(401, headers: [("WWW-Authenticate", "Basic realm=\"x\"")])
        : LoopbackServer.Response(307, headers: [("Location", target + request.target)])
    }
    defer {
      server.stop()
      other.stop()
    }
    let host = "127.0.0.1:\(server.port)"
    let planned = try resolve(
      HTTPClient(), RegistryAccess(credentials: try credentials(host)), host: host, insecure: [host])
    #expect(planned.manifest == image.digest)
    #expect(server.requests.contains { $0.headers["authorization"] == Self.basic })
    #expect(!other.requests.isEmpty && other.requests.allSatisfy { $0.headers["authorization"] == nil })
  }
}
