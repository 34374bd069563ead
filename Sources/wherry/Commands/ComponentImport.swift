import ArgumentParser
import WherryRecipe

extension ComponentCommand {
  struct Import: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Say what of an existing Greengrass recipe runs here.",
      discussion: "Nothing is published; the exit status is 1 when something cannot run.\n"
        + "Example: wherry component import recipe.yaml")
    @Argument(help: "A recipe file, or a directory that is searched for recipe.yaml, .yml or .json.")
    var paths: [String]

    func run() throws {
      var canRun = true
      for source in try ComponentSource.find(paths) {
        let path = source.recipePath
        let report = CompatibilityReport(RecipeReader.read(try Files.text(path), fileName: path))
        Console.line(path)
        show("runs as it is", report.asIs)
        show("is mapped", report.mapped)
        show("cannot run", report.cannotRun)
        canRun = canRun && report.cannotRun.isEmpty
      }
      guard canRun else { throw ExitCode(1) }
    }

    private func show(_ title: String, _ sentences: [String]) {
      guard !sentences.isEmpty else { return }
      Console.line("  \(title):")
      for sentence in sentences { Console.line("    \(sentence)") }
    }
  }
}
