import WherryModel

/// One thing that is wrong with a recipe: what, where and the remedy.
package struct RecipeProblem: Hashable, Sendable, CustomStringConvertible {
  package enum Severity: String, Hashable, Sendable { case error, warning }
  package var severity: Severity
  /// From 1.
  package var line: Int
  package var column: Int
  /// JSON pointer with the keys in their documented case; `""` is the recipe itself.
  package var path: String
  package var message: String
  package var remedy: String

  package init(severity: Severity, line: Int, column: Int, path: String, message: String, remedy: String) {
    self.severity = severity
    self.line = line
    self.column = column
    self.path = path
    self.message = message
    self.remedy = remedy
  }

  /// `line 7, column 3 (/Manifests/0/Platform): …; …`
  package var description: String {
    let place = "line \(line), column \(column)" + (path.isEmpty ? "" : " (\(path))")
    return place + ": " + message + (remedy.isEmpty ? "" : "; " + remedy)
  }
}

/// A recipe, or why there is none. Warnings may stand beside a recipe.
package struct RecipeReading: Hashable, Sendable {
  /// Nil if and only if there is an error among the problems.
  package var recipe: Recipe?
  /// In the order of lines.
  package var problems: [RecipeProblem]

  package init(recipe: Recipe?, problems: [RecipeProblem]) {
    self.recipe = recipe
    self.problems = problems
  }
}
