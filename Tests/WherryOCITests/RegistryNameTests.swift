import Testing
import WherryModel

@testable import WherryOCI

/// Registries, mirrors and challenges as people, files and servers write them.
@Suite struct RegistryNameTests {
  @Test(arguments: [
    ("ghcr.io", "ghcr.io"), ("LocalHost:5000", "localhost:5000"), ("docker.io", "docker.io"),
    ("index.docker.io", "docker.io"), ("registry-1.docker.io", "docker.io"),
    ("https://index.docker.io/v1/", "docker.io"), ("http://10.0.0.2:5000", "10.0.0.2:5000"),
    ("https://registry.example.com/v2", "registry.example.com"),
  ])
  func aRegistryHasOneName(_ text: String, _ name: String) { #expect(RegistryHost(text)?.authority == name) }

  @Test(arguments: [
    "", "/", "a b", "user@host", "host:0", "host:99999", "host:", "host/team", "https://host/team", "-a", "ä.example",
    "https://https://host", "\u{212a}.example", "[::1]:5000", "host:5000:1",
  ])
  func whatIsNoRegistryIsNone(_ text: String) { #expect(RegistryHost(text) == nil) }

  @Test func aRegistryIsFoundInTheURLsOfItsContent() {
    #expect(RegistryHost(url: "https://registry-1.docker.io/v2/a/blobs/x")?.authority == "docker.io")
    #expect(RegistryHost(url: "http://127.0.0.1:5000/v2/")?.authority == "127.0.0.1:5000")
    for url in ["ftp://a/b", "a/b", "https:///v2", "https://u@a/v2", "https://a\\b/v2"] {
      #expect(RegistryHost(url: url) == nil, "\(url)")
    }
  }

  @Test(arguments: [
    ("registry.example.com:5000", "registry.example.com", true), ("registry.gitlab.com", "gitlab.com", true),
    ("example.com", "auth.example.com", true), ("docker.io", "auth.docker.io", true),
    ("docker.io", "evil.docker.io", false), ("registry.example.com", "auth.example.com", false),
    ("registry.example.com", "com", false), ("registry.example.com", "xregistry.example.com", false),
    ("acme.azurecr.io", "evil.azurecr.io", false), ("10.0.0.2", "0.0.2", false), ("10.0.0.2", "10.0.0.2", true),
    ("localhost:5000", "localhost", true), ("localhost:5000", "evil.localhost", false),
  ])
  func aCredentialGoesUpAndDownTheRegistrysDomain(_ registry: String, _ server: String, _ isNatural: Bool) throws {
    #expect(try #require(RegistryHost(registry)).isNaturalTokenServer(server) == isNatural)
  }

  @Test(arguments: [
    ("mirror.example.com", "https://mirror.example.com", "library/web"),
    ("mirror.example.com:5000/hub/", "https://mirror.example.com:5000", "hub/library/web"),
    ("http://10.0.0.2:5000", "http://10.0.0.2:5000", "library/web"),
    ("https://mirror.example.com/a/b_c", "https://mirror.example.com", "a/b_c/library/web"),
    ("docker.io", "https://registry-1.docker.io", "library/web"),
  ])
  func aMirrorSaysWhereAndUnderWhichName(_ text: String, _ base: String, _ repository: String) throws {
    let mirror = try #require(RegistryMirror(text))
    #expect(mirror.base == base)
    #expect(mirror.repository("library/web") == repository)
    #expect(RegistryMirror(mirror.description) == mirror)
  }

  @Test(arguments: [
    "", "/", "mirror/../x", "mirror//x", "mirror/A", "ftp://mirror", "mirror?x", "u@mirror", "http://", "mirror/.",
  ])
  func whatIsNoMirrorIsNone(_ text: String) { #expect(RegistryMirror(text) == nil) }

  @Test func aCredentialShowsNoSecretAsText() throws {
    let credential = try #require(RegistryCredential(user: "kiosk", secret: "sesame"))
    #expect(!"\(credential) \(String(reflecting: credential)) \([credential])".contains("sesame"))
    for (user, secret, header) in [("a", "b", "YTpi"), ("ab", "c", "YWI6Yw=="), ("AWS", "pass", "QVdTOnBhc3M=")] {
      #expect(RegistryCredential(user: user, secret: secret)?.basicAuthorization == "Basic " + header)
    }
  }

  @Test(arguments: [("", "b"), ("a", ""), ("a:b", "c"), ("a\n", "b"), ("a", "b\r\nX: y"), ("a", "\u{7f}")])
  func aCredentialThatNoHeaderCanCarryIsNone(_ user: String, _ secret: String) {
    #expect(RegistryCredential(user: user, secret: secret) == nil)
  }

  // MARK: Challenges

  private func parsed(_ header: String) -> [[String: String]] {
    AuthenticationChallenge.all(in: header).map { challenge in
      var parts = challenge.parameters
      parts[""] = challenge.scheme
      return parts
    }
  }

  @Test func challengesAreReadAsTheStandardWritesThem() {
    #expect(parsed("Basic realm=\"x\"") == [["": "basic", "realm": "x"]])
    #expect(
      parsed("  BASIC\trealm = \"a \\\"b\\\", c\" , charset=UTF-8") == [
        ["": "basic", "realm": "a \"b\", c", "charset": "UTF-8"]
      ])
    #expect(
      parsed("Bearer realm=https://a.example/t,service=r, Basic realm=\"x\"") == [
        ["": "bearer", "realm": "https://a.example/t", "service": "r"], ["": "basic", "realm": "x"],
      ])
    #expect(parsed("Negotiate, Basic realm=\"x\"") == [["": "negotiate"], ["": "basic", "realm": "x"]])
    #expect(parsed("Negotiate dG9rZW4/, Digest realm=x").map { $0[""] } == ["negotiate", "digest"])
  }

  @Test(arguments: [
    "", ",", "=", "\"", "Basic realm=\"x", "Basic realm=\"x\" y", "Bearer realm=\"a\",realm=\"b\"", "Basic realm=\"x\\",
    "Basic realm=\"x\"Bearer realm=\"y\"", String(repeating: "a, ", count: 17),
    "Basic " + String(repeating: "x", count: 9_000),
  ])
  func aHeaderThatBreaksTheGrammarHoldsNoChallenge(_ header: String) { #expect(parsed(header).isEmpty) }

  @Test(arguments: [
    "https://user:pass@a.example/t", "https://a.example\\@evil.example/t", "https://a.example/t#x", "https:///t",
    "//a/t",
    "https://a.example:0/t", "javascript:x", "https://[::1]/t", "https://a.example /t",
    "https://" + String(repeating: "a", count: 3_000),
  ])
  func aRealmThatTwoReadersCouldReadDifferentlyIsNone(_ realm: String) {
    #expect(BearerChallenge(header: "Bearer realm=\"\(realm)\"") == nil)
  }

  @Test func theHostOfARealmIsKnown() {
    let challenge = BearerChallenge(header: "Bearer realm=\"https://Auth.Example.com:5001/token?x=1\",service=\"a b\"")
    #expect(challenge?.host == "auth.example.com")
    #expect(challenge?.tokenURL == "https://Auth.Example.com:5001/token?x=1&service=a%20b")
  }
}
