import Testing
import WherryModel
import WherryRecipe

/// Limits of process components: an extension of the Greengrass format, beside the Lifecycle.
@Suite("RecipeReader: Resources")
struct ResourcesTests {
  @Test("beside a Lifecycle, keys in any case")
  func limits() throws {
    let recipe = try sound(
      manifest("Lifecycle:\n  Run: exec work\nresources: { cpus: 0.5, MEMORY: 64MiB, Pids: 100 }"))
    #expect(recipe.manifests[0].resources == Resources(cpuMillis: 500, memoryBytes: 64 << 20, pids: 100))
  }

  @Test("beside a recipe-wide Lifecycle, and none where nothing is said")
  func recipeWide() throws {
    let recipe = try sound(
      head + "Lifecycle: { Run: exec work }\nManifests:\n"
        + "  - Platform: { os: linux }\n    Resources: { Pids: 7 }\n  - Platform: { os: darwin }\n")
    #expect(recipe.manifests.map(\.resources) == [Resources(pids: 7), Resources()])
    #expect(recipe.manifests[0].lifecycle.steps[.run]?.script == "exec work")
  }

  @Test("what is wrong is said with its place")
  func wrong() {
    #expect(
      problems(manifest("Resources: { Cpus: many }")) == [
        "line 6, column 24 (/Manifests/0/Resources/Cpus): \"many\" is not a number of CPUs; write a number such as 0.5 "
          + "or 2"
      ])
    #expect(
      problems(manifest("Resources: { Pid: 5 }")) == [
        "line 6, column 18 (/Manifests/0/Resources/Pid): unknown key \"Pid\" in Resources; did you mean Pids?"
      ])
    #expect(
      problems(manifest("Container: { Image: a:1 }\nResources: { Pids: 5 }")) == [
        "line 7, column 16 (/Manifests/0/Resources): a manifest with a Container takes its limits from the Container; "
          + "move Resources into Container"
      ])
  }
}
