/// Decides a resolution by conflict-driven search, the method of PubGrub (Weizenbaum 2018) on finite sets: what is
/// forced is propagated, the newest version is tried where there is a choice, and from each dead end a new rule is
/// learned that keeps the search out of all dead ends of the same kind.
struct ResolutionSolver {
  enum Outcome {
    /// Component → index of its version.
    case solved([Int: Int])
    /// The facts that cannot be together (not yet the fewest).
    case impossible(Set<Int>)
    case exhausted
  }

  /// Terms looked at, at most. Two hundred components of twenty versions take some ten thousand; the bound is for
  /// catalogues that are made to be hard.
  static let workMaximum = 3_000_000
  private(set) var work = 0
  private let workAllowed: Int

  private struct Rule {
    var terms: [Term]
    /// The facts that it follows from.
    var sources: Set<Int>
  }

  private struct Assignment {
    var component: Int
    var previous: VersionSet
    /// The rule that forced it; nil for a decision.
    var rule: Int?
    var level: Int
  }

  private let widths: [Int]
  private var rules: [Rule] = []
  private var rulesOf: [[Int]]
  private var domains: [VersionSet]
  private var trail: [Assignment] = []
  private var positions: [[Int]]
  private var level = 0
  private var pending: [Int] = []

  /// `facts`: index → what cannot be together.
  init(widths: [Int], facts: [(index: Int, terms: [Term])], workAllowed: Int = workMaximum) {
    self.widths = widths
    self.workAllowed = workAllowed
    domains = widths.map { VersionSet.full(versions: $0) }
    rulesOf = widths.map { _ in [] }
    positions = widths.map { _ in [] }
    for fact in facts {
      // A term that always holds says nothing; without any term left, the fact alone is impossible.
      let terms = fact.terms.filter { $0.set != VersionSet.full(versions: widths[$0.component]) }
      add(Rule(terms: terms, sources: [fact.index]))
    }
  }

  private mutating func add(_ rule: Rule) {
    rules.append(rule)
    for term in rule.terms { rulesOf[term.component].append(rules.count - 1) }
    pending.append(rules.count - 1)
  }

  mutating func solve() -> Outcome {
    while true {
      if let broken = propagate() {
        guard work <= workAllowed else { return .exhausted }
        if let sources = learn(from: rules[broken]) { return .impossible(sources) }
      } else if !decide() {
        return .solved(solution)
      }
    }
  }

  private var solution: [Int: Int] {
    var result: [Int: Int] = [:]
    for (component, domain) in domains.enumerated() where !domain.contains(VersionSet.absent) {
      result[component] = domain.first.map { $0 - 1 }
    }
    return result
  }

  /// Applies every rule of which all terms but one hold. Returns a rule of which all hold: a dead end.
  private mutating func propagate() -> Int? {
    while let index = pending.popLast() {
      switch state(of: rules[index]) {
      case .open: break
      case .broken:
        pending = []
        return index
      case .forces(let term):
        assign(term.component, domains[term.component].subtracting(term.set), rule: index)
      }
    }
    return nil
  }

  private enum RuleState {
    case open
    case broken
    case forces(Term)
  }

  private mutating func state(of rule: Rule) -> RuleState {
    var unsatisfied: Term?
    for term in rule.terms {
      work += 1
      let domain = domains[term.component]
      if domain.isSubset(of: term.set) { continue }
      if domain.isDisjoint(with: term.set) || unsatisfied != nil { return .open }
      unsatisfied = term
    }
    return unsatisfied.map { .forces($0) } ?? .broken
  }

  private mutating func assign(_ component: Int, _ domain: VersionSet, rule: Int?) {
    precondition(!domain.isEmpty, "a component was left without any value")
    positions[component].append(trail.count)
    trail.append(Assignment(component: component, previous: domains[component], rule: rule, level: level))
    domains[component] = domain
    pending.append(contentsOf: rulesOf[component])
  }

  /// Takes the newest version of the first component that must be there and has a choice left.
  private mutating func decide() -> Bool {
    for (component, domain) in domains.enumerated() where !domain.contains(VersionSet.absent) && domain.count > 1 {
      guard let newest = domain.first else { continue }
      var only = VersionSet(versions: widths[component])
      only.insert(newest)
      level += 1
      assign(component, only, rule: nil)
      return true
    }
    return false
  }

  /// Works back from a dead end to the rule that would have avoided it, and to the level where that rule speaks.
  /// Returns the facts to blame when no decision is: then there is no solution.
  private mutating func learn(from broken: Rule) -> Set<Int>? {
    var rule = broken
    while true {
      var latest: (term: Int, position: Int)?
      var levelBefore = 0
      for (index, term) in rule.terms.enumerated() {
        let position = satisfier(of: term)
        if let known = latest, known.position > position {
          levelBefore = max(levelBefore, trail[position].level)
        } else {
          if let known = latest { levelBefore = max(levelBefore, trail[known.position].level) }
          latest = (index, position)
        }
      }
      guard let latest else { return rule.sources }
      let assignment = trail[latest.position]
      guard let cause = assignment.rule, levelBefore == assignment.level else {
        backtrack(to: levelBefore)
        add(rule)
        return nil
      }
      rule = resolved(rule, rules[cause], on: assignment.component)
    }
  }

  /// Where on the trail the term began to hold.
  private func satisfier(of term: Term) -> Int {
    let places = positions[term.component]
    for (index, position) in places.enumerated() {
      let domain = index + 1 < places.count ? trail[places[index + 1]].previous : domains[term.component]
      if domain.isSubset(of: term.set) { return position }
    }
    preconditionFailure("a term of a broken rule does not hold")
  }

  /// If `left` and `right` forbid things together with `component` in S and in T, the rest of both is forbidden
  /// together with `component` in S ∪ T.
  private func resolved(_ left: Rule, _ right: Rule, on component: Int) -> Rule {
    var sets: [Int: VersionSet] = [:]
    for term in left.terms + right.terms {
      guard let known = sets[term.component] else {
        sets[term.component] = term.set
        continue
      }
      sets[term.component] = term.component == component ? known.union(term.set) : known.intersection(term.set)
    }
    if sets[component] == VersionSet.full(versions: widths[component]) { sets[component] = nil }
    return Rule(
      terms: sets.sorted { $0.key < $1.key }.map { Term($0.key, $0.value) },
      sources: left.sources.union(right.sources))
  }

  private mutating func backtrack(to target: Int) {
    while let last = trail.last, last.level > target {
      domains[last.component] = last.previous
      positions[last.component].removeLast()
      trail.removeLast()
    }
    level = target
    pending = []
  }
}
