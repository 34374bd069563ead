import WherryJSON
import WherryModel

/// What somebody at the device asks for.
package struct LocalRequest: Sendable {
  /// Recipes at hand, newer than what the device knows under the same version.
  package var recipes: [CatalogEntry] = []
  /// Artifacts of theirs that lie on this device; others are fetched from where the recipe says.
  package var files: Set<Digest> = []
  package var merge: [ComponentName: VersionRequirement] = [:]
  package var remove: Set<ComponentName> = []
  package var configurations: [ComponentName: ConfigurationUpdate] = [:]
  package init() {}
}

/// From wishes at the device to a local set with exact versions. Runs in a short-lived process: the agent only joins
/// the outcome with the service's orders (`LocalUnion`).
package enum LocalResolver {
  /// - Parameters:
  ///   - service: what the service orders at present; its versions are fixed.
  ///   - local: what was deployed on the device before.
  package static func resolve(
    _ request: LocalRequest, service: Plan?, local: LocalSet, platform: Platform
  ) throws(PlanningFailure) -> LocalSet {
    var roots = local.roots
    for name in request.remove.sorted() where roots.removeValue(forKey: name) == nil {
      throw .impossible(unknown(name, service: service, local: local))
    }
    roots.merge(request.merge) { $1 }
    let known = Known(request, service, local)
    let versions: [ComponentName: Version]
    do {
      versions = try Resolver.resolve(
        roots: requirements(roots, service), catalog: Catalog(entries: known.entries), platform: platform,
        isLocal: true)
    } catch { throw .resolution(error) }
    var result = LocalSet()
    result.roots = roots
    var waiting = roots.keys.sorted()
    while let name = waiting.popLast() {
      guard result.components[name] == nil, let version = versions[name] else { continue }
      let component = try known.component(name, version, platform: platform)
      result.components[name] = component
      waiting += component.planned.dependencies.keys.sorted()
    }
    result.configurations = try configurations(request, local, of: Set(result.components.keys))
    return result
  }

  private static func unknown(_ name: ComponentName, service: Plan?, local: LocalSet) -> String {
    if service?[name] != nil {
      return "\(name) is not deployed locally but ordered by the service; take it out of the service's deployment"
    }
    let names = local.roots.keys.sorted().map(\.rawValue).joined(separator: ", ")
    if let owner = local.components.values.first(where: { $0.planned.dependencies[name] != nil }) {
      return "\(name) was not deployed by name, \(owner.planned.name) needs it; remove one of \(names)"
    }
    return "\(name) is not deployed locally; "
      + (names.isEmpty ? "nothing is, so there is nothing to remove" : "what is: \(names)")
  }

  private static func requirements(
    _ roots: [ComponentName: VersionRequirement], _ service: Plan?
  ) -> [RootRequirement] {
    var requirements = roots.map {
      RootRequirement(component: $0.key, requirement: $0.value, source: "this deployment")
    }
    for component in service?.components ?? [] {
      requirements.append(
        RootRequirement(
          component: component.name, requirement: VersionRequirement(exactly: component.version),
          source: "the service"))
    }
    return requirements
  }

  /// What was configured before stays, as long as its component does.
  private static func configurations(
    _ request: LocalRequest, _ local: LocalSet, of names: Set<ComponentName>
  ) throws(PlanningFailure) -> [ComponentName: ConfigurationUpdate] {
    var result = local.configurations.filter { names.contains($0.key) }
    for (name, update) in request.configurations.sorted(by: { $0.key < $1.key }) {
      guard names.contains(name) else {
        throw .impossible(
          "the configuration of \(name) cannot be updated, as no local deployment leads to it; deploy it with --merge, "
            + "or configure it through the service")
      }
      result[name, default: ConfigurationUpdate()].add(update)
    }
    return result
  }

  /// Definitions that a version can come from: the service's before a recipe at hand, that before an earlier one.
  private struct Known {
    private var planned: [Key: LocalComponent] = [:]
    private let catalog: Catalog
    private let files: Set<Digest>
    let entries: [CatalogEntry]

    private struct Key: Hashable {
      var name: ComponentName
      var version: Version
    }

    init(_ request: LocalRequest, _ service: Plan?, _ local: LocalSet) {
      for component in local.components.values {
        planned[Key(name: component.planned.name, version: component.planned.version)] = component
      }
      for entry in request.recipes { planned[Key(name: entry.recipe.name, version: entry.recipe.version)] = nil }
      for component in service?.components ?? [] {
        var requirements: [ComponentName: VersionRequirement] = [:]
        for name in component.dependencies.keys {
          requirements[name] = (service?[name]?.version).map { VersionRequirement(exactly: $0) }
        }
        planned[Key(name: component.name, version: component.version)] = LocalComponent(
          planned: component, requirements: requirements)
      }
      let planned = planned
      let recipes = request.recipes.filter {
        planned[Key(name: $0.recipe.name, version: $0.recipe.version)] == nil
      }
      entries = recipes + planned.values.map(Self.entry)
      catalog = Catalog(entries: recipes)
      files = request.files
    }

    /// As much of a recipe as resolving needs.
    private static func entry(_ component: LocalComponent) -> CatalogEntry {
      var recipe = Recipe(name: component.planned.name, version: component.planned.version)
      for (name, kind) in component.planned.dependencies {
        guard let requirement = component.requirements[name] else { continue }
        recipe.dependencies[name] = Dependency(requirement: requirement, kind: kind)
      }
      return CatalogEntry(recipe: recipe, digest: component.planned.recipe)
    }

    func component(
      _ name: ComponentName, _ version: Version, platform: Platform
    ) throws(PlanningFailure) -> LocalComponent {
      if let known = planned[Key(name: name, version: version)] { return known }
      var images: [String: PlannedImage] = [:]
      for image in planned.values.compactMap(\.planned.image) { images[image.reference] = image }
      var component = try PlanComposer.component(
        name, version, [], catalog: catalog, platform: platform, images: images)
      for index in component.artifacts.indices where files.contains(component.artifacts[index].digest) {
        component.artifacts[index].source = PlannedArtifact.localSource
      }
      return LocalComponent(
        planned: component,
        requirements: catalog[name, version]?.dependencies.mapValues(\.requirement) ?? [:])
    }
  }
}
