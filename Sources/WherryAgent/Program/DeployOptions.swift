import WherryJSON
import WherryModel
import WherryWire

/// `wherry-agent deploy …` as it was typed. The words are greengrass-cli's where that has some.
struct DeployOptions {
  var recipeDirectories: [String] = []
  var artifactDirectories: [String] = []
  var merge: [ComponentName: VersionRequirement] = [:]
  var remove: Set<ComponentName> = []
  /// JSON, or the file that it is in; nil = nothing is configured.
  var update: String?
  var policy = ApplyPolicy()
  var watch = false
  var asJSON = false

  init(_ scanner: inout WordScanner) throws {
    recipeDirectories = try scanner.values(of: ["--recipe-dir", "--recipeDir", "-r"])
    artifactDirectories = try scanner.values(of: ["--artifact-dir", "--artifactDir", "-a"])
    for text in try scanner.values(of: ["--merge", "-m"]) {
      let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, let requirement = VersionRequirement(String(parts[1])) else {
        throw Misuse(message: "--merge takes NAME=VERSION (1.2.3 or a range such as ^1.2), not \"\(text.prefix(80))\"")
      }
      let name = try Self.name(String(parts[0]))
      guard merge.updateValue(requirement, forKey: name) == nil else {
        throw Misuse(message: "\(name) is merged twice")
      }
    }
    for text in try scanner.values(of: ["--remove"]) { remove.insert(try Self.name(text)) }
    if let name = remove.first(where: { merge[$0] != nil }) {
      throw Misuse(message: "\(name) is to be merged and to be removed")
    }
    update = try scanner.values(of: ["--update-config", "-c"]).last
    if let word = try scanner.values(of: ["--device-failure", "--failure-handling-policy"]).last {
      switch word.lowercased() {
      case "rollback": policy.failureHandling = .rollback
      case "nothing", "do_nothing": policy.failureHandling = .doNothing
      default: throw Misuse(message: "--device-failure is rollback or nothing, not \"\(word.prefix(80))\"")
      }
    }
    watch = scanner.flag("--watch") || scanner.flag("-w")
    asJSON = scanner.flag("--json")
    guard !merge.isEmpty || !remove.isEmpty || update != nil else {
      throw Misuse(message: "deploy needs --merge NAME=VERSION, --remove NAME or --update-config")
    }
  }

  private static func name(_ text: String) throws -> ComponentName {
    do { return try ComponentName(validating: text) } catch { throw Misuse(message: error.description) }
  }

  /// `{"NAME": {"RESET": ["/pointer"], "MERGE": {…}}}`, keys in any case.
  func configurations() throws(Failure) -> [ComponentName: ConfigurationUpdate] {
    guard let update else { return [:] }
    let isInline = update.first { $0 != " " && $0 != "\n" } == "{"
    let text = isInline ? update : try Files.text(update)
    do throws(JSONShapeError) {
      let json: JSON
      do { json = try JSON(parsing: text) } catch { throw JSONCursor(.null).fail(error.description) }
      return try JSONCursor(json).named { (element) throws(JSONShapeError) in try Self.configuration(element) }
    } catch {
      throw Failure(
        .rejected, code: "local.configuration",
        message: "the configuration update \(isInline ? "" : "in \(update) ")cannot be used: \(error)",
        remedy: "write {\"NAME\": {\"RESET\": [\"/key\"], \"MERGE\": {\"key\": 1}}}")
    }
  }

  private static func configuration(_ cursor: JSONCursor) throws(JSONShapeError) -> ConfigurationUpdate {
    var result = ConfigurationUpdate()
    for (key, value) in try cursor.object() {
      switch key.lowercased() {
      case "reset":
        result.reset = try value.strings()
        for pointer in result.reset where !pointer.isEmpty && !pointer.hasPrefix("/") {
          throw value.fail("\"\(pointer.prefix(80))\" is not a JSON pointer such as /key")
        }
      case "merge":
        guard value.json.objectValue != nil else { throw value.fail("it is not a map") }
        result.merge = value.json
      default: throw value.fail("\"\(key.prefix(80))\" is neither RESET nor MERGE")
      }
    }
    return result
  }
}

extension WordScanner {
  /// Of an option that may be given several times and has several names.
  mutating func values(of options: [String]) throws -> [String] {
    var values: [String] = []
    for option in options {
      while let value = try value(of: option) { values.append(value) }
    }
    return values
  }
}
