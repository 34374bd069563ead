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
    try checkUpdates(roots)
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
    guard let order = DependencyOrder.sorted(planned.mapValues { Set($0.dependencies.keys) }) else {
      preconditionFailure("the resolver let a circle of dependencies through")
    }
    try checkPorts(order.compactMap { planned[$0] })
    return Plan(
      deployments: roots.map(\.deployment), components: order.compactMap { planned[$0] },
      // The newest deployment decides how the change is applied.
      policy: roots.last?.apply ?? ApplyPolicy())
  }

  /// What operators write into deployments and no single recipe can show to be wrong.
  private static func checkUpdates(_ roots: [DeploymentRoots]) throws(PlanningFailure) {
    for root in roots {
      for (name, deployed) in root.components.sorted(by: { $0.key < $1.key }) {
        if let merge = deployed.merge, merge.objectValue == nil {
          throw .impossible(
            "\(root.source): the configuration to merge into \(name) is not a map; write `{ key: value }`")
        }
        for pointer in deployed.reset where !pointer.isEmpty && !pointer.hasPrefix("/") {
          throw .impossible("\(root.source): \(name) cannot reset \"\(pointer)\"; write a JSON pointer such as /key")
        }
      }
    }
  }

  static func checkPorts(_ components: [PlannedComponent]) throws(PlanningFailure) {
    var owners: [String: ComponentName] = [:]
    for component in components {
      for port in component.container?.ports ?? [] {
        let number = "\(port.host)/\(port.transport.rawValue)"
        if let owner = owners.updateValue(component.name, forKey: number) {
          throw .impossible(
            "\(owner) and \(component.name) both publish port \(number) of the device; change the port of one of them")
        }
      }
    }
  }

  static func component(
    _ name: ComponentName, _ version: Version, _ roots: [DeploymentRoots], catalog: Catalog, platform: Platform,
    images: [String: PlannedImage]
  ) throws(PlanningFailure) -> PlannedComponent {
    guard let entry = catalog.entry(name, version), let manifest = ManifestSelector.select(entry.recipe, for: platform)
    else { throw .impossible("\(name) \(version) is not published or does not fit the platform") }
    var planned = PlannedComponent(name: name, version: version, recipe: entry.digest)
    planned.dependencies = entry.recipe.dependencies.mapValues(\.kind)
    planned.artifacts = try artifacts(of: manifest, name, version)
    planned.images = try imageArtifacts(of: manifest, name, version, images)
    if manifest.container == nil {
      planned.lifecycle = manifest.lifecycle.isEmpty ? entry.recipe.lifecycle : manifest.lifecycle
      planned.resources = manifest.resources
    }
    if let container = manifest.container {
      guard let image = images[container.image] else { throw notPinned(container.image, name, version) }
      planned.container = container
      planned.image = image
    }
    planned.configuration = configuration(of: name, entry.recipe, roots)
    return planned
  }

  /// Several deployments may configure one component: the older is applied first, then the newer on top of it. A
  /// RESET of the newer therefore also takes back what the older merges.
  private static func configuration(
    of name: ComponentName, _ recipe: Recipe, _ roots: [DeploymentRoots]
  ) -> ConfigurationUpdate {
    var update = ConfigurationUpdate()
    update.defaults = recipe.defaultConfiguration
    for root in roots {
      guard let deployed = root.components[name] else { continue }
      var next = ConfigurationUpdate()
      next.reset = deployed.reset
      next.merge = deployed.merge
      update.add(next)
    }
    return update
  }

  private static func imageArtifacts(
    of manifest: Manifest, _ name: ComponentName, _ version: Version, _ images: [String: PlannedImage]
  ) throws(PlanningFailure) -> [PlannedImage] {
    var planned: [PlannedImage] = []
    for artifact in manifest.artifacts {
      guard let reference = artifact.image, !planned.contains(where: { $0.reference == reference }) else { continue }
      guard let image = images[reference] else { throw notPinned(reference, name, version) }
      planned.append(image)
    }
    return planned
  }

  private static func notPinned(_ image: String, _ name: ComponentName, _ version: Version) -> PlanningFailure {
    .impossible("the image \(image) of \(name) \(version) was not pinned to a digest")
  }

  private static func artifacts(
    of manifest: Manifest, _ name: ComponentName, _ version: Version
  ) throws(PlanningFailure) -> [PlannedArtifact] {
    var planned: [PlannedArtifact] = []
    for artifact in manifest.artifacts where artifact.image == nil {
      let scheme = artifact.uri.prefix { $0 != ":" }.lowercased()
      guard let digest = artifact.digest, let size = artifact.size else {
        throw .impossible(
          "the artifact \(artifact.uri) of \(name) \(version) has no digest and size; publish it with its file"
        )
      }
      var entry = PlannedArtifact(
        fileName: artifact.fileName, digest: digest, size: size,
        source: scheme == "https" ? artifact.uri : "wherry:")
      entry.unarchive = artifact.unarchive
      entry.read = artifact.read
      entry.execute = artifact.execute
      planned.append(entry)
    }
    return planned
  }
}
