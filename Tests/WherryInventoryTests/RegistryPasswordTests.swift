import Testing
import WherryDatabase
import WherryJSON
import WherryModel
import WherryWire

@testable import WherryInventory

/// Passwords for registry clients, which keep them in files: short-lived, and good for the registry alone.
@Suite struct RegistryPasswordTests {
  private let admin = OperatorToken(name: "admin", role: .admin)

  @Test func aPasswordOpensTheRegistryAndNothingElseAndNotForLong() async throws {
    let fleet = try await EngineFixture()
    try await fleet.engine.setToken(admin, "wherry_old")
    let made = try await fleet.engine.makeRegistryPassword(for: admin)
    #expect(made.expires == fleet.clock.now.advanced(bySeconds: 12 * 3_600))
    #expect(try await fleet.engine.registryToken(made.password) == admin)
    #expect(try await fleet.engine.registryToken("wherry_old") == admin)
    #expect(try await fleet.engine.registryToken("guess") == nil)
    #expect(try await fleet.engine.operatorToken(made.password) == nil)
    #expect(try await fleet.engine.openSession(token: made.password) == nil)
    #expect(try await fleet.engine.session(made.password) == nil)

    fleet.clock.advance(seconds: 12 * 3_600 - 1)
    let other = try await fleet.engine.makeRegistryPassword(for: admin)
    #expect(try await fleet.engine.registryToken(made.password) == admin)
    fleet.clock.advance(seconds: 1)
    #expect(try await fleet.engine.registryToken(made.password) == nil)
    #expect(try await fleet.engine.registryToken(other.password) == admin)
  }

  @Test func aPasswordIsWorthWhatItsTokenIsWorthNow() async throws {
    let fleet = try await EngineFixture()
    try await fleet.engine.setToken(admin, "wherry_old")
    let password = try await fleet.engine.makeRegistryPassword(for: admin).password
    // Who lost the token replaces it, and passwords that somebody else made with it end.
    try await fleet.engine.setToken(admin, "wherry_new")
    #expect(try await fleet.engine.registryToken(password) == nil)
  }

  @Test(.enabled(if: RunningService.isBrokerInstalled, "mosquitto is not installed: apt-get install mosquitto"))
  func theApiGivesOneToOperatorsAndTheRegistryTakesIt() async throws {
    try await RegistryClient.with { client in
      let answer = try await client.service.send("POST", "/v1/registry/password", token: client.token)
      #expect(answer.status == 201)
      let made = try RegistryPassword(answer.cursor)
      let basic = "Basic \(Base64.encode(Array("anybody:\(made.password)".utf8)))"
      let header = [("Authorization", basic)]
      #expect(try await client.service.get("/v2/", headers: header).status == 200)
      let upload = try await client.service.send("POST", "/v2/team/web/blobs/uploads/", headers: header, body: [])
      #expect(upload.status == 202)
      let bearer = RegistryClient(service: client.service, token: made.password)
      #expect(try await bearer.get("/v2/").status == 200)
      #expect(try await client.service.get("/v1/fleet", token: made.password).status == 401)
      let more = try await client.service.send("POST", "/v1/registry/password", token: made.password)
      #expect(more.status == 401, "a password makes no password")
    }
  }
}
