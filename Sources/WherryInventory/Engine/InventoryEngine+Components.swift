import WherryCrypto
import WherryDatabase
import WherryJSON
import WherryModel
import WherryPlanning
import WherryRecipe
import WherryWire

/// What `POST /v1/components` carries: the recipe as its author wrote it, and what the CLI found out about the files
/// that it names.
package struct PublicationRequest: Sendable {
  package struct File: Hashable, Sendable {
    package var digest: Digest
    package var size: Int64
    package init(digest: Digest, size: Int64) {
      self.digest = digest
      self.size = size
    }
  }

  package var recipe: String
  package var fileName: String
  /// By the name after `wherry:`.
  package var artifacts: [String: File]

  package init(recipe: String, fileName: String, artifacts: [String: File] = [:]) {
    self.recipe = recipe
    self.fileName = fileName
    self.artifacts = artifacts
  }
}

package struct Publication: Sendable {
  package var summary: ComponentVersionSummary
  /// False: the same version with the same content was there already.
  package var isNew: Bool
}

extension InventoryEngine {
  /// Registers an immutable version.
  package func publish(_ request: PublicationRequest, by actor: String) throws -> Publication {
    let recipe = try withArtifacts(try read(request), request: request)
    let digest = SHA256.digest(of: recipe.json.canonicalBytes)
    if let known = try database.component(recipe.name, recipe.version) {
      guard known.digest == digest else {
        throw Refusal(
          409, "component.conflict",
          "\(recipe.name) \(recipe.version) was published with other content "
            + "(\(known.digest.short), now \(digest.short))",
          remedy: "versions never change: raise ComponentVersion and publish again")
      }
      return Publication(summary: summary(of: known), isNew: false)
    }
    try requireDistinctOrder(recipe)
    try requireReadable(recipe)
    let now = environment.now()
    let record = ComponentRecord(recipe: recipe, digest: digest, source: request.recipe, createdAt: now)
    catalog = try commit {
      try database.insert(record)
      try database.audit(
        "component.publish", subject: recipe.name.rawValue, actor: actor, detail: "\(recipe.version) \(digest)", at: now
      )
      // Read back before the commit: a version that the next start could not read must never be stored.
      return StandInCatalog.catalog(of: try database.components())
    }
    // A newer version may satisfy a dependency that a memoised plan has resolved to an older one.
    planMemo.removeAll()
    return Publication(summary: summary(of: record), isNew: true)
  }

  /// Build metadata takes no part in the order of versions (semver.org §10): of two versions that differ only there
  /// nobody could say which one is the newer.
  private func requireDistinctOrder(_ recipe: Recipe) throws {
    let published = try database.components(named: recipe.name).map(\.recipe.version)
    let twin = published.first { !($0 < recipe.version) && !(recipe.version < $0) }
    guard let twin else { return }
    throw Refusal(
      409, "component.conflict",
      "\(recipe.name) \(recipe.version) differs from the published \(twin) in its build metadata only, which takes no "
        + "part in the order of versions",
      remedy: "raise ComponentVersion before the + and publish again")
  }

  /// The canonical text is what is stored and what every later start reads.
  private func requireReadable(_ recipe: Recipe) throws(Refusal) {
    let bytes = recipe.json.canonicalBytes
    do {
      _ = try Recipe(JSONCursor(JSON(parsing: bytes, limits: JSONLimits(bytesMaximum: bytes.count))))
    } catch {
      throw Refusal(
        422, "recipe.invalid", "the recipe of \(recipe.name) \(recipe.version) cannot be stored: \(error)",
        remedy: "mend the recipe; `wherry component validate` checks it without publishing")
    }
  }

  private func read(_ request: PublicationRequest) throws -> Recipe {
    let reading = RecipeReader.read(request.recipe, fileName: request.fileName)
    if let recipe = reading.recipe { return recipe }
    let problems = reading.problems.map(\.description)
    throw Refusal(
      422, "recipe.invalid", "\(request.fileName): \(problems.first ?? "it is no recipe")",
      remedy: "mend the recipe; `wherry component validate` checks it without publishing", errors: problems)
  }

