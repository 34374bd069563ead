import Hummingbird
import Mustache
import WherryDatabase
import WherryModel

/// The first page of a fleet, rendered on the server: the same figures that the API and the CLI give.
struct Dashboard: Sendable {
  /// The page is drawn at most so often, however fast devices report.
  static let refreshMilliseconds = 250

  let engine: InventoryEngine
  private let library: MustacheLibrary

  init(engine: InventoryEngine) throws {
    self.engine = engine
    var library = MustacheLibrary()
    for (name, template) in [
      ("page", DashboardTemplates.page), ("fleet", DashboardTemplates.fleet), ("login", DashboardTemplates.login),
    ] {
      library.register(try MustacheTemplate(string: template), named: name)
    }
    self.library = library
  }

  func add(to router: Router<OperatorContext>) {
    router.get("dashboard.css") { _, _ in Response.text(DashboardTemplates.style, type: "text/css") }
    router.get("dashboard.js") { _, _ in Response.text(DashboardTemplates.script, type: "text/javascript") }
    router.get("/") { request, _ in
      guard try await isLoggedIn(request) else { return Self.redirect("/login") }
      return try html("page", try await DashboardPage(of: engine).values)
    }
    router.get("fragment") { request, _ in
      guard try await isLoggedIn(request) else { return Response(status: .unauthorized) }
      return try html("fleet", try await DashboardPage(of: engine).values)
    }
    router.get("events") { request, _ in
      guard try await isLoggedIn(request) else { return Response(status: .unauthorized) }
      return EventStream.response(to: request) { [engine] emitter in
        for await _ in await engine.changes() {
          guard emitter.data("changed") else { return }
          guard (try? await Task.sleep(for: .milliseconds(Self.refreshMilliseconds))) != nil else { return }
        }
      }
    }
    addLogin(to: router)
  }

  private func addLogin(to router: Router<OperatorContext>) {
    router.get("login") { _, _ in try html("login", [:]) }
    router.post("login") { request, _ in
      try await logIn(form: String(decoding: try await request.bytes().prefix(4_096), as: UTF8.self))
    }
    router.post("logout") { request, _ in
      if let session = request.cookies[OperatorAuthentication.cookie]?.value {
        try await engine.closeSession(session)
      }
      return Self.redirect("/login")
    }
  }

  func logIn(form: String) async throws -> Response {
    guard let token = Self.field("token", in: form), let session = try await engine.openSession(token: token) else {
      var response = try html("login", ["refused": "That is no operator token of this inventory."])
      response.status = .unauthorized
      return response
    }
    var response = Self.redirect("/")
    response.setCookie(
      Cookie(
        name: OperatorAuthentication.cookie, value: session, maxAge: InventoryEngine.sessionSeconds, path: "/",
        secure: true, httpOnly: true, sameSite: .strict))
    return response
  }

  /// By cookie in a browser, by token for programs that want the page.
  private func isLoggedIn(_ request: Request) async throws -> Bool {
    if let token = request.bearerToken { return try await engine.operatorToken(token) != nil }
    guard let session = request.cookies[OperatorAuthentication.cookie]?.value else { return false }
    return try await engine.session(session) != nil
  }

  private func html(_ template: String, _ values: [String: Any]) throws -> Response {
    guard let text = library.render(values, withTemplate: template) else {
      throw Refusal(500, "dashboard.template", "the page \(template) is missing", remedy: "report this")
    }
    var response = Response.text(text, type: "text/html; charset=utf-8")
    response.headers[.contentSecurityPolicy] =
      "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; "
      + "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    response.headers[.cacheControl] = "no-store"
    return response
  }

  private static func redirect(_ path: String) -> Response {
    Response(status: .seeOther, headers: [.location: path])
  }

  /// Of a form's body. A token has no character that a form would escape; blanks around a pasted one are dropped.
  static func field(_ name: String, in form: String) -> String? {
    for pair in form.split(separator: "&") {
      let parts = pair.split(separator: "=", maxSplits: 1)
      guard parts.count == 2, parts[0] == name else { continue }
      return String(parts[1].filter { $0 != "+" })
    }
    return nil
  }
}
