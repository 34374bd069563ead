import Testing
import WherryModel
import WherryRecipe

/// The recipe, which must be free of problems.
func sound(_ text: String, sourceLocation: SourceLocation = #_sourceLocation) throws -> Recipe {
  let reading = RecipeReader.read(text, fileName: "recipe.yaml")
  #expect(reading.problems.map(\.description) == [], sourceLocation: sourceLocation)
  return try #require(reading.recipe, sourceLocation: sourceLocation)
}

func problems(_ text: String) -> [String] {
  RecipeReader.read(text, fileName: "recipe.yaml").problems.map(\.description)
}

/// Three lines of head, so that what follows starts on line 4.
let head = """
  RecipeFormatVersion: "2020-01-25"
  ComponentName: com.example.test
  ComponentVersion: 1.0.0

  """

/// That this is the one problem of the text, and keeps it from being a recipe.
func expectProblem(_ text: String, _ problem: String, sourceLocation: SourceLocation = #_sourceLocation) {
  #expect(problems(text) == [problem], sourceLocation: sourceLocation)
  #expect(RecipeReader.read(text, fileName: "x").recipe == nil, sourceLocation: sourceLocation)
}

func manifest(_ lines: String) -> String {
  head + "Manifests:\n  - Platform: { os: linux }\n"
    + lines.split(separator: "\n", omittingEmptySubsequences: false).map { "    " + $0 + "\n" }.joined()
}

func container(_ lines: String) -> String {
  manifest("Container:\n" + lines.split(separator: "\n").map { "  " + $0 }.joined(separator: "\n"))
}
