import Testing
import WherryDatabase
import WherryJSON
import WherryModel
import WherryOCI
import WherryWire

@testable import WherryInventory

/// Tokens that administrators make, and what the registry lets each do where.
@Suite(.enabled(if: RunningService.isBrokerInstalled, "mosquitto is not installed: apt-get install mosquitto"))
struct TokenTests {
  private static func create(_ request: TokenRequest, _ client: RegistryClient) async throws -> RegistryClient {
    let answer = try await client.send("POST", "/v1/tokens", body: request.json.canonicalBytes)
    #expect(answer.status == 201, "\(answer)")
    let token = try #require(try TokenSummary(answer.cursor).token)
    return RegistryClient(service: client.service, token: token)
  }

  @Test func aTokenIsForItsRepositoriesAndNoOthers() async throws {
    try await RegistryClient.with { admin in
      try await admin.push(image: "secret", to: "other/secret", as: "1")
      try await admin.push(image: "base", to: "base", as: "1")
      let request = TokenRequest(
        name: "ci", role: "registry", repositories: ["team/*:pull,push", "base:pull"], expiresInSeconds: 3_600)
      let ci = try await Self.create(request, admin)
      try await ci.push(image: "web", to: "team/web", as: "1")
      #expect(try await ci.get("/v2/team/web/manifests/1").status == 200)
      #expect(try await ci.get("/v2/base/manifests/1").status == 200)
      for path in ["/v2/other/secret/manifests/1", "/v2/other/secret/tags/list"] {
        let refused = try await ci.get(path)
        #expect(refused.status == 403 && refused.codes == ["DENIED"], "\(path)")
      }
      #expect(try await ci.send("DELETE", "/v2/team/web/manifests/1").status == 403, "it may push, not delete")
      #expect(try await ci.send("POST", "/v2/base/blobs/uploads/").status == 403, "it may pull, not push")
      let catalog = try await ci.get("/v2/_catalog")
      #expect(try catalog.cursor.require("repositories").strings() == ["base", "team/web"])
      #expect(try await ci.get("/v1/fleet").status == 403, "it opens the registry alone")
      #expect(try await ci.send("POST", "/v1/registry/password", body: []).status == 403)
    }
  }

  @Test func aBlobOfAnothersRepositoryCannotBeMounted() async throws {
    try await RegistryClient.with { admin in
      let secret = try await admin.push(blob: Array("secret".utf8), to: "other/secret")
      let shared = try await admin.push(blob: Array("shared".utf8), to: "base")
      let request = TokenRequest(name: "ci", role: "operator", repositories: ["team/*:pull,push", "base:pull"])
      let ci = try await Self.create(request, admin)
      let mount = "/v2/team/web/blobs/uploads/?mount="
      #expect(try await ci.send("POST", "\(mount)\(secret)&from=other/secret").status == 202, "it has to send it")
      #expect(try await ci.send("POST", "\(mount)\(secret)").status == 202)
      #expect(try await ci.send("POST", "\(mount)\(shared)&from=base").status == 201)
    }
  }

  @Test func onlyAdministratorsDealWithTokensAndOneStays() async throws {
    try await RegistryClient.with { admin in
      let other = try await Self.create(TokenRequest(name: "ops", role: "operator"), admin)
      let refused = try await other.send(
        "POST", "/v1/tokens", body: TokenRequest(name: "more", role: "admin").json.canonicalBytes)
      #expect(refused.status == 403)
      #expect(try await other.send("POST", "/v1/registry/gc", body: []).status == 403)
      #expect(try await other.get("/v1/tokens").status == 403)
      #expect(try await other.get("/v1/fleet").status == 200)
      let list = try await admin.get("/v1/tokens")
      #expect(list.text.contains("ops") && !list.text.contains("wherry_"), "secrets are shown once")

      #expect(try await admin.send("DELETE", "/v1/tokens/ops").status == 204)
      #expect(try await other.get("/v1/fleet").status == 401)
      #expect(try await admin.send("DELETE", "/v1/tokens/ops").status == 404)
      let last = try await admin.send("DELETE", "/v1/tokens/admin")
      #expect(last.status == 409 && last.text.contains("token.last"))
    }
  }

  @Test(arguments: [
    (TokenRequest(name: "a b", role: "viewer"), "is no token's name"),
    (TokenRequest(name: "x", role: "root"), "is no role"),
    (TokenRequest(name: "x", role: "registry", repositories: ["Team"]), "names no repositories"),
    (TokenRequest(name: "x", role: "admin", repositories: ["team/*"]), "cannot be confined"),
    (TokenRequest(name: "x", role: "viewer", expiresInSeconds: 400_000_000), "1 second to 10 years"),
    (TokenRequest(name: "admin", role: "viewer"), "there is a token admin already"),
    (
      TokenRequest(name: "x", role: "registry", repositories: Array(repeating: "a", count: 65)),
      "64 patterns of repositories at most"
    ),
  ]) func whatCannotBeATokenIsRefusedWithASentence(request: TokenRequest, sentence: String) async throws {
    let fleet = try await EngineFixture()
    try await fleet.engine.setToken(OperatorToken(name: "admin", role: .admin), "wherry_admin")
    let refusal = try await #require(throws: Refusal.self) {
      try await fleet.engine.createToken(request, by: "test")
    }
    #expect(refusal.detail.contains(sentence) && !refusal.remedy.isEmpty, "\(refusal)")
  }

  @Test func aTokenThatExpiredOpensNothing() async throws {
    let fleet = try await EngineFixture()
    let made = try await fleet.engine.createToken(
      TokenRequest(name: "ci", role: "operator", expiresInSeconds: 60), by: "test")
    let secret = try #require(made.token)
    #expect(try await fleet.engine.operatorToken(secret)?.name == "ci")
    fleet.clock.advance(seconds: 60)
    #expect(try await fleet.engine.operatorToken(secret) == nil)
    #expect(try await fleet.engine.registryToken(secret) == nil)
  }
}
