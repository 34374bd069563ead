import WherryDocker
import WherryJSON
import WherryModel

/// What becomes of an existing Greengrass recipe here, a sentence for each finding.
package struct CompatibilityReport: Hashable, Sendable {
  package private(set) var asIs: [String] = []
  package private(set) var mapped: [String] = []
  package private(set) var cannotRun: [String] = []

  package init(_ reading: RecipeReading) {
    cannotRun += reading.problems.filter { $0.severity == .error }.map(\.description)
    mapped += reading.problems.filter { $0.severity == .warning }.map(\.description)
    guard let recipe = reading.recipe else { return }
    manifests(recipe)
    for artifact in unique(recipe.manifests.flatMap(\.artifacts).map(\.uri)).map(Artifact.init(uri:)) {
      note(artifact)
    }
    for (name, dependency) in recipe.dependencies.sorted(by: { $0.key < $1.key }) { note(name, dependency) }
    scripts(recipe)
    accessControl(recipe)
  }

  /// Each once, in order.
  private func unique(_ texts: [String]) -> [String] {
    var seen: Set<String> = []
    return texts.filter { seen.insert($0).inserted }
  }

  private mutating func manifests(_ recipe: Recipe) {
    var isForLinux = recipe.manifests.isEmpty
    for (index, manifest) in recipe.manifests.enumerated() {
      let place = "manifest \(index)" + (manifest.name.isEmpty ? "" : " (\(manifest.name.clipped))")
      let system = (manifest.platform["os"] ?? "*").lowercased()
      guard !["windows", "darwin", "macos"].contains(system) else {
        mapped.append("\(place) is for \(system) and is never chosen: devices run Linux")
        continue
      }
      isForLinux = true
      if manifest.container != nil {
        asIs.append("\(place): a container of \(manifest.container?.image.clipped ?? "")")
        continue
      }
      steps(manifest.lifecycle.isEmpty ? recipe.lifecycle : manifest.lifecycle, place)
    }
    if recipe.manifests.isEmpty { steps(recipe.lifecycle, "the recipe") }
    if !isForLinux { cannotRun.append("no manifest is for Linux; add one with `Platform: { os: linux }`") }
  }

  private mutating func steps(_ lifecycle: Lifecycle, _ place: String) {
    let names = LifecycleStep.allCases.filter { lifecycle.steps[$0] != nil }.map(\.rawValue)
    let isLeftAlone = lifecycle.steps[.run] == nil && lifecycle.steps[.startup] == nil
    asIs.append(
      "\(place): " + (names.isEmpty ? "no steps" : names.joined(separator: ", "))
        + (isLeftAlone ? "; without run and startup the component becomes FINISHED" : ""))
  }

  private mutating func note(_ artifact: Artifact) {
    let uri = artifact.uri.clipped
    switch artifact.uri.prefix(while: { $0 != ":" }).lowercased() {
    case "s3", "greengrass", "file":
      mapped.append(
        "artifact \(uri): put the file \(artifact.fileName.clipped) beside the recipe; publishing uploads it")
    case "docker", "oci":
      asIs.append(
        "artifact \(uri): pinned to a digest when deployed; devices fetch and verify it before anything starts")
    case "https": asIs.append("artifact \(uri): devices fetch it; it needs Digest and Size in the recipe")
    default: asIs.append("artifact \(uri): uploaded when published")
    }
  }

  private mutating func note(_ name: ComponentName, _ dependency: Dependency) {
    let what = "dependency \(name) \(dependency.requirement)"
    guard let standIn = StandIn.named(name) else {
      if name.rawValue.lowercased().hasPrefix("aws.greengrass.") {
        cannotRun.append("\(what): there is no stand-in for it; remove the dependency or publish one of your own")
      } else {
        asIs.append("\(what): publish it, too")
      }
      return
    }
    guard StandIn.versions.contains(where: dependency.requirement.contains) else {
      cannotRun.append("\(what): the built-in stand-in has the versions 2.0.0 to 2.20.9; widen the requirement")
      return
    }
    mapped.append(
      "\(what): a built-in stand-in" + (standIn.provided.isEmpty ? "" : "; here \(standIn.provided)")
        + (standIn.missing.isEmpty ? "" : "; not there: \(standIn.missing)"))
  }

  private mutating func scripts(_ recipe: Recipe) {
    var carriedOut: [String] = []
    var found: [String] = []
    for lifecycle in recipe.manifests.map(\.lifecycle) + [recipe.lifecycle] {
      for name in LifecycleStep.allCases {
        guard let script = lifecycle.steps[name]?.script else { continue }
        for call in DockerCalls.find(in: script) {
          let place = "step \(name.rawValue) calls `\(call.name.clipped)`: "
          do throws(DockerMisuse) {
            _ = try DockerParser.parse(call.words)
            carriedOut.append(
              place + "the agent's own engine carries it out; its images have to be docker: artifacts of the recipe")
          } catch { found.append(place + error.description) }
        }
      }
    }
    mapped += unique(carriedOut)
    cannotRun += unique(found)
  }

  private mutating func accessControl(_ recipe: Recipe) {
    guard let services = recipe.defaultConfiguration.objectValue?["accessControl"]?.objectValue else { return }
    for service in services.keys.sorted() {
      cannotRun.append(
        "accessControl for \(service.clipped): the agent has no Greengrass IPC socket, so calls to it fail")
    }
  }
}

