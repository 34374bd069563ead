import Testing
import WherryModel
import WherryRecipe

/// One recipe in the many ways in which people write it. Each way must be read, and as the same recipe.
@Suite("RecipeReader: untidy recipes")
struct CorpusTests {
  enum Spelling: CaseIterable { case documented, lower, upper, swapped }
  enum Form: CaseIterable { case bare, block, folded, map }
  enum End: String, CaseIterable {
    case unix = "\n"
    case windows = "\r\n"
  }
  enum Style: CaseIterable { case yaml, unquotedDate, json, platformRegex }

  private func key(_ name: String, _ spelling: Spelling) -> String {
    switch spelling {
    case .documented: name
    case .lower: name.lowercased()
    case .upper: name.uppercased()
    case .swapped: name.prefix(1).lowercased() + name.dropFirst()
    }
  }

  private func step(_ name: String, _ form: Form, _ spelling: Spelling) -> String {
    let step = "      " + key(name, spelling) + ":"
    switch form {
    case .bare: return step + " echo \"${NAME:-x}\"\n"
    case .block: return step + "\n        \(key("Script", spelling)): |-\n          echo \"${NAME:-x}\"\n"
    case .folded: return step + " >-\n        echo\n        \"${NAME:-x}\"\n"
    case .map:
      return step + "\n        \(key("Script", spelling)): echo \"${NAME:-x}\"\n"
        + "        \(key("RequiresPrivilege", spelling)): 'false'\n"
    }
  }

  private func yaml(_ spelling: Spelling, _ form: Form, _ style: Style) -> String {
    let date = style == .unquotedDate ? "2020-01-25" : "'2020-01-25'"
    return """
      \(key("RecipeFormatVersion", spelling)): \(date)
      \(key("ComponentName", spelling)): com.example.untidy
      \(key("ComponentVersion", spelling)): 1.0.0
      \(key("ComponentDependencies", spelling)):
        aws.greengrass.Nucleus:
          \(key("VersionRequirement", spelling)): '>= 2.0.3'
          \(key("DependencyType", spelling)): soft
      \(key("Manifests", spelling)):
        - \(key("Platform", spelling)):
            os: \(style == .platformRegex ? "/linux/" : "linux")
          \(key("Artifacts", spelling)):
            - \(key("Uri", spelling)): s3://BUCKET/app.zip
              \(key("Unarchive", spelling)): zip
          \(key("Lifecycle", spelling)):

      """ + step("Install", form, spelling) + step("Run", form, spelling)
  }

  private func json(_ spelling: Spelling, _ form: Form) -> String {
    let script = "\"echo \\\"${NAME:-x}\\\"\""
    func step(_ name: String) -> String {
      "\"\(key(name, spelling))\": " + (form == .bare ? script : "{ \"\(key("Script", spelling))\": \(script) }")
    }
    return """
      {
        "\(key("RecipeFormatVersion", spelling))": "2020-01-25",
        "\(key("ComponentName", spelling))": "com.example.untidy",
        "\(key("ComponentVersion", spelling))": "1.0.0",
        "\(key("ComponentDependencies", spelling))": {
          "aws.greengrass.Nucleus": {
            "\(key("VersionRequirement", spelling))": ">= 2.0.3", "\(key("DependencyType", spelling))": "SOFT" } },
        "\(key("Manifests", spelling))": [{
          "\(key("Platform", spelling))": { "os": "linux" },
          "\(key("Artifacts", spelling))": [{
            "\(key("Uri", spelling))": "s3://BUCKET/app.zip", "\(key("Unarchive", spelling))": "ZIP" }],
          "\(key("Lifecycle", spelling))": { \(step("Install")), \(step("Run")) }
        }]
      }

      """
  }

  @Test("128 ways to write one recipe")
  func untidy() throws {
    var count = 0
    for spelling in Spelling.allCases {
      for form in Form.allCases {
        for end in End.allCases {
          for style in Style.allCases {
            let text = style == .json ? json(spelling, form) : yaml(spelling, form, style)
            let recipe = try sound(
              text.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: end.rawValue))
            try check(recipe, "\(spelling) \(form) \(end) \(style)")
            count += 1
          }
        }
      }
    }
    #expect(count == 128)
  }

  private func check(_ recipe: Recipe, _ way: String) throws {
    #expect(recipe.name == "com.example.untidy" && recipe.version == Version(1, 0, 0), "\(way)")
    let dependency = try #require(recipe.dependencies["aws.greengrass.Nucleus"], "\(way)")
    #expect(dependency.kind == .soft && dependency.requirement.contains(Version(2, 5, 0)), "\(way)")
    #expect(!dependency.requirement.contains(Version(2, 0, 2)), "\(way)")
    let manifest = try #require(recipe.manifests.first, "\(way)")
    #expect(manifest.artifacts.map(\.unarchive) == [.zip], "\(way)")
    for name in [LifecycleStep.install, .run] {
      let step = try #require(manifest.lifecycle.steps[name], "\(way)")
      #expect(step.script == "echo \"${NAME:-x}\"" && !step.requiresPrivilege, "\(way)")
    }
  }
}
