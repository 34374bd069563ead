import WherryJSON
import WherryModel

/// What one deployment contributes to a device.
package struct DeploymentRoots: Hashable, Sendable {
  package var deployment: DeploymentID
  package var components: [ComponentName: DeployedComponent]
  package var apply: ApplyPolicy
  /// For people: `group kiosks, deployment 4`.
  package var source: String
  package init(
    deployment: DeploymentID, components: [ComponentName: DeployedComponent], apply: ApplyPolicy, source: String
  ) {
    self.deployment = deployment
    self.components = components
    self.apply = apply
    self.source = source
  }
}

package enum PlanningFailure: Error, Hashable, Sendable, CustomStringConvertible {
  case resolution(ResolutionFailure)
  /// One sentence.
  case impossible(String)

  package var description: String {
    switch self {
    case .resolution(let failure): failure.description
    case .impossible(let sentence): sentence
    }
  }
}

/// Composes what a device shall run out of all deployments that reach it. The plan leaves nothing to choose.
package enum PlanComposer {
  package static func compose(
    roots: [DeploymentRoots], catalog: Catalog, platform: Platform, images: [String: PlannedImage]
  ) throws(PlanningFailure) -> Plan {
    let roots = roots.sorted { $0.deployment < $1.deployment }
    var requirements: [RootRequirement] = []
    for root in roots {
      for (component, deployed) in root.components {
        requirements.append(
          RootRequirement(component: component, requirement: deployed.requirement, source: root.source))
      }
    }
    let versions: [ComponentName: Version]
    do {
      versions = try Resolver.resolve(roots: requirements, catalog: catalog, platform: platform)
    } catch {
      throw .resolution(error)
    }
    var planned: [ComponentName: PlannedComponent] = [:]
    for (name, version) in versions {
      planned[name] = try component(name, version, roots, catalog: catalog, platform: platform, images: images)
    }
    let order = DependencyOrder.sorted(planned.mapValues { Set($0.dependencies.keys) }) ?? []
    return Plan(
      deployments: roots.map(\.deployment), components: order.compactMap { planned[$0] },
      // The newest deployment decides how the change is applied.
      policy: roots.last?.apply ?? ApplyPolicy())
  }

  private static func component(
    _ name: ComponentName, _ version: Version, _ roots: [DeploymentRoots], catalog: Catalog, platform: Platform,
    images: [String: PlannedImage]
  ) throws(PlanningFailure) -> PlannedComponent {
    guard let entry = catalog.entry(name, version), let manifest = ManifestSelector.select(entry.recipe, for: platform)
    else { throw .impossible("\(name) \(version) is not published or does not fit the platform") }
    var planned = PlannedComponent(name: name, version: version, recipe: entry.digest)
    planned.dependencies = entry.recipe.dependencies.mapValues(\.kind)
    planned.lifecycle = lifecycle(of: manifest, in: entry.recipe)
    planned.artifacts = try artifacts(of: manifest, name, version)
    if let container = manifest.container {
      guard let image = images[container.image] else {
        throw .impossible("the image \(container.image) of \(name) \(version) was not pinned to a digest")
      }
      planned.container = container
      planned.image = image
    }
    planned.configuration.defaults = entry.recipe.defaultConfiguration
    for root in roots {
      guard let deployed = root.components[name] else { continue }
      planned.configuration.reset += deployed.reset
      planned.configuration.merge = merged(planned.configuration.merge, deployed.merge)
    }
    return planned
  }

  /// The manifest's own steps, or the recipe's where it has none; environment of both, the manifest's first.
  private static func lifecycle(of manifest: Manifest, in recipe: Recipe) -> Lifecycle {
    var lifecycle = manifest.lifecycle.steps.isEmpty ? recipe.lifecycle : manifest.lifecycle
    lifecycle.setenv = recipe.lifecycle.setenv.merging(manifest.lifecycle.setenv) { $1 }
    return lifecycle
  }

  private static func artifacts(
    of manifest: Manifest, _ name: ComponentName, _ version: Version
  ) throws(PlanningFailure) -> [PlannedArtifact] {
    var planned: [PlannedArtifact] = []
    for artifact in manifest.artifacts {
      guard let digest = artifact.digest, let size = artifact.size else {
        throw .impossible("the artifact \(artifact.uri) of \(name) \(version) has no digest; publish it with its file")
      }
      var entry = PlannedArtifact(
        fileName: artifact.fileName, digest: digest, size: size,
        source: artifact.uri.hasPrefix("https:") ? artifact.uri : "wherry:")
      entry.unarchive = artifact.unarchive
      entry.read = artifact.read
      entry.execute = artifact.execute
      planned.append(entry)
    }
    return planned
  }

  /// Several deployments may configure one component: objects are merged, the newer deployment's values win.
  private static func merged(_ older: JSON?, _ newer: JSON?) -> JSON? {
    guard let newer else { return older }
    guard case .object(var members) = older, case .object(let changes) = newer else { return newer }
    for (key, value) in changes { members[key] = merged(members[key], value) }
    return .object(members)
  }
}
