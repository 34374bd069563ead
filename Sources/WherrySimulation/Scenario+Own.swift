import WherryModel
import WherryPlanning
import WherryRollout

/// What a person brings to a rehearsal: the policy is held against the fleet, and recipes become the plan.
extension Scenario {
  /// Why the policy cannot mean what it says for this fleet, one sentence each.
  package var problems: [String] {
    let members = (0..<devices).map { index in
      RolloutDevice(
        name: DeviceName(trusted: "kiosk-\(index + 1)"), isOnline: true, sites: sites(of: index), bytes: downloadBytes)
    }
    return policy.problems(in: PolicyContext(target: "the rehearsal", settleMilliseconds: 2_000, devices: members))
      .map { "/policy/\($0.place): \($0.message); \($0.remedy)" }
  }

  func sites(of device: Int) -> [String?] {
    policy.disruption.map { budget in labels[budget.label].map { "\(budget.label)-\(device / max(1, $0) + 1)" } }
  }

  /// The newest version of each recipe is rehearsed; the others may be dependencies. What images hold is made up:
  /// nothing is asked of any registry.
  package mutating func take(_ recipes: [Recipe]) throws(PlanningFailure) {
    let platform = Platform(["os": "linux", "architecture": "amd64"])
    var wanted: [ComponentName: DeployedComponent] = [:]
    var images: [String: PlannedImage] = [:]
    for recipe in recipes {
      if let known = wanted[recipe.name]?.requirement.exactVersion, known >= recipe.version { continue }
      wanted[recipe.name] = DeployedComponent(requirement: VersionRequirement(exactly: recipe.version))
    }
    for recipe in recipes {
      guard let manifest = ManifestSelector.select(recipe, for: platform) else { continue }
      for reference in manifest.images { images[reference] = Self.madeUpImage(reference) }
    }
    var apply = ApplyPolicy()
    apply.timeoutSeconds = 120
    let roots = DeploymentRoots(
      deployment: DeploymentID(1), components: wanted, apply: apply, source: "the recipes of the rehearsal")
    let entries = recipes.map { CatalogEntry(recipe: $0, digest: SimulatedDigest.of("\($0.name) \($0.version)")) }
    plan = try PlanComposer.compose(
      roots: [roots], catalog: Catalog(entries: entries), platform: platform, images: images)
  }

  private static func madeUpImage(_ reference: String) -> PlannedImage {
    let layer = SimulatedDigest.of("layer of \(reference)")
    return PlannedImage(
      reference: reference, registry: "https://registry.example.com", repository: "rehearsal",
      manifest: SimulatedDigest.of("manifest of \(reference)"),
      layers: [PlannedLayer(digest: layer, size: 1_000, compression: .none, diffID: layer)])
  }
}
