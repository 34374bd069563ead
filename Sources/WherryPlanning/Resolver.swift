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

/// Why no set of versions satisfies everybody: the shortest chain of who wants what, a sentence for each link.
package struct ResolutionFailure: Error, Hashable, Sendable, CustomStringConvertible {
  package var lines: [String]
  package init(lines: [String]) { self.lines = lines }
  package var description: String { lines.joined(separator: "; ") }
}

/// Chooses one version of every component that is wanted, directly or through dependencies: the newest that lets
/// everybody be satisfied, decided for wanted components first, by name. Equal inputs give equal answers. SOFT
/// dependencies are resolved as HARD ones are; they differ on the device only. `isLocal` = on a device, whose recipes
/// lie in a directory.
package enum Resolver {
  package static func resolve(
    roots: [RootRequirement], catalog: Catalog, platform: Platform, isLocal: Bool = false
  ) throws(ResolutionFailure) -> [ComponentName: Version] {
    var search = ResolutionSearch(
      problem: ResolutionProblem(roots: roots, catalog: catalog, platform: platform), catalog: catalog)
    switch search.outcome(without: []) {
    case .solved(let solution): return search.versions(solution)
    case .impossible(let facts):
      var explanation = ResolutionExplanation(search: search, platform: platform, isLocal: isLocal)
      throw explanation.failure(of: facts)
    case .exhausted:
      throw ResolutionFailure(lines: [
        "these components have too many combinations of versions to find one that fits; name exact versions"
      ])
    }
  }
}

/// A problem, and the circles of dependencies that were met in it: each is forbidden and the search goes on.
struct ResolutionSearch {
  private(set) var problem: ResolutionProblem
  let catalog: Catalog
  /// So many circles are no accident.
  private static let circlesMaximum = 1_000
  /// Over all questions that are put to this search.
  private(set) var work = 0

  init(problem: ResolutionProblem, catalog: Catalog) {
    self.problem = problem
    self.catalog = catalog
  }

  /// Of all facts but some.
  mutating func outcome(
    without excluded: Set<Int>, seekingCircles isCircleSought: Bool = true
  ) -> ResolutionSolver.Outcome {
    while true {
      var solver = ResolutionSolver(
        widths: problem.components.map(\.versions.count),
        facts: problem.facts.indices.filter { !excluded.contains($0) }.map { ($0, problem.facts[$0].terms) },
        workAllowed: ResolutionSolver.workMaximum - work)
      let outcome = solver.solve()
      work += solver.work
      guard case .solved(let solution) = outcome,
        isCircleSought, let circle = DependencyOrder.cycle(in: versions(solution), catalog: catalog)
      else { return outcome }
      guard problem.circles < Self.circlesMaximum else { return .exhausted }
      problem.forbid(circle: circle, in: catalog)
    }
  }

  func versions(_ solution: [Int: Int]) -> [ComponentName: Version] {
    var chosen: [ComponentName: Version] = [:]
    for (component, version) in solution {
      chosen[problem.components[component].name] = problem.components[component].versions[version]
    }
    return chosen
  }
}
