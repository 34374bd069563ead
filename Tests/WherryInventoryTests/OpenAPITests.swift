import Hummingbird
import Testing
import WherryDatabase
import WherryModel

@testable import WherryInventory

@Suite struct OpenAPITests {
  /// The document and the router say the same.
  @Test func everyRouteIsDescribedAndEveryDescriptionHasARoute() async throws {
    let fleet = try await EngineFixture()
    let blobs = BlobRoutes(store: fleet.blobs) { _ in nil }
    let router = try OperatorRoutes(engine: fleet.engine, blobs: blobs, note: { _ in }).router()
    let dashboard: Set<String> = ["/", "/login", "/logout", "/fragment", "/events", "/dashboard.css", "/dashboard.js"]
    let routes = Set(
      // The registry below /v2 is described by the OCI distribution specification.
      router.routes.filter { !dashboard.contains("\($0.path)") && !"\($0.path)".hasPrefix("/v2") }.map { route in
        let path = "\(route.path)".split(separator: "/").map { part in
          part.hasPrefix(":") ? "{\(part.dropFirst())}" : String(part)
        }
        return "\(route.method.rawValue.lowercased()) /\(path.joined(separator: "/"))"
      })
    let described = Set(OpenAPI.operations.map { "\($0.method) \($0.path)" })
    #expect(routes.subtracting(described).isEmpty)
    #expect(described.subtracting(routes).isEmpty)
  }

  @Test func loggingInGivesACookieThatScriptsAndOtherSitesCannotUse() async throws {
    let fleet = try await EngineFixture()
    let token = "wherry_admin"
    try await fleet.engine.setToken(OperatorToken(name: "admin", role: .admin), token)
    let dashboard = try Dashboard(engine: fleet.engine)
    let response = try await dashboard.logIn(form: "token=\(token)&x=y")
    #expect(response.status == .seeOther)
    let cookie = try #require(response.headers[.setCookie])
    #expect(cookie.contains("HttpOnly") && cookie.contains("Secure") && cookie.contains("SameSite=Strict"))
    #expect(try await dashboard.logIn(form: "token=guess").status == .unauthorized)
    #expect(try await dashboard.logIn(form: "nonsense").status == .unauthorized)
  }

  @Test func timestampsAreCivil() {
    #expect(Timestamp.text(Instant(milliseconds: 0)) == "1970-01-01 00:00:00Z")
    #expect(Timestamp.text(Instant(milliseconds: 1_709_210_096_123)) == "2024-02-29 12:34:56Z")
  }

  @Test func listenAddressesAreHostAndPort() {
    #expect(ListenAddress("127.0.0.1:8443") == ListenAddress(host: "127.0.0.1", port: 8443))
    #expect(ListenAddress("[::1]:1") == ListenAddress(host: "::1", port: 1))
    for wrong in ["", "8443", ":1", "host:", "host:99999", "a/b:1"] { #expect(ListenAddress(wrong) == nil) }
    #expect(ExternalBroker("mqtts://broker.example.com")?.port == 8883)
    #expect(ExternalBroker("mqtt://broker.example.com") == nil)
  }
}
