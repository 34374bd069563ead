import Hummingbird
import WherryModel
import WherryWire

/// The devices' listener: blobs and certificate renewal, for holders of a device certificate.
struct DeviceRoutes: Sendable {
  let engine: InventoryEngine
  let blobs: BlobRoutes
  let note: @Sendable (String) -> Void

  func router() -> Router<DeviceContext> {
    let router = Router(context: DeviceContext.self)
    router.add(middleware: ProblemMiddleware(note: note))
    router.add(middleware: DeviceAuthentication(engine: engine))
    for method in [HTTPRequest.Method.get, .head] {
      router.on("v1/blobs/:digest", method: method) { [engine, blobs] request, context in
        guard let device = context.device else { throw Refusal.badRequest("the request has no device") }
        let text = try context.parameters.require("digest")
        // What is no digest is refused for that where blobs are served.
        if let digest = Digest(text) { try await engine.requireOrdered(digest, by: device) }
        return try await blobs.serve(request, digest: text, context: context)
      }
    }
    router.post("v1/renew") { [engine] request, context in
      guard let device = context.device else { throw Refusal.badRequest("the request has no device") }
      let body = try ProvisioningRequest(try await request.cursor())
      return Response.json(try await engine.renew(body, as: device).json, .created)
    }
    return router
  }
}
