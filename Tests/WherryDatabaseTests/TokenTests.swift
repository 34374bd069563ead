import Testing
import WherryDatabase
import WherryModel
import WherryTestSupport

@Suite struct TokenTests {
  private let directory = TemporaryDirectory()
  private let now = Instant(milliseconds: 1_000)

  @Test(arguments: [
    ("team/web", "team/web", true), ("team/web", "team/webs", false), ("team/*", "team/web", true),
    ("team/*", "team/a/b", true), ("team/*", "team", false), ("team/*", "teams/web", false), ("*", "any/thing", true),
  ]) func aPatternCoversWhatItNames(pattern: String, repository: String, isCovered: Bool) throws {
    let grant = try RepositoryGrant(pattern)
    #expect(grant.covers(try #require(RepositoryName(repository))) == isCovered)
    #expect(grant.actions == [.pull], "pulling is what is meant where nothing is said")
  }

  @Test(arguments: ["", "Team", "team/", "te*m", "**", "team/*/x", "team:fly", "team:", "team:pull,", "team:pull push"])
  func whatIsNoGrantIsRefused(text: String) {
    let problem = #expect(throws: RepositoryGrant.Problem.self) { try RepositoryGrant(text) }
    #expect(problem?.message.isEmpty == false && problem?.remedy.isEmpty == false)
  }

  @Test func grantsAndExpiryAreKept() throws {
    let database = try InventoryDatabase(path: directory.file("db"))
    defer { database.close() }
    let grants = [try RepositoryGrant("team/*:push,pull"), try RepositoryGrant("base:delete")]
    let token = OperatorToken(
      name: "ci", role: .registry, repositories: grants, expires: Instant(milliseconds: 5_000))
    try database.setToken(token, hash: "h", at: now)
    #expect(try database.token(hash: "h", at: now) == token)
    #expect(try database.token(hash: "h", at: Instant(milliseconds: 5_000)) == nil, "it has expired")
    #expect(try database.tokens().map(\.token) == [token])
    #expect(grants.map(\.description) == ["team/*:pull,push", "base:delete"])

    try database.insertSession(hash: "s", token: "ci", expires: Instant(milliseconds: 9_000))
    try database.insertRegistryPassword(hash: "p", token: "ci", expires: Instant(milliseconds: 9_000))
    #expect(try database.registryPassword(hash: "p", at: now) == token)
    #expect(try database.registryPassword(hash: "p", at: Instant(milliseconds: 6_000)) == nil)
    #expect(try database.session(hash: "s", at: Instant(milliseconds: 6_000)) == nil)
    #expect(try database.removeToken("ci"))
    #expect(try !database.removeToken("ci"))
    #expect(try database.session(hash: "s", at: now) == nil && database.registryPassword(hash: "p", at: now) == nil)
  }
}
