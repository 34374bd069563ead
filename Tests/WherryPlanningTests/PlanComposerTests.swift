import Testing
import WherryJSON
import WherryModel
import WherryPlanning

func deployed(_ range: String, reset: [String] = [], merge: JSON? = nil) -> DeployedComponent {
  guard let requirement = VersionRequirement(range) else { preconditionFailure("\(range) is not a range") }
  return DeployedComponent(requirement: requirement, reset: reset, merge: merge)
}

func deployment(
  _ id: Int64, _ components: [ComponentName: DeployedComponent], apply: ApplyPolicy = ApplyPolicy()
) -> DeploymentRoots {
  DeploymentRoots(
    deployment: DeploymentID(id), components: components, apply: apply, source: "group kiosks, deployment \(id)")
}

@Suite("PlanComposer")
struct PlanComposerTests {
  private func refusal(_ roots: [DeploymentRoots], _ recipes: [Recipe]) -> String {
    let entries = recipes.enumerated().map { CatalogEntry(recipe: $1, digest: digest($0)) }
    do throws(PlanningFailure) {
      let plan = try PlanComposer.compose(
        roots: roots, catalog: Catalog(entries: entries), platform: linux,
        images: [
          "image": PlannedImage(
            reference: "image", registry: "https://r", repository: "i", manifest: digest(1),
            layers: [PlannedLayer(digest: digest(2), size: 1, compression: .gzip, diffID: digest(3))])
        ])
      return "a plan of \(plan.components.count)"
    } catch {
      return error.description
    }
  }

  private func recipe(_ name: ComponentName, _ change: (inout Manifest) -> Void) -> Recipe {
    var recipe = Recipe(name: name, version: Version(1, 0, 0))
    var manifest = Manifest()
    change(&manifest)
    recipe.manifests = [manifest]
    return recipe
  }

  @Test("versions that do not fit together")
  func resolution() {
    #expect(
      refusal([deployment(3, ["a": deployed("^2")])], [recipe("a") { _ in }])
        == "group kiosks, deployment 3 wants a ^2; a is published as 1.0.0; "
        + "change one of these requirements, or publish a version that fits")
  }

  @Test("an artifact that was not published with its file, and an image that is listed as one")
  func artifacts() {
    #expect(
      refusal([deployment(1, ["a": deployed("*")])], [recipe("a") { $0.artifacts = [Artifact(uri: "wherry:x")] }])
        == "the artifact wherry:x of a 1.0.0 has no digest and size; publish it with its file")
    #expect(
      refusal([deployment(1, ["a": deployed("*")])], [recipe("a") { $0.artifacts = [Artifact(uri: "docker:x")] }])
        == "the image x of a 1.0.0 was not pinned to a digest")
    let pinned = recipe("a") { $0.artifacts = [Artifact(uri: "docker:image"), Artifact(uri: "oci://image")] }
    #expect(refusal([deployment(1, ["a": deployed("*")])], [pinned]) == "a plan of 1")
  }

  @Test("an image that was not pinned")
  func image() {
    #expect(
      refusal([deployment(1, ["a": deployed("*")])], [recipe("a") { $0.container = ContainerSpec(image: "other") }])
        == "the image other of a 1.0.0 was not pinned to a digest")
  }

  @Test("two components that publish one port")
  func ports() {
    let recipes = (["a", "b"] as [ComponentName]).map { name in
      recipe(name) {
        $0.container = ContainerSpec(image: "image")
        $0.container?.ports = [PublishedPort(host: 8080, container: 80)]
      }
    }
    #expect(
      refusal([deployment(1, ["a": deployed("*"), "b": deployed("*")])], recipes)
        == "a and b both publish port 8080/tcp of the device; change the port of one of them")
    #expect(refusal([deployment(1, ["a": deployed("*")])], recipes) == "a plan of 1")
  }

  @Test("configuration updates of the wrong shape")
  func updates() {
    let recipes = [recipe("a") { _ in }]
    #expect(
      refusal([deployment(1, ["a": deployed("*", merge: [1])])], recipes)
        == "group kiosks, deployment 1: the configuration to merge into a is not a map; write `{ key: value }`")
    #expect(
      refusal([deployment(1, ["a": deployed("*", reset: ["key"])])], recipes)
        == "group kiosks, deployment 1: a cannot reset \"key\"; write a JSON pointer such as /key")
  }

  @Test("random catalogues: every plan is sound, starts in order and holds exactly what was resolved")
  func soundness() throws {
    var random = Seeded(99)
    var composed = 0
    for _ in 0..<300 {
      let names = (0..<8).map { "c\($0)" }
      var lines: [String] = []
      for (index, name) in names.enumerated() {
        for version in ["1.0.0", "2.0.0"] {
          let others = names[..<index].filter { _ in random.below(3) == 0 }
          lines.append("\(name) \(version)" + (others.isEmpty ? "" : ": " + others.joined(separator: ", ")))
        }
      }
      let catalog = try catalog(lines.sorted { _, _ in random.below(2) == 0 })
      let wanted = names.filter { _ in random.below(3) == 0 }
      let roots = wanted.map {
        deployment(Int64(1 + random.below(1_000_000)), [ComponentName(trusted: $0): deployed("*")])
      }
      guard Set(roots.map(\.deployment)).count == roots.count else { continue }
      let plan = try PlanComposer.compose(roots: roots, catalog: catalog, platform: linux, images: [:])
      #expect(PlanChecker.problems(in: plan) == [])
      var started: Set<ComponentName> = []
      for component in plan.components {
        #expect(started.isSuperset(of: component.dependencies.keys))
        #expect(component.version == Version(2, 0, 0))
        started.insert(component.name)
      }
      #expect(started.isSuperset(of: wanted.map { ComponentName(trusted: $0) }))
      composed += 1
    }
    #expect(composed > 250)
  }
}