  /// Fills in digests and sizes, and sees that every file of the service's own store is there.
  private func withArtifacts(_ recipe: Recipe, request: PublicationRequest) throws -> Recipe {
    var recipe = recipe
    for manifest in recipe.manifests.indices {
      for index in recipe.manifests[manifest].artifacts.indices {
        let artifact = recipe.manifests[manifest].artifacts[index]
        recipe.manifests[manifest].artifacts[index] = try complete(artifact, of: recipe, request: request)
      }
    }
    return recipe
  }

  private func complete(_ artifact: Artifact, of recipe: Recipe, request: PublicationRequest) throws -> Artifact {
    let place = "artifact \(artifact.uri) of \(recipe.name) \(recipe.version)"
    if artifact.image != nil { return artifact }
    let scheme = artifact.uri.prefix { $0 != ":" }.lowercased()
    // Devices fetch everything else from here, whatever scheme the recipe writes (PlanComposer).
    guard scheme == "https" else { return try completeOwn(artifact, place: place, request: request) }
    guard artifact.digest != nil, artifact.size != nil else {
      throw Refusal(
        422, "artifact.incomplete", "\(place) has no digest and size",
        remedy: "add Digest (sha256:…) and Size (bytes) to the artifact in the recipe")
    }
    return artifact
  }

  /// A file of the service's own store: the store knows its size, whatever the recipe or the request say.
  private func completeOwn(
    _ artifact: Artifact, place: String, request: PublicationRequest
  ) throws(Refusal) -> Artifact {
    let name = String(artifact.uri.drop { $0 != ":" }.dropFirst())
    let file = request.artifacts[name] ?? request.artifacts[artifact.fileName]
    guard let digest = file?.digest ?? artifact.digest else {
      throw Refusal(
        422, "artifact.incomplete", "\(place) has no digest",
        remedy: "write its Uri as `wherry:FILE`, put the file beside the recipe and publish with "
          + "`wherry component publish DIRECTORY`")
    }
    guard artifact.digest == nil || artifact.digest == digest else {
      throw Refusal(
        422, "artifact.digestMismatch", "\(place) has not the digest that the recipe says",
        remedy: "correct the Digest in the recipe or the file")
    }
    guard let size = environment.blobs.size(of: digest) else {
      throw Refusal(
        422, "artifact.missing", "\(place) was not uploaded: there is no blob \(digest)",
        remedy: "upload it with PUT /v1/blobs/\(digest) first")
    }
    for claimed in [file?.size, artifact.size].compactMap({ $0 }) where claimed != size {
      throw Refusal(
        422, "artifact.sizeMismatch", "\(place) is said to have \(claimed) bytes, and the uploaded blob has \(size)",
        remedy: "correct the size or leave it out")
    }
    var artifact = artifact
    artifact.digest = digest
    artifact.size = size
    return artifact
  }

  package func components() throws -> [ComponentVersionSummary] { try database.components().map(summary) }

  package func components(named name: ComponentName) throws -> [ComponentVersionSummary] {
    let records = try database.components(named: name)
    guard !records.isEmpty else { throw Self.noComponent("component \(name)") }
    return records.map(summary)
  }

  package func component(_ name: ComponentName, _ version: Version) throws -> ComponentRecord {
    guard let record = try database.component(name, version) else {
      throw Self.noComponent("version \(version) of component \(name)")
    }
    return record
  }

  private static func noComponent(_ what: String) -> Refusal {
    .notFound(what, remedy: "`wherry component list` names them")
  }

  func summary(of record: ComponentRecord) -> ComponentVersionSummary {
    ComponentVersionSummary(
      name: record.recipe.name, version: record.recipe.version, digest: record.digest,
      publisher: record.recipe.publisher, summary: record.recipe.summary, createdAt: record.createdAt)
  }
}
