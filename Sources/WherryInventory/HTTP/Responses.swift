import Hummingbird
import WherryJSON
import WherryModel
import WherryWire

extension Response {
  static func json(_ json: JSON, _ status: HTTPResponse.Status = .ok) -> Response {
    Response(
      status: status, headers: [.contentType: "application/json"],
      body: ResponseBody(byteBuffer: ByteBuffer(string: json.canonical + "\n")))
  }

  static func text(_ text: String, type: String, _ status: HTTPResponse.Status = .ok) -> Response {
    Response(
      status: status, headers: [.contentType: type], body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
  }

  /// The reason phrases of RFC 9110 for the statuses that refusals have.
  private static let titles: [Int: String] = [
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    409: "Conflict", 413: "Content Too Large", 416: "Range Not Satisfiable", 422: "Unprocessable Content",
    500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout",
  ]

  /// RFC 9457.
  static func problem(_ refusal: Refusal) -> Response {
    let title = titles[refusal.status] ?? "Refused"
    let status = HTTPResponse.Status(code: refusal.status, reasonPhrase: title)
    let problem = Problem(
      type: "urn:wherry:problem:\(refusal.code)", title: title, status: refusal.status,
      detail: refusal.detail, remedy: refusal.remedy, errors: refusal.errors)
    var response = Response.json(problem.json, status)
    response.headers[.contentType] = "application/problem+json"
    if refusal.status == 401 { response.headers[.wwwAuthenticate] = "Bearer realm=\"wherry\"" }
    return response
  }
}

/// Turns everything that a handler throws into a problem document.
struct ProblemMiddleware<Context: RequestContext>: RouterMiddleware {
  let note: @Sendable (String) -> Void

  func handle(
    _ request: Request, context: Context, next: (Request, Context) async throws -> Response
  ) async throws -> Response {
    do {
      return try await next(request, context)
    } catch {
      let response = Response.problem(refusal(for: error, request))
      // An answer to HEAD has no body; one would be taken for the beginning of the next answer.
      return request.method == .head ? response.createHeadResponse() : response
    }
  }

  private func refusal(for error: any Error, _ request: Request) -> Refusal {
    switch error {
    case let refusal as Refusal:
      return refusal
    case let error as JSONError:
      return .badRequest("the body is no JSON: \(error)")
    case let error as JSONShapeError:
      return .badRequest("the body is not what \(request.uri.path) takes: \(error)")
    case let error as NameError:
      return .badRequest("\(error)", remedy: "correct the name")
    case let failure as Failure:
      let status = failure.failureClass == .timeout ? 504 : 422
      return Refusal(status, failure.code, failure.message, remedy: failure.remedy)
    case let error as any HTTPResponseError where error.status.code == 404:
      return .notFound("\(request.method) \(request.uri.path)", remedy: "/openapi.json lists what there is")
    case let error as any HTTPResponseError where error.status.code == 413:
      return Refusal(413, "request.tooLarge", "the body is larger than this request allows", remedy: "send less")
    case let error as any HTTPResponseError:
      return Refusal(
        error.status.code, "request.refused", "\(request.method) \(request.uri.path): \(error.status.reasonPhrase)",
        remedy: "/openapi.json describes the request")
    default:
      note("\(request.method) \(request.uri.path) failed: \(error)")
      return Refusal(
        500, "service.failed", "the service could not do this: \(error)",
        remedy: "see the service's log; nothing was changed")
    }
  }
}

extension Request {
  static var bodyMaximum: Int { 2 << 20 }

  /// The whole body, bounded.
  func bytes() async throws -> [UInt8] {
    Array(try await body.collect(upTo: Self.bodyMaximum).readableBytesView)
  }

  func cursor() async throws -> JSONCursor { JSONCursor(try JSON(parsing: try await bytes())) }

  var bearerToken: String? {
    guard let value = headers[.authorization], value.lowercased().hasPrefix("bearer ") else { return nil }
    return String(value.dropFirst(7).drop { $0 == " " })
  }

  func query(_ name: String) -> String? { uri.queryParameters[name[...]].map(String.init) }
}

extension RequestContext {
  /// A path parameter as a name of its kind.
  ///
  /// Never inlined: Swift 6.3.1's optimiser crashes while it splits an async handler that has the validating
  /// initialiser, which throws a typed error, inlined into it.
  @inline(never)
  func name<Name: ValidatedName>(_ parameter: String, as kind: Name.Type = Name.self) throws -> Name {
    try Name(validating: try parameters.require(parameter))
  }

  func deploymentID() throws -> DeploymentID {
    let text = try parameters.require("id")
    guard let number = Int64(text), number > 0 else { throw Refusal.badRequest("\"\(text)\" is no deployment number") }
    return DeploymentID(number)
  }
}
