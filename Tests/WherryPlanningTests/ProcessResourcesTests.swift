import Testing
import WherryJSON
import WherryModel
import WherryPlanning
import WherryWire

/// Limits of process components, from the recipe into the plan that the device reads.
@Suite("Resources of process components")
struct ProcessResourcesTests {
  private static let limits = Resources(cpuMillis: 250, memoryBytes: 64 << 20, pids: 100)

  private func recipe(_ resources: Resources) -> Recipe {
    var recipe = Recipe(name: "com.example.worker", version: Version(1, 0, 0))
    var manifest = Manifest()
    manifest.lifecycle.steps[.run] = Step(script: "exec work")
    manifest.resources = resources
    recipe.manifests = [manifest]
    return recipe
  }

  private func plan(_ recipe: Recipe) throws -> Plan {
    try PlanComposer.compose(
      roots: [deployment(1, [recipe.name: deployed("*")])],
      catalog: Catalog(entries: [CatalogEntry(recipe: recipe, digest: digest(1))]), platform: linux, images: [:])
  }

  @Test("reach the plan and come back from its text")
  func carried() throws {
    let plan = try plan(recipe(Self.limits))
    #expect(plan.components.map(\.resources) == [Self.limits])
    #expect(PlanChecker.problems(in: plan) == [])
    #expect(
      plan.components[0].json["resources"] == ["cpuMillis": 250, "memoryBytes": 67_108_864, "pids": 100])
    #expect(try Plan(JSONCursor(JSON(parsing: plan.canonical))) == plan)
    let published = recipe(Self.limits)
    #expect(try Recipe(JSONCursor(JSON(parsing: published.json.canonical))) == published)
  }

  @Test("leave digests alone where nothing is said")
  func absent() throws {
    let plain = recipe(Resources())
    #expect(try !plan(plain).canonical.contains("resources"))
    #expect(!plain.json.canonical.contains("resources"))
  }
}
