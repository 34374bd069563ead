import Testing
import WherryModel

@testable import WherryTransfer

/// Where a redirect may lead, and what goes along. The rules themselves; `HTTPClientTests` has the connections.
@Suite struct RedirectTests {
  private func hop(_ url: String) -> Hop {
    Hop(HTTPRequest(url: url, headers: [("Authorization", "Basic x"), ("Accept", "a/b")]))
  }

  private func follow(_ from: String, _ to: String, insecure: Set<String> = []) -> Hop? {
    try? hop(from).following(to, maximum: 5, insecureHosts: insecure)
  }

  @Test(arguments: [
    "http://registry.example.com/b", "http://registry.example.com:5000/b", "http://cdn.example.com/b",
  ])
  func encryptedNeverGoesOnInTheClear(_ target: String) throws {
    let error = #expect(throws: TransferError.self) {
      try hop("https://registry.example.com/a").following(target, maximum: 5, insecureHosts: ["other.example.com"])
    }
    #expect(error?.code == .invalidResponse && error?.remedy.contains("https") == true)
  }

  @Test func exceptAtAHostThatTheOperatorNamed() throws {
    for names in [["cdn.example.com"], ["cdn.example.com:80"]] as [Set<String>] {
      let next = try #require(follow("https://registry.example.com/a", "http://cdn.example.com/b", insecure: names))
      #expect(!next.isTrusted && next.request.headers.map(\.0) == ["Accept"])
    }
    // A name without port is for the usual port.
    let other = "http://cdn.example.com:5000/b"
    #expect(follow("https://registry.example.com/a", other, insecure: ["cdn.example.com"]) == nil)
    #expect(follow("https://registry.example.com/a", other, insecure: ["cdn.example.com:5000"]) != nil)
  }

  @Test(arguments: [
    ("https://a.example/x", "https://a.example/y", true), ("https://a.example/x", "https://a.example:443/y", true),
    ("https://a.example/x", "https://a.example:8443/y", false), ("https://a.example/x", "https://b.a.example/y", false),
    ("http://a.example/x", "https://a.example/y", false),
  ])
  func credentialsStayWithSchemeHostAndPort(_ from: String, _ to: String, _ areKept: Bool) throws {
    let next = try #require(follow(from, to))
    #expect(next.isTrusted == areKept)
    #expect(next.request.headers.contains { $0.0 == "Authorization" } == areKept)
  }

  @Test func onceAwayCredentialsDoNotComeBack() throws {
    let away = try #require(follow("https://a.example/x", "https://b.example/y"))
    let back = try away.following("https://a.example/z", maximum: 5, insecureHosts: [])
    #expect(!back.isTrusted && back.request.headers.map(\.0) == ["Accept"])
  }
}
