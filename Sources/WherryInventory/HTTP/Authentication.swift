import Hummingbird
import WherryDatabase
import WherryModel

/// Lets operators in: `Authorization: Bearer TOKEN`, or for reading the dashboard's cookie.
struct OperatorAuthentication: RouterMiddleware {
  static let cookie = "wherry_session"
  let engine: InventoryEngine

  func handle(
    _ request: Request, context: OperatorContext, next: (Request, OperatorContext) async throws -> Response
  ) async throws -> Response {
    let isReading = request.method == .get || request.method == .head
    var context = context
    if let token = request.bearerToken {
      context.actor = try await engine.operatorToken(token)
    } else if isReading, let session = request.cookies[Self.cookie]?.value {
      // Reading only: a cookie travels with requests that another site made the browser send.
      context.actor = try await engine.session(session)
    }
    guard let actor = context.actor else {
      throw Refusal(
        401, "token.missing", "\(request.method) \(request.uri.path) needs an operator's token",
        remedy: "log in with `wherry login`, or send the header Authorization: Bearer TOKEN")
    }
    guard actor.role != .registry else {
      throw Refusal(
        403, "token.registry", "the token \(actor.name) opens the registry alone", remedy: "use an operator's token")
    }
    guard isReading || actor.role != .viewer else {
      throw Refusal(403, "token.viewer", "the token \(actor.name) may only read", remedy: "use an operator's token")
    }
    return try await next(request, context)
  }
}

/// Lets administrators in, who make and revoke tokens.
struct AdministratorOnly: RouterMiddleware {
  func handle(
    _ request: Request, context: OperatorContext, next: (Request, OperatorContext) async throws -> Response
  ) async throws -> Response {
    guard let actor = context.actor, actor.role == .admin, actor.repositories.isEmpty else {
      throw Refusal(
        403, "token.notAdmin", "the token \(context.actorName) may not deal with tokens",
        remedy: "use an administrator's token")
    }
    return try await next(request, context)
  }
}

/// Lets devices in: the certificate was verified by TLS; the device must still be in the inventory.
struct DeviceAuthentication: RouterMiddleware {
  let engine: InventoryEngine

  func handle(
    _ request: Request, context: DeviceContext, next: (Request, DeviceContext) async throws -> Response
  ) async throws -> Response {
    var context = context
    guard let device = try await context.certificateName(), try await engine.isKnown(device) else {
      throw Refusal(
        403, "device.unknown", "the certificate's name is no device of this inventory",
        remedy: "provision the device again with a new claim")
    }
    context.device = device
    return try await next(request, context)
  }
}
