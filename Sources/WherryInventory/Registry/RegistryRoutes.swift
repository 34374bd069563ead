import Hummingbird
import WherryDatabase
import WherryModel
import WherryOCI
import WherryWire

/// The service's own registry, `/v2/` (OCI distribution specification 1.1): pull, push, content discovery and content
/// management over the same blobs as artifacts. Handlers translate; the engine decides.
struct RegistryRoutes: Sendable {
  let engine: InventoryEngine
  let blobs: BlobRoutes
  let note: @Sendable (String) -> Void
  let store: ContentStore
  let uploads: RegistryUploads

  init(engine: InventoryEngine, blobs: BlobRoutes, note: @escaping @Sendable (String) -> Void) {
    self.engine = engine
    self.blobs = blobs
    self.note = note
    store = blobs.store
    uploads = RegistryUploads(directory: "\(store.root)/incoming")
  }

  var now: Instant { engine.environment.now() }

  /// Repository names hold `/`, so everything below `/v2/` comes here and its path is read by `RegistryEndpoint`.
  func add(to router: Router<OperatorContext>) {
    let paths: [RouterPath] = ["v2", "v2/**"]
    let methods: [HTTPRequest.Method] = [.get, .head, .post, .put, .patch, .delete]
    for path in paths {
      for method in methods {
        router.on(path, method: method) { request, context in
          await respond(to: request, context: context) { try await authenticate(request) }
        }
      }
    }
  }

  /// The devices' listener will come in here with an actor that it makes of the certificate.
  func respond(
    to request: Request, context: some RequestContext, as actor: () async throws -> RegistryActor
  ) async -> Response {
    var response: Response
    do {
      response = try await answer(request, as: try await actor(), context: context)
    } catch {
      let refusal = RegistryError(error, during: request)
      if refusal.status.code >= 500 { note(refusal.description) }
      response = refusal.response
    }
    response.headers[.dockerAPIVersion] = "registry/2.0"
    // An answer to HEAD has no body; one would be taken for the beginning of the next answer.
    return request.method == .head ? response.createHeadResponse() : response
  }

  // MARK: - Who asks

  /// Registry clients know user names and passwords: the password is the token, and the name is nobody's.
  private func authenticate(_ request: Request) async throws -> RegistryActor {
    guard let token = request.bearerToken ?? Self.password(request), let known = try await engine.registryToken(token)
    else { throw RegistryError.unauthorized() }
    return RegistryActor(known)
  }

  /// RFC 7617.
  static func password(_ request: Request) -> String? {
    guard let value = request.headers[.authorization], value.lowercased().hasPrefix("basic "),
      let bytes = Base64.decode(String(value.dropFirst(6).drop { $0 == " " })),
      let colon = bytes.firstIndex(of: UInt8(ascii: ":"))
    else { return nil }
    return String(validating: bytes[(colon + 1)...], as: UTF8.self)
  }

  // MARK: - What is asked

  private func answer(
    _ request: Request, as actor: RegistryActor, context: some RequestContext
  ) async throws -> Response {
    let method = request.method
    switch try RegistryEndpoint(path: request.uri.path, method: method) {
    case .base:
      guard method == .get || method == .head else { throw refused(request, allowed: "GET, HEAD") }
      return Response.json([:])
    case .catalog:
      guard method == .get || method == .head else { throw refused(request, allowed: "GET, HEAD") }
      return try await catalog(request, as: actor)
    case .tags(let repository):
      guard method == .get || method == .head else { throw refused(request, allowed: "GET, HEAD") }
      return try await tags(of: repository, request, as: actor)
    case .referrers(let repository, let digest):
      guard method == .get || method == .head else { throw refused(request, allowed: "GET, HEAD") }
      return try await referrers(of: digest, in: repository, request, as: actor)
    case .manifest(let repository, let reference):
      return try await answer(request, manifest: reference, in: repository, as: actor)
    case .blob(let repository, let digest):
      return try await answer(request, blob: digest, in: repository, as: actor, context: context)
    case .uploads(let repository):
      guard method == .post else { throw refused(request, allowed: "POST") }
      return try await beginUpload(request, in: repository, as: actor)
    case .upload(let repository, let id):
      return try await answer(request, upload: id, in: repository, as: actor)
    }
  }

  private func answer(
    _ request: Request, manifest reference: RegistryReference, in repository: RepositoryName, as actor: RegistryActor
  ) async throws -> Response {
    switch request.method {
    case .get, .head: return try await pullManifest(reference, in: repository, request, as: actor)
    case .put: return try await pushManifest(request, as: reference, in: repository, by: actor)
    case .delete: return try await deleteManifest(reference, in: repository, by: actor)
    default: throw refused(request, allowed: "GET, HEAD, PUT, DELETE")
    }
  }

  private func answer(
    _ request: Request, blob digest: Digest, in repository: RepositoryName, as actor: RegistryActor,
    context: some RequestContext
  ) async throws -> Response {
    switch request.method {
    case .get, .head: return try await pullBlob(digest, in: repository, request, as: actor, context: context)
    case .delete: return try await deleteBlob(digest, in: repository, by: actor)
    default: throw refused(request, allowed: "GET, HEAD, DELETE")
    }
  }

  private func answer(
    _ request: Request, upload id: String, in repository: RepositoryName, as actor: RegistryActor
  ) async throws -> Response {
    try actor.require(.push, in: repository)
    let upload = try uploads.find(id, in: repository, by: actor.name, at: now)
    switch request.method {
    case .get, .head: return Response(status: .noContent, headers: await upload.headers)
    case .patch: return try await receiveChunk(request, into: upload)
    case .put: return try await finish(upload, request, by: actor)
    case .delete:
      uploads.remove(upload)
      return Response(status: .noContent)
    default: throw refused(request, allowed: "GET, HEAD, PATCH, PUT, DELETE")
    }
  }

  private func refused(_ request: Request, allowed: String) -> RegistryError {
    .method(request.method, on: request.uri.path, allowed: allowed)
  }
}