/// Calls of Docker's command line in shell text.
enum DockerCalls {
  /// `docker run`, `docker-compose up`: program and first word that is no flag.
  static func find(in script: String) -> [(name: String, words: [String])] {
    var calls: [(name: String, words: [String])] = []
    // CRLF is one character.
    let whole = script.replacing("\\\r\n", with: " ").replacing("\\\n", with: " ")
    for line in whole.split(whereSeparator: \.isNewline) where line.trimmed.first != "#" {
      for command in line.split(whereSeparator: { ";|&()`".contains($0) }) {
        var words = command.split(whereSeparator: \.isWhitespace).drop(while: isBeforeProgram)
        guard let first = words.popFirst(), let program = first.split(separator: "/").last,
          program == "docker" || program == "docker-compose"
        else { continue }
        // `docker-compose up` is an older name of `docker compose up`.
        let verb = program == "docker" ? [] : ["compose"]
        let rest = words.map(withoutVariables).prefix { !$0.hasPrefix(">") && !$0.hasPrefix("2>") }
        let name = ([program] + words.prefix { $0.first != "-" }.prefix(1)).joined(separator: " ")
        calls.append((name, verb + rest))
      }
    }
    return calls
  }

  /// What a variable of the recipe or the shell stands for is not known here: a 1 may be a path's name, a port or an
  /// amount. Quotes are the shell's.
  private static func withoutVariables(_ word: Substring) -> String {
    var text = ""
    var rest = word
    while let letter = rest.popFirst() {
      switch letter {
      case "\"", "'": continue
      case "{" where rest.contains("}"):
        rest = rest.drop { $0 != "}" }.dropFirst()
        text += "1"
      case "$":
        if rest.first != "{" {
          rest = rest.drop { $0.isLetter || $0.isNumber || $0 == "_" }
          text += "1"
        }
      default: text.append(letter)
      }
    }
    return text
  }

  /// `sudo -E`, `exec`, `if !`, `NAME=value`: what stands before the program that is called.
  private static func isBeforeProgram(_ word: Substring) -> Bool {
    let leading: Set<Substring> = [
      "sudo", "exec", "if", "while", "until", "then", "else", "do", "!", "nohup", "time", "{",
    ]
    return leading.contains(word) || word.hasPrefix("-") || word.hasPrefix("$")
      || (word.contains("=") && word.first?.isLetter == true)
  }
}
