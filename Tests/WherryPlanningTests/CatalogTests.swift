import Testing
import WherryModel
import WherryPlanning

@Suite struct CatalogTests {
  private func versions(_ texts: String...) throws -> [Version] {
    try texts.map { try #require(Version($0)) }
  }

  @Test func versionsThatDifferInBuildMetadataOnlyHaveAnOrder() throws {
    let published = try catalog("web 1.0.0+c", "web 1.0.0+a", "web 0.9.0", "web 1.0.0", "web 1.0.0+b", "web 1.1.0")
    let expected = try versions("1.1.0", "1.0.0", "1.0.0+a", "1.0.0+b", "1.0.0+c", "0.9.0")
    #expect(published.versions(of: "web") == expected)
  }

  @Test func preferredVersionsComeFirstAndOfSeveralChoicesTheEarlierCountsMore() throws {
    let published = try catalog("web 1.0.0", "web 1.1.0", "web 1.2.0", "lib 1.0.0", "lib 2.0.0")
    let preferring = published.preferring([
      ["web": Version(1, 1, 0)], ["web": Version(1, 0, 0), "lib": Version(1, 0, 0)],
      ["lib": Version(9, 0, 0), "log": Version(1, 0, 0)],
    ])
    let web = try versions("1.1.0", "1.0.0", "1.2.0")
    let lib = try versions("1.0.0", "2.0.0")
    #expect(preferring.versions(of: "web") == web)
    #expect(preferring.versions(of: "lib") == lib)
    #expect(preferring.versions(of: "log").isEmpty)
    #expect(published.versions(of: "web").first == Version(1, 2, 0))
  }

  @Test func aPreferredResolutionIsFoundAgainWhateverWasPublishedSince() throws {
    let old = ["web 1.0.0: lib ^1, log *", "lib 1.0.0: log ^1", "log 1.0.0", "log 1.1.0"]
    let new = ["web 1.1.0: lib ^2", "lib 1.1.0: log ^2", "lib 2.0.0", "log 2.0.0", "log 1.2.0"]
    let wanted = [try root("web ^1")]
    let first = try Resolver.resolve(roots: wanted, catalog: try catalog(old), platform: linux)
    let later = try catalog(old + new)
    #expect(try Resolver.resolve(roots: wanted, catalog: later.preferring([first]), platform: linux) == first)
    #expect(try Resolver.resolve(roots: wanted, catalog: later, platform: linux) != first)
  }

  @Test func aPreferenceThatDoesNotFitGivesWay() throws {
    let published = try catalog("web 1.0.0: lib ^1.1", "lib 1.0.0", "lib 1.1.0", "lib 1.2.0")
    let chosen = try Resolver.resolve(
      roots: [try root("web ^1")], catalog: published.preferring([["lib": Version(1, 0, 0)]]), platform: linux)
    #expect(chosen["lib"] == Version(1, 2, 0))
  }
}
