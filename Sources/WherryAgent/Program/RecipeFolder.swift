import Glibc
import WherryCrypto
import WherryJSON
import WherryModel
import WherryPlanning
import WherryWire

/// Recipes and artifacts on this device's disk, as somebody prepared them for a local deployment.
struct RecipeFolder {
  let configuration: AgentConfiguration
  let recipeDirectories: [String]
  let artifactDirectories: [String]

  private static let filesMaximum = 512
  private static let recipeBytesMaximum = 1 << 20
  private static let bytesMaximum = 8 << 20

  /// Where the bytes of each artifact lie.
  private(set) var files: [Digest: String] = [:]

  init(_ configuration: AgentConfiguration, _ options: DeployOptions) {
    self.configuration = configuration
    recipeDirectories = options.recipeDirectories
    artifactDirectories = options.artifactDirectories
  }

  /// Every recipe of the directories that fits, with the digests of what lies here of its artifacts.
  mutating func load() throws -> [CatalogEntry] {
    var entries: [CatalogEntry] = []
    var places: [String: String] = [:]
    for (name, recipe) in try convert(try texts()) {
      let key = "\(recipe.name) \(recipe.version)"
      if let other = places.updateValue(name, forKey: key) {
        throw refusal("local.recipeTwice", "\(key) is described by both \(other) and \(name)", "remove one of them")
      }
      let whole = try withArtifacts(recipe)
      entries.append(CatalogEntry(recipe: whole, digest: SHA256.digest(of: whole.json.canonical)))
    }
    return entries
  }

  private func refusal(_ code: String, _ message: String, _ remedy: String) -> Failure {
    Failure(.rejected, code: code, message: message, remedy: remedy)
  }

  // MARK: Recipes

  private func texts() throws(Failure) -> [(name: String, text: String)] {
    var found: [(String, String)] = []
    var bytes = 0
    for directory in recipeDirectories {
      var status = stat()
      guard stat(directory, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
        throw Failure(
          .rejected, code: "local.noDirectory", message: "\(directory) is not a directory with recipes",
          remedy: "name the directory that holds the .yaml or .json files")
      }
      for name in Files.names(in: directory + "/") where Self.isRecipe(name) {
        let path = "\(directory)/\(name)"
        let text = try Self.text(path)
        bytes += text.utf8.count
        guard found.count < Self.filesMaximum, bytes <= Self.bytesMaximum else {
          throw Failure(
            .rejected, code: "local.tooManyRecipes",
            message: "\(directory) has more than \(Self.filesMaximum) recipes or "
              + "\(ByteCount.readable(Int64(Self.bytesMaximum))) of them",
            remedy: "put those that this deployment needs into a directory of their own")
        }
        found.append((path, text))
      }
    }
    return found
  }

  private static func isRecipe(_ name: String) -> Bool {
    let lower = name.lowercased()
    return !lower.hasPrefix(".") && [".yaml", ".yml", ".json"].contains { lower.hasSuffix($0) }
  }

  private static func text(_ path: String) throws(Failure) -> String {
    if let size = Files.size(path), size > Int64(recipeBytesMaximum) {
      throw Failure(
        .rejected, code: "local.recipeTooLarge",
        message: "\(path) has \(size) bytes; \(recipeBytesMaximum) is the limit of a recipe",
        remedy: "put data into an artifact")
    }
    guard let text = String(validating: try Files.read(path), as: UTF8.self) else {
      throw Failure(
        .rejected, code: "local.recipeInvalid", message: "\(path) is not UTF-8 text", remedy: "save it as UTF-8")
    }
    return text
  }

