import ArgumentParser
import WherryClient
import WherryCrypto
import WherryJSON
import WherryModel
import WherryRecipe
import WherryWire

struct ComponentCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "component", abstract: "Components and their versions.",
    discussion: "Example: wherry component publish components/com.example.hello/1.0.0",
    subcommands: [Validate.self, Import.self, Publish.self, List.self, Show.self])

  struct Validate: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Check recipes and their artifacts without publishing.",
      discussion: "Example: wherry component validate components/com.example.hello/1.0.0")
    @Argument(help: "Recipe files, or directories that are searched for recipe.yaml, .yml or .json.")
    var paths: [String]

    func run() throws {
      var isEverythingValid = true
      for source in try ComponentSource.find(paths) {
        do {
          let read = try source.read()
          Console.line("\(source.recipePath): \(read.recipe.name) \(read.recipe.version) is valid")
        } catch let error as UserError {
          // The rest is looked at, too: one run tells all.
          Console.write("\(error)\n", toError: true)
          isEverythingValid = false
        }
      }
      guard isEverythingValid else { throw ExitCode(1) }
    }
  }

  struct Publish: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Validate, upload artifacts and register immutable versions.",
      discussion: "Example: wherry component publish components/com.example.hello/1.0.0")
    @Argument(help: "Recipe files, or directories that are searched for recipe.yaml, .yml or .json.")
    var paths: [String]
    @OptionGroup var options: OutputOptions

    func run() throws {
      let client = try Session.load().client
      // All are read before the first is sent, so a mistake in the last leaves nothing half published.
      let sources = try ComponentSource.find(paths)
      let components = try sources.map { ($0, try $0.read()) }
      for (source, component) in components {
        for artifact in component.artifacts where try !client.hasBlob(artifact.digest) {
          try client.uploadBlob(artifact.digest, file: artifact.path)
        }
        let summary = try client.publish(
          recipe: component.text, fileName: source.recipePath,
          artifacts: Dictionary(
            component.artifacts.map { ($0.name, (digest: $0.digest, size: $0.size)) }, uniquingKeysWith: { $1 }))
        options.show(summary.json) { "Published \(summary.name) \(summary.version) (\(summary.digest.short))\n" }
      }
    }
  }

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "All component versions.", discussion: "Example: wherry component list")
    @OptionGroup var options: OutputOptions

    func run() throws {
      let components = try Session.load().client.components()
      options.show(["components": .array(components.map(\.json))]) { ComponentCommand.table(components) }
    }
  }

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "The versions of a component, or the recipe of one.",
      discussion: "Example: wherry component show com.example.web 1.0.0")
    @Argument var component: ComponentName
    @Argument var version: String?
    @OptionGroup var options: OutputOptions

    func run() throws {
      let client = try Session.load().client
      guard let version else {
        let versions = try client.versions(of: component)
        options.show(["versions": .array(versions.map(\.json))]) { ComponentCommand.table(versions) }
        return
      }
      guard let parsed = Version(version) else {
        throw ValidationError("version \"\(version)\" must be written major.minor.patch, for example 1.0.0")
      }
      Console.line(try client.recipe(component, parsed).json.canonical)
    }
  }

  static func table(_ components: [ComponentVersionSummary]) -> String {
    Console.table(
      ["COMPONENT", "VERSION", "DIGEST", "PUBLISHER", "DESCRIPTION"],
      components.map { [$0.name.rawValue, $0.version.description, $0.digest.short, $0.publisher, $0.summary] })
  }
}

extension Artifact {
  /// Fetched by devices from where it is; of everything else (`wherry:`, `s3:`, `greengrass:`, `file:`) the file lies
  /// beside the recipe and is uploaded.
  fileprivate var isElsewhere: Bool {
    ["https", "docker", "oci"].contains(uri.prefix { $0 != ":" }.lowercased())
  }
}

/// A recipe on disk with the files that it names.
struct ComponentSource {
  struct LocalArtifact {
    var name: String
    var path: String
    var digest: Digest
    var size: Int64
  }

  let recipePath: String
  private var directory: String {
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
  func read() throws -> (recipe: Recipe, text: String, artifacts: [LocalArtifact]) {
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
    return (recipe, text, artifacts.values.sorted { $0.name < $1.name })
  }
}
