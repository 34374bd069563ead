import WherryModel

/// From a problem without an answer to the fewest facts that make it one, in words.
struct ResolutionExplanation {
  private var search: ResolutionSearch
  private let platform: Platform
  private let isLocal: Bool
  private var problem: ResolutionProblem { search.problem }

  init(search: ResolutionSearch, platform: Platform, isLocal: Bool = false) {
    self.isLocal = isLocal
    self.search = search
    self.platform = platform
  }

  /// Leaves out one fact after the other as long as the rest is still impossible: wishes first, each against
  /// everything that is published, so that nobody is named whose wish has no part in it. Where the search's allowance
  /// of work runs out, what is left is named: still a conflict, only perhaps not the smallest.
  private mutating func minimal(_ facts: Set<Int>) -> [Int] {
    var kept = facts
    var excluded: Set<Int> = []
    for (index, fact) in problem.facts.enumerated() {
      guard case .wanted = fact.reason else { continue }
      guard case .impossible(let rest) = search.outcome(without: excluded.union([index])) else { continue }
      excluded.insert(index)
      kept = rest
    }
    for fact in kept.sorted(by: >) where kept.contains(fact) {
      let others = Set(problem.facts.indices).subtracting(kept).union([fact])
      // Circles that matter are among the facts already.
      if case .impossible(let rest) = search.outcome(without: others, seekingCircles: false) { kept = rest }
    }
    return kept.sorted()
  }

  /// `facts` cannot be together, but need not be the fewest.
  mutating func failure(of facts: Set<Int>) -> ResolutionFailure {
    let fewest = minimal(facts)
    let chain = ordered(fewest)
    var lines = chain.compactMap { sentence(problem.facts[$0], in: chain) }
    let (sentences, hasRemedy) = published(chain)
    lines += sentences
    let isCircle = chain.contains { if case .circle = problem.facts[$0].reason { true } else { false } }
    if !hasRemedy && !isCircle {
      lines.append("change one of these requirements, or \(isLocal ? "add a recipe" : "publish a version") that fits")
    }
    return ResolutionFailure(lines: lines)
  }

  /// Who is wanted first, then what that leads to.
  private func ordered(_ facts: [Int]) -> [Int] {
    var waiting = facts
    var reached: Set<Int> = []
    var result: [Int] = []
    func take(_ isNext: (Fact.Reason) -> Bool) -> Bool {
      let next = waiting.filter { isNext(problem.facts[$0].reason) }
      waiting.removeAll { next.contains($0) }
      for fact in next { reached.formUnion(problem.facts[fact].terms.map(\.component)) }
      result += next
      return !next.isEmpty
    }
    _ = take { if case .wanted = $0 { true } else { false } }
    while take({ if case .needs(let subject, _, _) = $0 { reached.contains(subject) } else { false } }) {}
    return result + waiting
  }

  private func sentence(_ fact: Fact, in chain: [Int]) -> String? {
    switch fact.reason {
    case .wanted(let root, _): return "\(root.source) wants \(root.component) \(root.requirement)"
    case .needs(let subject, let object, let requirement):
      guard let versions = fact.terms.first(where: { $0.component == subject })?.set else { return nil }
      let component = problem.components[subject]
      let relevant = component.versions(in: versions.intersection(possible(subject, in: chain)))
      let shown = relevant.isEmpty ? component.versions(in: versions) : relevant
      let verb = shown.count == 1 ? "needs" : "need"
      return "\(component.name) \(Self.list(shown)) \(verb) \(problem.components[object].name) \(requirement)"
    case .unfit(let subject):
      let component = problem.components[subject]
      let possible = self.possible(subject, in: chain.filter { !isUnfit(problem.facts[$0], subject) })
      let unfit = component.versions(in: fact.terms[0].set.intersection(possible))
      let verb = unfit.count == 1 ? "has" : "have"
      let attributes = platform.attributes.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
      return "\(component.name) \(Self.list(unfit)) \(verb) no manifest for the platform "
        + (attributes.isEmpty ? "(which has no attributes)" : attributes.joined(separator: ", "))
    case .circle(let names):
      return "these components depend on each other in a circle: \(names.map(\.rawValue).joined(separator: " → ")); "
        + "remove one of the dependencies"
    }
  }

  private func isUnfit(_ fact: Fact, _ subject: Int) -> Bool {
    if case .unfit(subject) = fact.reason { return true }
    return false
  }

  /// What the facts about the component alone leave of it.
  private func possible(_ component: Int, in chain: [Int]) -> VersionSet {
    var set = VersionSet.full(versions: problem.components[component].versions.count)
    for fact in chain where problem.facts[fact].terms.count == 1 {
      let term = problem.facts[fact].terms[0]
      if term.component == component { set = set.subtracting(term.set) }
    }
    return set
  }

  /// For components that several want, or that nobody can have: what there is.
  private func published(_ chain: [Int]) -> (sentences: [String], hasRemedy: Bool) {
    var demands: [Int: Int] = [:]
    var isUnmet: Set<Int> = []
    for fact in chain {
      let object: Int
      switch problem.facts[fact].reason {
      case .wanted(_, let component): object = component
      case .needs(_, let component, _): object = component
      case .unfit, .circle: continue
      }
      demands[object, default: 0] += 1
      let all = VersionSet.full(versions: problem.components[object].versions.count)
      if problem.facts[fact].terms.contains(where: { $0.component == object && all.isSubset(of: $0.set) }) {
        isUnmet.insert(object)
      }
    }
    var hasRemedy = false
    let sentences = demands.keys.sorted().compactMap { index -> String? in
      let component = problem.components[index]
      if component.versions.isEmpty {
        hasRemedy = true
        return isLocal
          ? "there is no recipe of \(component.name) on this device; put one into the --recipe-dir"
          : "\(component.name) is not published; publish it with `wherry component publish`"
      }
      guard isUnmet.contains(index) || demands[index, default: 0] > 1 else { return nil }
      return "\(component.name) is \(isLocal ? "here" : "published") as \(Self.list(component.versions, maximum: 10))"
    }
    return (sentences, hasRemedy)
  }

  static func list(_ versions: [Version], maximum: Int = 3) -> String {
    let shown = versions.prefix(versions.count == maximum + 1 ? maximum + 1 : maximum).map(\.description)
    if versions.count > shown.count {
      return shown.joined(separator: ", ") + " and \(versions.count - shown.count) others"
    }
    guard let last = shown.last, shown.count > 1 else { return shown.joined() }
    return shown.dropLast().joined(separator: ", ") + " and " + last
  }
}
