import WherryJSON
import WherryModel

extension Plan: WireValue {
  /// The plan blob: what is named by digest and what the device reads.
  package var canonical: String { json.canonical }

  package var json: JSON {
    .members([
      ("v", 1), ("deployments", .array(deployments.map { .integer($0.rawValue) })),
      ("components", .array(components.map(\.json))), ("policy", policy.json), ("local", local?.json),
      ("ordered", (ordered?.description).map(JSON.string)),
      ("localNames", localNames.nonEmpty.map { .strings($0.map(\.rawValue).sorted()) }),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    try cursor.requireVersion("the plan")
    self.init(
      deployments: try cursor.require("deployments").list { (element) throws(JSONShapeError) in
        try element.deployment()
      },
      components: try cursor.require("components").list { (element) throws(JSONShapeError) in
        try PlannedComponent(element)
      },
      policy: try ApplyPolicy(cursor.require("policy")))
    if let value = try cursor.optional("local") { local = try LocalSet(value) }
    ordered = try cursor.optional("ordered")?.digest()
    localNames = Set(
      try cursor.optional("localNames")?.list { (element) throws(JSONShapeError) in try element.name() } ?? [])
  }
}

extension ApplyPolicy: WireValue {
  package var json: JSON {
    .members([
      ("failureHandling", .string(failureHandling.rawValue)), ("settleMilliseconds", .integer(settleMilliseconds)),
      ("timeoutSeconds", .int(timeoutSeconds)),
      ("updateAction", updateAction == .notify ? nil : .string(updateAction.rawValue)),
      ("updateTimeoutSeconds", updateTimeoutSeconds == 60 ? nil : .int(updateTimeoutSeconds)),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    self.init()
    if let value = try cursor.optional("failureHandling") { failureHandling = try value.word() }
    if let value = try cursor.optional("settleMilliseconds") { settleMilliseconds = try value.size() }
    if let value = try cursor.optional("timeoutSeconds") {
      let seconds = try value.int()
      guard (1...Step.timeoutSecondsMaximum).contains(seconds) else {
        throw value.fail("\(seconds) is not between 1 and \(Step.timeoutSecondsMaximum) seconds")
      }
      timeoutSeconds = seconds
    }
    if let value = try cursor.optional("updateAction") { updateAction = try value.word() }
    if let value = try cursor.optional("updateTimeoutSeconds") {
      let seconds = try value.int()
      guard (0...Self.updateTimeoutSecondsMaximum).contains(seconds) else {
        throw value.fail("\(seconds) is not between 0 and \(Self.updateTimeoutSecondsMaximum) seconds")
      }
      updateTimeoutSeconds = seconds
    }
  }
}

extension PlannedComponent: WireValue {
  package var json: JSON {
    .members([
      ("name", .string(name.rawValue)), ("version", .string(version.description)),
      ("recipe", .string(recipe.description)),
      ("dependencies", dependencies.nonEmpty.map { .named($0) { .string($0.rawValue) } }),
      ("lifecycle", lifecycle.isEmpty ? nil : lifecycle.json),
      ("artifacts", artifacts.nonEmpty.map { .array($0.map(\.json)) }),
      ("resources", resources == Resources() ? nil : resources.json), ("container", container?.json),
      ("image", image?.json), ("images", images.nonEmpty.map { .array($0.map(\.json)) }),
      ("configuration", configuration.json),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    self.init(
      name: try cursor.require("name").name(), version: try cursor.require("version").version(),
      recipe: try cursor.require("recipe").digest())
    dependencies =
      try cursor.optional("dependencies")?.named { (element) throws(JSONShapeError) in try element.word() } ?? [:]
    if let value = try cursor.optional("lifecycle") { lifecycle = try Lifecycle(value) }
    artifacts =
      try cursor.optional("artifacts")?.list { (element) throws(JSONShapeError) in try PlannedArtifact(element) } ?? []
    if let value = try cursor.optional("resources") { resources = try Resources(value) }
    if let value = try cursor.optional("container") { container = try ContainerSpec(value) }
    if let value = try cursor.optional("image") { image = try PlannedImage(value) }
    images = try cursor.optional("images")?.list { (element) throws(JSONShapeError) in try PlannedImage(element) } ?? []
    if let value = try cursor.optional("configuration") { configuration = try ConfigurationUpdate(value) }
  }
}

extension ConfigurationUpdate: WireValue {
  package var json: JSON {
    .members([("defaults", defaults), ("reset", reset.nonEmpty.map(JSON.strings)), ("merge", merge)])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    self.init()
    defaults = try cursor.optional("defaults")?.json ?? .object([:])
    reset = try cursor.optional("reset")?.strings() ?? []
    merge = try cursor.optional("merge")?.json
  }
}

extension PlannedArtifact: WireValue {
  package var json: JSON {
    .members([
      ("fileName", .string(fileName)), ("digest", .string(digest.description)), ("size", .integer(size)),
      ("source", .string(source)), ("unarchive", unarchive == .none ? nil : .string(unarchive.rawValue)),
      ("read", read == .owner ? nil : .string(read.rawValue)),
      ("execute", execute == .none ? nil : .string(execute.rawValue)),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    self.init(
      fileName: try cursor.require("fileName").string(), digest: try cursor.require("digest").digest(),
      size: try cursor.require("size").size(), source: try cursor.require("source").string())
    if let value = try cursor.optional("unarchive") { unarchive = try value.word() }
    if let value = try cursor.optional("read") { read = try value.word() }
    if let value = try cursor.optional("execute") { execute = try value.word() }
  }
}

extension PlannedLayer: WireValue {
  package var json: JSON {
    [
      "digest": .string(digest.description), "size": .integer(size), "compression": .string(compression.rawValue),
      "diffID": .string(diffID.description),
    ]
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    self.init(
      digest: try cursor.require("digest").digest(), size: try cursor.require("size").size(),
      compression: try cursor.require("compression").word(), diffID: try cursor.require("diffID").digest())
  }
}

extension PlannedImage: WireValue {
  package var json: JSON {
    .members([
      ("reference", .string(reference)), ("registry", .string(registry)), ("repository", .string(repository)),
      ("manifest", .string(manifest.description)), ("layers", .array(layers.map(\.json))),
      ("entrypoint", entrypoint.nonEmpty.map(JSON.strings)), ("command", command.nonEmpty.map(JSON.strings)),
      ("environment", environment.nonEmpty.map(JSON.strings)), ("user", user.nonEmpty.map(JSON.string)),
      ("workingDirectory", workingDirectory.nonEmpty.map(JSON.string)),
      ("stopSignal", stopSignal.nonEmpty.map(JSON.string)),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    self.init(
      reference: try cursor.require("reference").string(), registry: try cursor.require("registry").string(),
      repository: try cursor.require("repository").string(), manifest: try cursor.require("manifest").digest(),
      layers: try cursor.require("layers").list { (element) throws(JSONShapeError) in try PlannedLayer(element) })
    entrypoint = try cursor.optional("entrypoint")?.strings() ?? []
    command = try cursor.optional("command")?.strings() ?? []
    environment = try cursor.optional("environment")?.strings() ?? []
    user = try cursor.optional("user")?.string() ?? ""
    workingDirectory = try cursor.optional("workingDirectory")?.string() ?? ""
    stopSignal = try cursor.optional("stopSignal")?.string() ?? ""
  }
}
