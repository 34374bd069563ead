import WherryClient
import WherryCrypto
import WherryModel
import WherryRecipe
import WherryWire

extension Artifact {
  /// Fetched by devices from where it is; of everything else (`wherry:`, `s3:`, `greengrass:`, `file:`) the file lies
  /// beside the recipe and is uploaded.
  fileprivate var isElsewhere: Bool { image != nil || uri.lowercased().hasPrefix("https:") }
}

/// A recipe on disk with the files that it names.
struct ComponentSource {
  struct LocalArtifact {
    var name: String
    var path: String
    var digest: Digest
    var size: Int64
  }

  /// As it is read: a recipe, its text and its files.
  struct Component {
    var recipe: Recipe
    var text: String
    var artifacts: [LocalArtifact]
  }

  let recipePath: String
  var directory: String {
    recipePath.lastIndex(of: "/").map { String(recipePath[..<$0]) } ?? "."
  }

  static func find(_ paths: [String]) throws -> [ComponentSource] {
    var found: [ComponentSource] = []
    for path in paths {
      let before = found.count
      try search(path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path, depth: 0, into: &found)
      if found.count == before {
        throw UserError("\(path) holds no recipe.yaml, recipe.yml or recipe.json; name a recipe file or its directory")
      }
    }
    return found
  }

  private static func search(_ path: String, depth: Int, into found: inout [ComponentSource]) throws {
    guard Files.isDirectory(path) else {
      found.append(ComponentSource(recipePath: path))
      return
    }
    let names = try Files.list(path)
    if let recipe = ["recipe.yaml", "recipe.yml", "recipe.json"].first(where: names.contains) {
      found.append(ComponentSource(recipePath: path + "/" + recipe))
      return
    }
    guard depth < 4 else { return }
    for name in names where Files.isDirectory(path + "/" + name) {
      try search(path + "/" + name, depth: depth + 1, into: &found)
    }
  }

  /// Validates the recipe and measures its `wherry:` artifacts, which lie beside the recipe or under `artifacts/`.
  func read() throws -> Component {
    let text = try Files.text(recipePath)
    let reading = RecipeReader.read(text, fileName: recipePath)
    for problem in reading.problems where problem.severity == .warning || reading.recipe != nil {
      Console.write("\(recipePath): warning: \(problem)\n", toError: true)
    }
    guard let recipe = reading.recipe else {
      let errors = reading.problems.filter { $0.severity == .error }
      throw UserError(
        "\(recipePath) is not a valid recipe:\n" + errors.map { "  \($0)" }.joined(separator: "\n"))
    }
    var artifacts: [String: LocalArtifact] = [:]
    for artifact in recipe.manifests.flatMap(\.artifacts) where !artifact.isElsewhere {
      let name = artifact.fileName
      guard artifacts[name] == nil else { continue }
      guard let path = ["\(directory)/\(name)", "\(directory)/artifacts/\(name)"].first(where: Files.isFile) else {
        // Of another service's file the blob may be there already; the service knows, and says so if not.
        guard artifact.uri.lowercased().hasPrefix("wherry:") || artifact.digest == nil else { continue }
        throw UserError(
          "\(recipePath) names the artifact \(artifact.uri), but neither \(directory)/\(name) nor "
            + "\(directory)/artifacts/\(name) is a file; put it there or mend the Uri")
      }
      let (digest, size) = try FileDigest.digest(path: path)
      artifacts[name] = LocalArtifact(name: name, path: path, digest: digest, size: size)
    }
    return Component(recipe: recipe, text: text, artifacts: artifacts.values.sorted { $0.name < $1.name })
  }

  func publish(_ component: Component, by client: InventoryClient) throws -> ComponentVersionSummary {
    for artifact in component.artifacts where try !client.hasBlob(artifact.digest) {
      try client.uploadBlob(artifact.digest, file: artifact.path)
    }
    return try client.publish(
      recipe: component.text, fileName: recipePath,
      artifacts: Dictionary(
        component.artifacts.map { ($0.name, (digest: $0.digest, size: $0.size)) }, uniquingKeysWith: { $1 }))
  }
}
