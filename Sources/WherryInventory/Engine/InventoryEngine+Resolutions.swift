import WherryDatabase
import WherryModel
import WherryPlanning

/// A deployment that is not stored yet, with what was found out for it; by platform, written as its key.
struct DeploymentDraft {
  var deployment: Deployment
  /// Of what it brings by itself, dependencies included.
  var versions: [String: [ComponentName: Version]] = [:]
  /// By reference as the recipe writes it.
  var images: [String: [String: PlannedImage]] = [:]
}

/// Versions and images are chosen when a deployment is created, and a later wave gets what the first one got: what is
/// published, or tagged anew, in the meantime changes no deployment.
extension InventoryEngine {
  // MARK: - Versions

  /// The newest that fit; nil when there are none, which the dry run explains.
  func ownVersions(of deployment: Deployment, on platform: Platform) -> [ComponentName: Version]? {
    // Where only build metadata tells two versions apart, the requirement's text is not enough.
    let written = deployment.components.compactMapValues(\.requirement.exactVersion)
    return try? Resolver.resolve(
      roots: deployment.requirements, catalog: catalog.preferring([written]), platform: platform)
  }

  /// What was chosen before for these deployments, to be chosen again wherever it fits: for all of them together, for
  /// each alone, newest first, and then on other platforms.
  func choices(
    of deployments: [DeploymentID], on platform: Platform, with draft: DeploymentDraft?
  ) throws -> [[ComponentName: Version]] {
    var here: [[ComponentName: Version]] = []
    var elsewhere: [[ComponentName: Version]] = []
    if let versions = draft?.versions[platform.key] { here.append(versions) }
    for set in [deployments] + deployments.reversed().map({ [$0] }) {
      let known = try database.resolutions(of: set)
      for (key, versions) in known.sorted(by: { $0.key < $1.key }) {
        if key == platform.key { here.append(versions) } else { elsewhere.append(versions) }
      }
    }
    return here + elsewhere
  }

  /// Stores what was chosen for a deployment that has its number now.
  func keep(
    _ draft: DeploymentDraft, _ resolutions: [DeviceKind: [ComponentName: Version]], as id: DeploymentID
  ) throws {
    for (platform, images) in draft.images {
      for (reference, image) in images.sorted(by: { $0.key < $1.key }) {
        try database.pin(image, reference: reference, deployment: id, platform: platform)
      }
    }
    for (platform, versions) in draft.versions { try database.addResolution(versions, of: [id], platform: platform) }
    for (kind, versions) in resolutions {
      try database.addResolution(versions, of: kind.others + [id], platform: kind.platform.key)
    }
  }

  // MARK: - Images

  /// Every image that the draft brings to each kind of device, resolved to digests now: the tag may move later, the
  /// deployment does not.
  func pinImages(
    of draft: DeploymentDraft, kinds: Set<DeviceKind>
  ) async throws -> [String: [String: PlannedImage]] {
    var wanted: [Platform: Set<String>] = [:]
    for kind in kinds { wanted[kind.platform, default: []].formUnion(try imageReferences(of: draft, for: kind)) }
    var pins: [String: [String: PlannedImage]] = [:]
    for (platform, references) in wanted {
      for reference in references.sorted() {
        do {
          pins[platform.key, default: [:]][reference] = try await pinned(reference, platform: platform)
        } catch {
          throw Self.notPinned(reference, error)
        }
      }
    }
    return pins
  }

  private static func notPinned(_ reference: String, _ error: any Error) -> Refusal {
    if let refusal = error as? Refusal { return refusal }
    if let failure = error as? Failure {
      return Refusal(502, failure.code, failure.message, remedy: failure.remedy)
    }
    return Refusal(
      502, "image.unresolved", "the image \(reference) could not be resolved: \(error)",
      remedy: "see that its registry is up and has it")
  }

  /// Images of the components that this deployment brings, dependencies included, and of those that its presence
  /// changes in the other deployments of the device, as far as these have not pinned them.
  private func imageReferences(of draft: DeploymentDraft, for kind: DeviceKind) throws -> Set<String> {
    let own = references(of: draft.versions[kind.platform.key] ?? [:], on: kind.platform)
    var roots = draft.deployment.requirements
    var pinned: Set<String> = []
    for id in kind.others {
      roots += try rollout(id)?.record.deployment.requirements ?? []
      pinned.formUnion(try database.images(of: id, platform: kind.platform.key).keys)
    }
    let choices = try choices(of: kind.others, on: kind.platform, with: draft)
    // A combination that cannot be resolved is refused with its reasons when the plan is tried.
    let all = try? Resolver.resolve(
      roots: roots, catalog: catalog.preferring(choices), platform: kind.platform)
    return own.union(references(of: all ?? [:], on: kind.platform).subtracting(pinned))
  }

  private func references(of versions: [ComponentName: Version], on platform: Platform) -> Set<String> {
    var references: Set<String> = []
    for (name, version) in versions {
      guard let recipe = catalog[name, version], let manifest = ManifestSelector.select(recipe, for: platform)
      else { continue }
      references.formUnion(manifest.images)
    }
    return references
  }

  /// For a device of a new platform that joins a target: chooses and pins what its deployment lacks there. Failing is
  /// no reason to refuse the device; the rollout then says what is missing.
  func pinImages(joining target: DeploymentTarget, platform: Platform) async {
    do {
      guard let record = try currentDeployment(of: target) else { return }
      let id = record.deployment.id
      let versions = try joiningVersions(of: record.deployment, on: platform)
      let known = try database.images(of: id, platform: platform.key)
      for reference in references(of: versions, on: platform).sorted() where known[reference] == nil {
        let image = try await pinned(reference, platform: platform)
        try commit { try database.pin(image, reference: reference, deployment: id, platform: platform.key) }
      }
    } catch {
      environment.note("the deployment to \(target) could not be pinned for a new platform: \(error)")
    }
  }

  /// What the deployment brings to the platform: chosen once, like what it brings to the others where that fits.
  private func joiningVersions(of deployment: Deployment, on platform: Platform) throws -> [ComponentName: Version] {
    if let known = try database.resolutions(of: [deployment.id])[platform.key] { return known }
    let choices = try choices(of: [deployment.id], on: platform, with: nil)
    let versions = try Resolver.resolve(
      roots: deployment.requirements, catalog: catalog.preferring(choices), platform: platform)
    try commit { try database.addResolution(versions, of: [deployment.id], platform: platform.key) }
    return versions
  }
}

extension Deployment {
  fileprivate var requirements: [RootRequirement] {
    components.map {
      RootRequirement(component: $0.key, requirement: $0.value.requirement, source: roots.source)
    }
  }
}
