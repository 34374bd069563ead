import ArgumentParser
import WherryClient
import WherryJSON
import WherryModel
import WherryRecipe
import WherryWire

struct ComponentCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "component", abstract: "Components and their versions.",
    discussion: "Example: wherry component publish components/com.example.hello/1.0.0",
    subcommands: [Validate.self, Import.self, Build.self, Publish.self, List.self, Show.self])

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
        let summary = try source.publish(component, by: client)
        options.show(summary.json) { ComponentCommand.sentence(summary) }
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

  static func sentence(_ summary: ComponentVersionSummary) -> String {
    "Published \(summary.name) \(summary.version) (\(summary.digest.short))\n"
  }

  static func table(_ components: [ComponentVersionSummary]) -> String {
    Console.table(
      ["COMPONENT", "VERSION", "DIGEST", "PUBLISHER", "DESCRIPTION"],
      components.map { [$0.name.rawValue, $0.version.description, $0.digest.short, $0.publisher, $0.summary] })
  }
}
