import Hummingbird
import WherryDatabase
import WherryJSON
import WherryModel
import WherryRollout
import WherryWire

/// The operators' HTTP API. Handlers translate; the engine decides.
struct OperatorRoutes: Sendable {
  let engine: InventoryEngine
  let blobs: BlobRoutes
  let note: @Sendable (String) -> Void

  func router() throws -> Router<OperatorContext> {
    let router = Router(context: OperatorContext.self)
    router.add(middleware: ProblemMiddleware(note: note))
    addOpenRoutes(to: router)
    try Dashboard(engine: engine).add(to: router)
    let api = router.group("v1").add(middleware: OperatorAuthentication(engine: engine))
    addFleet(to: api)
    addAccess(to: api)
    addTokens(to: api)
    addComponents(to: api)
    addGroups(to: api)
    addDeployments(to: api)
    RegistryRoutes(engine: engine, blobs: blobs, note: note).add(to: router)
    return router
  }

  // MARK: - Without a token

  private func addOpenRoutes(to router: Router<OperatorContext>) {
    router.get("healthz") { _, _ in Response.text("ok\n", type: "text/plain") }
    router.get("readyz") { [engine] _, _ in
      guard await engine.isReady else {
        throw Refusal(
          503, "broker.away", "there is no connection to the broker", remedy: "wait, or see the broker's log")
      }
      return Response.text("ready\n", type: "text/plain")
    }
    router.get("metrics") { [engine] _, _ in
      Response.text(try await Metrics.text(of: engine), type: "text/plain; version=0.0.4")
    }
    router.get("openapi.json") { _, _ in Response.json(OpenAPI.document) }
    // The claim's token is its own permission.
    router.post("v1/provision") { [engine] request, _ in
      guard let token = request.bearerToken else {
        throw Refusal(
          401, "claim.missing", "provisioning needs a claim", remedy: "create one with `wherry claim create`")
      }
      let body = try ProvisioningRequest(try await request.cursor())
      return Response.json(try await engine.provision(body, token: token).json, .created)
    }
  }

  // MARK: - Fleet and devices

  private func addFleet(to api: RouterGroup<OperatorContext>) {
    api.get("fleet") { [engine] _, _ in Response.json(try await engine.fleet().json) }
    api.get("devices") { [engine] request, _ in
      let group = try request.query("group").map { name throws(NameError) in try GroupName(validating: name) }
      return Response.json(.array(try await engine.devices(in: group).map(\.json)))
    }
    api.get("devices/:device") { [engine] _, context in
      Response.json(try await engine.device(try context.name("device")).json)
    }
    api.delete("devices/:device") { [engine] _, context in
      try await engine.removeDevice(try context.name("device"), by: context.actorName)
      return Response(status: .noContent)
    }
    api.get("devices/:device/logs") { [engine] request, context in
      try await DeviceLogs(engine: engine).response(to: request, context: context)
    }
    api.post("devices/:device/restart") { [engine] request, context in
      let name = try await request.cursor().require("component").string()
      let command = CommandBody.restart(component: try ComponentName(validating: name))
      let device: DeviceName = try context.name("device")
      let results = try await engine.command(command, to: device, by: context.actorName)
      return try await DeviceLogs.response(to: results, of: device)
    }
  }

  // MARK: - Claims and blobs

  private func addAccess(to api: RouterGroup<OperatorContext>) {
    api.post("claims") { [engine] request, context in
      let body = try ClaimRequest(try await request.cursor())
      return Response.json(try await engine.createClaim(body, by: context.actorName).json, .created)
    }
    api.get("claims") { [engine] _, _ in Response.json(.array(try await engine.claims().map(\.json))) }
    api.delete("claims/:id") { [engine] _, context in
      try await engine.removeClaim(try context.parameters.require("id"), by: context.actorName)
      return Response(status: .noContent)
    }
    api.post("registry/password") { [engine] _, context in
      guard let owner = context.actor else { throw Refusal.badRequest("the request has no token") }
      return Response.json(try await engine.makeRegistryPassword(for: owner).json, .created)
    }
    api.put("blobs/:digest") { [blobs] request, context in
      try await blobs.store(request, digest: try context.parameters.require("digest"))
    }
    // Hummingbird answers HEAD only where it is asked to.
    for method in [HTTPRequest.Method.get, .head] {
      api.on("blobs/:digest", method: method) { [blobs] request, context in
        try await blobs.serve(request, digest: try context.parameters.require("digest"), context: context)
      }
    }
  }

  // MARK: - Tokens and the registry's garbage

  private func addTokens(to api: RouterGroup<OperatorContext>) {
    let tokens = api.group("tokens").add(middleware: AdministratorOnly())
    tokens.post { [engine] request, context in
      let body = try TokenRequest(try await request.cursor())
      return Response.json(try await engine.createToken(body, by: context.actorName).json, .created)
    }
    tokens.get { [engine] _, _ in Response.json(.array(try await engine.tokens().map(\.json))) }
    tokens.delete(":name") { [engine] _, context in
      try await engine.revokeToken(try context.parameters.require("name"), by: context.actorName)
      return Response(status: .noContent)
    }
    api.group("registry").add(middleware: AdministratorOnly()).post("gc") { [engine] request, context in
      let report = try await engine.collectRegistryGarbage(
        untagged: request.query("untagged") == "1", isDryRun: request.query("dryRun") == "1", by: context.actorName)
      return Response.json(report.json)
    }
  }

