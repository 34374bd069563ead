import WherryJSON
import WherryModel

/// Reads recipes as people write them. Every problem is collected, so that one run tells all.
package enum RecipeReader {
  package static let bytesMaximum = 1 << 20
  package static let depthMaximum = 64
  static let nodesMaximum = 100_000
  /// A recipe with more mistakes than this is not a recipe; the rest would be noise.
  static let problemsMaximum = 100

  /// YAML or JSON: YAML is a superset, so one reader gives both the same located problems.
  package static func read(_ text: String, fileName: String) -> RecipeReading {
    let problems = ProblemCollector()
    var recipe: Recipe?
    if let root = RecipeDocument.root(of: text, fileName: fileName, problems: problems) {
      recipe = root.recipe()
    }
    let sorted = problems.sorted
    return RecipeReading(recipe: problems.hasErrors ? nil : recipe, problems: sorted)
  }
}

extension RecipeReader {
  /// Another document in YAML or JSON, as JSON, under the same bounds. nil with problems that say why.
  /// - Parameter beginning: how to mend one that is empty.
  package static func json(
    _ text: String, fileName: String, beginning: String
  ) -> (json: JSON?, problems: [RecipeProblem]) {
    let problems = ProblemCollector()
    let root = RecipeDocument.root(of: text, fileName: fileName, beginning: beginning, problems: problems)
    let json = root?.json()
    return (problems.hasErrors ? nil : json, problems.sorted)
  }
}

/// Gathers problems, each once.
final class ProblemCollector {
  private var problems: [RecipeProblem] = []
  private var seen: Set<RecipeProblem> = []
  private(set) var hasErrors = false

  func add(_ problem: RecipeProblem) {
    if problem.severity == .error { hasErrors = true }
    guard !isFull, seen.insert(problem).inserted else { return }
    problems.append(problem)
  }

  /// More would not be kept.
  var isFull: Bool { problems.count >= RecipeReader.problemsMaximum }

  var sorted: [RecipeProblem] {
    problems.sorted { ($0.line, $0.column, $0.path, $0.message) < ($1.line, $1.column, $1.path, $1.message) }
  }
}
