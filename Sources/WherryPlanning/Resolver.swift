import WherryModel

/// That somebody wants a component.
package struct RootRequirement: Hashable, Sendable {
  package var component: ComponentName
  package var requirement: VersionRequirement
  /// Who, for people: `group kiosks, deployment 4`.
  package var source: String
  package init(component: ComponentName, requirement: VersionRequirement, source: String) {
    self.component = component
    self.requirement = requirement
    self.source = source
  }
}

/// Why no set of versions satisfies everybody, as the chain of who wants what.
package struct ResolutionFailure: Error, Hashable, Sendable, CustomStringConvertible {
  package var lines: [String]
  package init(lines: [String]) { self.lines = lines }
  package var description: String { lines.joined(separator: "; ") }
}

/// Chooses one version of every component that is wanted, directly or through dependencies: the newest that satisfies
/// everybody, found by depth-first search in the order of names, so equal inputs give equal answers.
package enum Resolver {
  /// Choices tried at most; beyond that the catalogue is pathological and the search is given up with a sentence.
  static let stepsMaximum = 200_000

  package static func resolve(
    roots: [RootRequirement], catalog: Catalog, platform: Platform
  ) throws(ResolutionFailure) -> [ComponentName: Version] {
    var search = ResolutionSearch(catalog: catalog, platform: platform)
    for root in roots.sorted(by: { ($0.component, $0.source) < ($1.component, $1.source) }) {
      search.demands[root.component, default: []].append(
        Demand(requirement: root.requirement, source: root.source))
    }
    guard search.solve() else { throw search.explanation() }
    if let cycle = DependencyOrder.cycle(in: search.chosen, catalog: catalog) {
      let path = cycle.map(\.rawValue).joined(separator: " → ")
      throw ResolutionFailure(lines: [
        "these components depend on each other in a circle: \(path); remove one of the dependencies"
      ])
    }
    return search.chosen
  }
}

struct Demand: Hashable {
  var requirement: VersionRequirement
  var source: String
}

struct ResolutionSearch {
  let catalog: Catalog
  let platform: Platform
  var demands: [ComponentName: [Demand]] = [:]
  var chosen: [ComponentName: Version] = [:]
  private var steps = 0
  /// The dead end that was met with the most components chosen: it names the real conflict best.
  private var deadEnd: (depth: Int, component: ComponentName, demands: [Demand])?

  init(catalog: Catalog, platform: Platform) {
    self.catalog = catalog
    self.platform = platform
  }

  mutating func solve() -> Bool {
    guard let next = demands.keys.filter({ chosen[$0] == nil }).min() else { return true }
    let wanted = demands[next] ?? []
    var isPossible = false
    for version in candidates(next, wanted) {
      steps += 1
      guard steps <= Resolver.stepsMaximum else { break }
      isPossible = true
      let saved = demands
      chosen[next] = version
      if demandDependencies(of: next, version), solve() { return true }
      demands = saved
      chosen[next] = nil
    }
    if !isPossible { note(next, wanted) }
    return false
  }

  private func candidates(_ name: ComponentName, _ wanted: [Demand]) -> [Version] {
    catalog.versions(of: name).filter { version in
      guard wanted.allSatisfy({ $0.requirement.contains(version) }), let recipe = catalog[name, version] else {
        return false
      }
      return ManifestSelector.select(recipe, for: platform) != nil
    }
  }

  /// False when a version already chosen does not satisfy one of the dependencies.
  private mutating func demandDependencies(of name: ComponentName, _ version: Version) -> Bool {
    guard let recipe = catalog[name, version] else { return false }
    for (dependency, wanted) in recipe.dependencies.sorted(by: { $0.key < $1.key }) {
      let demand = Demand(requirement: wanted.requirement, source: "\(name) \(version)")
      demands[dependency, default: []].append(demand)
      if let already = chosen[dependency], !wanted.requirement.contains(already) {
        note(dependency, demands[dependency] ?? [])
        return false
      }
    }
    return true
  }

  private mutating func note(_ component: ComponentName, _ demands: [Demand]) {
    if let deadEnd, deadEnd.depth >= chosen.count { return }
    deadEnd = (chosen.count, component, demands)
  }

  func explanation() -> ResolutionFailure {
    if steps > Resolver.stepsMaximum {
      return ResolutionFailure(lines: [
        "no fitting set of versions was found among \(Resolver.stepsMaximum) that were tried; name exact versions"
      ])
    }
    guard let deadEnd else { return ResolutionFailure(lines: ["nothing fits"]) }
    return ResolutionFailure(lines: lines(deadEnd.component, minimal(deadEnd.demands, of: deadEnd.component)))
  }

  private func lines(_ component: ComponentName, _ wanted: [Demand]) -> [String] {
    var lines = wanted.map { "\($0.source) wants \(component) \($0.requirement)" }
    let versions = catalog.versions(of: component)
    if versions.isEmpty {
      lines.append("\(component) is not published; publish it with `wherry component publish`")
      return lines
    }
    let fitting = versions.filter { version in wanted.allSatisfy { $0.requirement.contains(version) } }
    if fitting.isEmpty {
      let known = versions.prefix(10).map(\.description).joined(separator: ", ")
      lines.append("no published version satisfies that (published: \(known))")
    } else {
      let attributes = platform.attributes.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
      lines.append(
        "\(component) \(fitting.map(\.description).joined(separator: ", ")) has no manifest for the platform "
          + attributes.joined(separator: ", "))
    }
    return lines
  }

  /// The fewest demands that cannot be met together.
  private func minimal(_ wanted: [Demand], of component: ComponentName) -> [Demand] {
    var kept = wanted
    for demand in wanted {
      let without = kept.filter { $0 != demand }
      guard !without.isEmpty, candidates(component, without).isEmpty else { continue }
      kept = without
    }
    return kept
  }
}
