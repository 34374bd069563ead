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
    let now = environment.now()
    let record = ComponentRecord(recipe: recipe, digest: digest, source: request.recipe, createdAt: now)
    try commit {
      try database.insert(record)
      try database.audit(
        "component.publish", subject: recipe.name.rawValue, actor: actor, detail: "\(recipe.version) \(digest)", at: now
      )
    }
    try reloadCatalog()
    return Publication(summary: summary(of: record), isNew: true)
  }

  private func reloadCatalog() throws {
    catalog = Catalog(entries: try database.components().map { CatalogEntry(recipe: $0.recipe, digest: $0.digest) })
    // A newer version may satisfy a dependency that a memoised plan has resolved to an older one.
    planMemo.removeAll()
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
    var artifact = artifact
    let place = "artifact \(artifact.uri) of \(recipe.name) \(recipe.version)"
    let isOwn = artifact.uri.hasPrefix("wherry:")
    if isOwn, let file = request.artifacts[String(artifact.uri.dropFirst(7))] ?? request.artifacts[artifact.fileName] {
      guard artifact.digest == nil || artifact.digest == file.digest else {
        throw Refusal(
          422, "artifact.digestMismatch", "\(place) has not the digest that the recipe says",
          remedy: "correct the Digest in the recipe or the file")
      }
      artifact.digest = file.digest
      artifact.size = file.size
    }
    if artifact.uri.hasPrefix("docker:") { return artifact }
    guard let digest = artifact.digest, artifact.size != nil else {
      throw Refusal(
        422, "artifact.incomplete", "\(place) has no digest and size",
        remedy: isOwn
          ? "publish with `wherry component publish DIRECTORY` and put the file beside the recipe"
          : "add Digest (sha256:…) and Size (bytes) to the artifact in the recipe")
    }
    guard !isOwn || environment.blobs.contains(digest) else {
      throw Refusal(
        422, "artifact.missing", "\(place) was not uploaded: there is no blob \(digest)",
        remedy: "upload it with PUT /v1/blobs/\(digest) first")
    }
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