  /// Other people's text is parsed by a process without rights; this one only hands it the bytes.
  private func convert(_ texts: [(name: String, text: String)]) throws -> [(name: String, recipe: Recipe)] {
    guard !texts.isEmpty else { return [] }
    guard access(configuration.recipe, X_OK) == 0 else {
      throw Failure(
        .internalError, code: "agent.noHelper", message: "the helper program \(configuration.recipe) is not there",
        remedy: "install it beside wherry-agent, or set `recipe` in agent.conf")
    }
    let account = try UserAccount.fetching(configuration.fetchUser)
    let job: JSON = [
      "user": ["uid": .integer(Int64(account.user)), "gid": .integer(Int64(account.group))],
      "files": .array(texts.map { ["name": .string($0.name), "text": .string($0.text)] }),
    ]
    let worker = ProcessWorker(program: configuration.recipe, directory: AgentPaths(configuration).run)
    let (answers, detail) = try Self.finish(try worker.start(.convert, job: job))
    var recipes: [(String, Recipe)] = []
    var problems: [String] = []
    for answer in answers {
      if let failed = answer["failed"] { throw try Failure(JSONCursor(failed)) }
      guard let name = answer["file"]?.stringValue else { continue }
      if let recipe = answer["recipe"] {
        recipes.append((name, try Recipe(JSONCursor(recipe))))
      } else {
        problems += answer["problems"]?.arrayValue?.compactMap(\.stringValue) ?? []
      }
    }
    guard problems.isEmpty else {
      throw refusal(
        "local.recipeInvalid", problems.prefix(20).joined(separator: "\n  "),
        "correct the recipe; `wherry component validate` says the same elsewhere")
    }
    guard recipes.count == texts.count else {
      throw Failure(
        .internalError, code: "worker.failed", message: "the recipes could not be read: \(detail)",
        remedy: "leave out the largest recipe, and see whether memory is short")
    }
    return recipes
  }

  private static func finish(_ run: any WorkerRun) throws -> (answers: [JSON], detail: String) {
    let clock = SystemClock()
    var answers: [JSON] = []
    while true {
      var entry = pollfd(fd: run.descriptor, events: Int16(POLLIN), revents: 0)
      poll(&entry, 1, run.descriptor < 0 ? 5 : -1)
      for event in run.readEvents(now: clock.now) {
        switch event {
        case .line(let json): answers.append(json)
        case .ended(_, let detail): return (answers, detail)
        }
      }
    }
  }

  // MARK: Artifacts

  private mutating func withArtifacts(_ recipe: Recipe) throws -> Recipe {
    var recipe = recipe
    for manifest in recipe.manifests.indices {
      for index in recipe.manifests[manifest].artifacts.indices {
        let artifact = recipe.manifests[manifest].artifacts[index]
        guard let path = try place(of: artifact, in: recipe) else { continue }
        recipe.manifests[manifest].artifacts[index] = try measured(artifact, at: path, in: recipe)
      }
    }
    return recipe
  }

  /// As greengrass-cli has it: ARTIFACTS/NAME/VERSION/FILE; a `file:` URI names its file itself.
  private func place(of artifact: Artifact, in recipe: Recipe) throws(Failure) -> String? {
    let scheme = artifact.uri.prefix { $0 != ":" }.lowercased()
    if ["docker", "oci"].contains(scheme) { return nil }
    for directory in artifactDirectories {
      let path = "\(directory)/\(recipe.name)/\(recipe.version)/\(artifact.fileName)"
      if Files.exists(path) { return path }
    }
    if scheme == "file" {
      var path = String(artifact.uri.dropFirst("file:".count))
      if path.hasPrefix("//") { path = "/" + path.drop { $0 == "/" } }
      if path.hasPrefix("/"), Files.exists(path) { return path }
    }
    // An address with digest and size can be fetched as ever.
    if artifact.digest != nil && artifact.size != nil && scheme != "file" { return nil }
    throw refusal(
      "local.noArtifact",
      "the artifact \(artifact.uri) of \(recipe.name) \(recipe.version) is not on this device",
      "put it at \(artifactDirectories.first ?? "ARTIFACTS")/\(recipe.name)/\(recipe.version)/\(artifact.fileName) "
        + "and name that directory with --artifact-dir")
  }

  private mutating func measured(_ artifact: Artifact, at path: String, in recipe: Recipe) throws -> Artifact {
    var status = stat()
    guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw refusal("local.noArtifact", "\(path) is not a file", "name a regular file")
    }
    let (digest, size) = try FileDigest.digest(path: path)
    if let wanted = artifact.digest, wanted != digest {
      throw Failure(
        .verify, code: "local.digestMismatch",
        message: "\(path) has the digest \(digest.short)…, but the recipe of \(recipe.name) \(recipe.version) says "
          + "\(wanted.short)…",
        remedy: "put the right file there, or correct the recipe")
    }
    files[digest] = path
    var result = artifact
    result.digest = digest
    result.size = size
    return result
  }
}
