import Testing
import WherryModel
import WherryTestSupport
import WherryTransfer

@testable import WherryOCI

/// Mirrors are asked first, and whatever they cannot do is asked of the registry itself.
@Suite struct RegistryMirrorTests {
  private static let amd64 = Platform(["os": "linux", "architecture": "amd64"])
  private static let host = "registry.example.com"

  private func access(_ mirrors: String...) throws -> RegistryAccess {
    RegistryAccess(
      credentials: KnownCredentials([
        try #require(RegistryHost("mirror.example.com")): try #require(RegistryCredential(user: "m", secret: "1")),
        try #require(RegistryHost(Self.host)): try #require(RegistryCredential(user: "r", secret: "2")),
      ]), mirrors: [try #require(RegistryHost(Self.host)): try mirrors.map { try #require(RegistryMirror($0)) }])
  }

  private func resolve(_ http: ScriptedHTTP, _ access: RegistryAccess, insecure: Set<String> = []) throws
    -> PlannedImage
  {
    try ImageResolver(http: http, insecureRegistries: insecure, access: access)
      .resolve("\(Self.host)/team/web:1", platform: Self.amd64)
  }

  @Test func aMirrorThatHasItIsEnoughAndThePlanNamesTheRegistry() throws {
    let image = ServedImage()
    let http = ScriptedHTTP { url, _ in image.answer(to: url) }
    let planned = try resolve(http, try access("mirror.example.com/hub"))
    #expect(planned.registry == "https://registry.example.com" && planned.repository == "team/web")
    #expect(planned.manifest == image.digest)
    #expect(http.requests.count == 2)
    #expect(http.requests.allSatisfy { $0.url.hasPrefix("https://mirror.example.com/v2/hub/team/web/") })
  }

  @Test(arguments: [401, 403, 404, 429, 500, 503]) func aMirrorThatHasItNotIsPassedOver(_ status: Int) throws {
    let image = ServedImage()
    let http = ScriptedHTTP { url, _ in
      url.contains("mirror") ? HTTPAnswer(status: status, headers: [:], body: []) : image.answer(to: url)
    }
    let planned = try resolve(http, try access("mirror.example.com", "mirror2.example.com"))
    #expect(planned.manifest == image.digest)
    #expect(http.requests.prefix(2).map(\.url).allSatisfy { $0.contains("mirror") })
  }

  @Test func aMirrorThatSendsSomethingElseIsPassedOver() throws {
    let image = ServedImage()
    let http = ScriptedHTTP { url, _ in
      url.contains("mirror") && url.contains("/blobs/")
        ? HTTPAnswer(status: 200, headers: [:], body: Array("other".utf8)) : image.answer(to: url)
    }
    #expect(try resolve(http, try access("mirror.example.com")).manifest == image.digest)
    #expect(http.requests.count == 4)
  }

  @Test func whenNobodyHasItTheRefusalNamesThemAll() throws {
    let http = ScriptedHTTP { _, _ in HTTPAnswer(status: 404, headers: [:], body: []) }
    let access = try access("mirror.example.com")
    let caught = #expect(throws: Failure.self) { try resolve(http, access) }
    let failure = try #require(caught)
    #expect(failure.code == "image.notFound")
    #expect(failure.message.hasPrefix("https://registry.example.com has no image"))
    #expect(failure.message.contains("of its mirror: https://mirror.example.com has no image"))
  }

  @Test func eachGetsItsOwnCredential() throws {
    let http = ScriptedHTTP { _, _ in .challenge("Basic realm=\"x\"") }
    #expect(throws: Failure.self) { try resolve(http, try access("mirror.example.com")) }
    let sent = http.requests.filter { $0.authorization != nil }
    #expect(sent.map { $0.url.contains("mirror") } == [true, false])
    #expect(sent.map(\.authorization) == ["Basic bTox", "Basic cjoy"])
  }

  @Test func aMirrorIsInTheClearOnlyWhereTheOperatorSaysSo() throws {
    let image = ServedImage()
    for (mirror, insecure, start) in [
      ("mirror.example.com:5000", [], "https://mirror.example.com:5000/"),
      ("mirror.example.com:5000", ["mirror.example.com:5000"], "http://mirror.example.com:5000/"),
      ("http://mirror.example.com:5000", [], "http://mirror.example.com:5000/"),
    ] as [(String, Set<String>, String)] {
      let http = ScriptedHTTP { url, _ in image.answer(to: url) }
      _ = try resolve(http, try access(mirror), insecure: insecure)
      #expect(http.requests.allSatisfy { $0.url.hasPrefix(start) }, "\(mirror)")
    }
  }

  @Test func dockerHubsMirrorsServeItsShortNames() throws {
    let image = ServedImage()
    let http = ScriptedHTTP { url, _ in image.answer(to: url) }
    let access = RegistryAccess(
      mirrors: [try #require(RegistryHost("index.docker.io")): [try #require(RegistryMirror("mirror.example.com"))]])
    let planned = try ImageResolver(http: http, access: access).resolve("web", platform: Self.amd64)
    #expect(planned.registry == "https://registry-1.docker.io" && planned.repository == "library/web")
    #expect(http.requests.first?.url == "https://mirror.example.com/v2/library/web/manifests/latest")
  }
}