  // MARK: - Components

  private func addComponents(to api: RouterGroup<OperatorContext>) {
    api.post("components") { [engine] request, context in
      let publication = try await engine.publish(try await Self.publication(request), by: context.actorName)
      return Response.json(publication.summary.json, publication.isNew ? .created : .ok)
    }
    api.get("components") { [engine] _, _ in Response.json(.array(try await engine.components().map(\.json))) }
    api.get("components/:name") { [engine] _, context in
      Response.json(.array(try await engine.components(named: try context.name("name")).map(\.json)))
    }
    api.get("components/:name/:version") { [engine] _, context in
      let text = try context.parameters.require("version")
      guard let version = Version(text) else { throw Refusal.badRequest("\"\(text)\" is no version") }
      let record = try await engine.component(try context.name("name"), version)
      return Response.json([
        "recipe": record.recipe.json, "source": .string(record.source), "digest": .string("\(record.digest)"),
        "createdAt": .integer(record.createdAt.milliseconds),
      ])
    }
  }

  /// Either the recipe as it is, or JSON with the recipe's text and what the CLI knows about its files.
  private static func publication(_ request: Request) async throws -> PublicationRequest {
    let bytes = try await request.bytes()
    let isJSON = request.headers[.contentType]?.hasPrefix("application/json") ?? false
    if isJSON, let json = try? JSON(parsing: bytes), json["recipe"]?.stringValue != nil {
      let cursor = JSONCursor(json)
      var files: [String: PublicationRequest.File] = [:]
      for (name, file) in try cursor.optional("artifacts")?.object() ?? [:] {
        let digestText = try file.require("digest")
        guard let digest = Digest(try digestText.string()) else {
          throw digestText.fail("expected sha256: and 64 hexadecimal digits")
        }
        files[name] = .init(digest: digest, size: try file.require("size").size())
      }
      return PublicationRequest(
        recipe: try cursor.require("recipe").string(),
        fileName: try cursor.optional("fileName")?.string() ?? "recipe.yaml", artifacts: files)
    }
    guard String(validating: bytes, as: UTF8.self) != nil else { throw Refusal.badRequest("the recipe is not UTF-8") }
    return PublicationRequest(
      recipe: String(decoding: bytes, as: UTF8.self), fileName: isJSON ? "recipe.json" : "recipe.yaml")
  }

  // MARK: - Groups

  private func addGroups(to api: RouterGroup<OperatorContext>) {
    api.get("groups") { [engine] _, _ in Response.json(.array(try await engine.groups().map(\.json))) }
    api.get("groups/:group") { [engine] _, context in
      Response.json(try await engine.group(try context.name("group")).json)
    }
    api.put("groups/:group") { [engine] _, context in
      Response.json(try await engine.createGroup(try context.name("group"), by: context.actorName).json)
    }
    api.delete("groups/:group") { [engine] _, context in
      try await engine.removeGroup(try context.name("group"), by: context.actorName)
      return Response(status: .noContent)
    }
    api.put("groups/:group/devices/:device") { [engine] _, context in
      let group = try await engine.add(
        try context.name("device"), to: try context.name("group"), by: context.actorName)
      return Response.json(group.json)
    }
    api.delete("groups/:group/devices/:device") { [engine] _, context in
      let group = try await engine.remove(
        try context.name("device"), from: try context.name("group"), by: context.actorName)
      return Response.json(group.json)
    }
  }

  // MARK: - Deployments

  private func addDeployments(to api: RouterGroup<OperatorContext>) {
    api.post("deployments") { [engine] request, context in
      let body = try DeploymentRequest(try await request.cursor())
      if request.query("plan") == "1" { return Response.json(try await engine.preview(body).json) }
      return Response.json(try await engine.deploy(body, by: context.actorName).json, .created)
    }
    api.get("deployments") { [engine] _, _ in Response.json(.array(try await engine.deployments().map(\.json))) }
    api.get("deployments/:id") { [engine] _, context in
      Response.json(try await engine.deployment(try context.deploymentID()).json)
    }
    for (verb, event) in [("pause", RolloutEvent.pause), ("resume", .resume), ("retry", .retry), ("cancel", .cancel)] {
      api.post(RouterPath("deployments/:id/\(verb)")) { [engine] _, context in
        Response.json(try await engine.control(try context.deploymentID(), event, by: context.actorName).json)
      }
    }
    api.get("deployments/:id/watch") { [engine] request, context in
      try await Self.watch(try context.deploymentID(), engine: engine, request: request)
    }
  }

  /// The deployment at each change, until nothing more will change by itself.
  private static func watch(_ id: DeploymentID, engine: InventoryEngine, request: Request) async throws -> Response {
    _ = try await engine.deployment(id)
    return EventStream.response(to: request) { emitter in
      // Subscribed before the first look: no change falls between the two.
      let changes = await engine.changes()
      var last = ""
      func emit() async -> Bool {
        guard let summary = try? await engine.deployment(id) else { return false }
        let text = summary.json.canonical
        if text != last, !emitter.data(text) { return false }
        last = text
        let state = DeploymentState(rawValue: summary.state)
        return state?.isFinal == false && state != .halted
      }
      guard await emit() else { return }
      for await _ in changes {
        guard !Task.isCancelled, await emit() else { return }
      }
    }
  }
}
