import WherryModel

/// The question in the solver's terms: components with their versions, and facts about which cannot be together.
struct ResolutionProblem {
  struct Component {
    var name: ComponentName
    /// Newest first.
    var versions: [Version]

    func set(where isIn: (Version) -> Bool) -> VersionSet {
      var set = VersionSet(versions: versions.count)
      for (index, version) in versions.enumerated() where isIn(version) { set.insert(index + 1) }
      return set
    }

    func versions(in set: VersionSet) -> [Version] {
      versions.indices.filter { set.contains($0 + 1) }.map { versions[$0] }
    }
  }

  /// Wanted ones first, by name; then as dependencies lead on. The solver decides in this order.
  private(set) var components: [Component] = []
  private(set) var facts: [Fact] = []
  private(set) var circles = 0
  private var indices: [ComponentName: Int] = [:]
  /// Many versions ask for the same: each question is answered once.
  private var fitting: [Need: VersionSet] = [:]

  init(roots: [RootRequirement], catalog: Catalog, platform: Platform) {
    let matcher = PlatformMatcher(platform)
    for root in roots.sorted(by: {
      ($0.component, $0.source, $0.requirement.text) < ($1.component, $1.source, $1.requirement.text)
    }) {
      let index = index(of: root.component, in: catalog)
      let fitting = components[index].set { root.requirement.contains($0) }
      facts.append(
        Fact(reason: .wanted(root, by: index), terms: [Term(index, components[index].others(than: fitting))]))
    }
    var next = 0
    while next < components.count {
      addFacts(about: next, in: catalog, matcher)
      next += 1
    }
  }

  private mutating func index(of name: ComponentName, in catalog: Catalog) -> Int {
    if let known = indices[name] { return known }
    components.append(Component(name: name, versions: catalog.versions(of: name)))
    indices[name] = components.count - 1
    return components.count - 1
  }

  private struct Need: Hashable, Comparable {
    var dependency: ComponentName
    var text: String

    static func < (left: Need, right: Need) -> Bool {
      left.dependency == right.dependency ? left.text < right.text : left.dependency < right.dependency
    }
  }

  private mutating func addFacts(about subject: Int, in catalog: Catalog, _ matcher: PlatformMatcher) {
    let component = components[subject]
    var unfit = VersionSet(versions: component.versions.count)
    let none = unfit
    // Values apart from what is sorted: sorting copies, and this is most of what resolving does.
    var places: [Need: Int] = [:]
    var needs: [(requirement: VersionRequirement, versions: VersionSet)] = []
    for (index, version) in component.versions.enumerated() {
      guard let recipe = catalog[component.name, version], matcher.fits(recipe) else {
        unfit.insert(index + 1)
        continue
      }
      for (dependency, wanted) in recipe.dependencies {
        let need = Need(dependency: dependency, text: wanted.requirement.text)
        let place = places[need] ?? needs.count
        if place == needs.count {
          places[need] = place
          needs.append((wanted.requirement, none))
        }
        needs[place].versions.insert(index + 1)
      }
    }
    if !unfit.isEmpty { facts.append(Fact(reason: .unfit(subject), terms: [Term(subject, unfit)])) }
    for need in places.keys.sorted() {
      guard let place = places[need] else { continue }
      let entry = needs[place]
      let object = index(of: need.dependency, in: catalog)
      let fitting = fitting(need, entry.requirement, of: object)
      // A component that needs itself is a circle, which is found and named later.
      guard object != subject else { continue }
      facts.append(
        Fact(
          reason: .needs(subject, object, entry.requirement),
          terms: [Term(subject, entry.versions), Term(object, components[object].others(than: fitting))]))
    }
  }

  private mutating func fitting(_ need: Need, _ requirement: VersionRequirement, of object: Int) -> VersionSet {
    if let known = fitting[need] { return known }
    let set = components[object].set { requirement.contains($0) }
    fitting[need] = set
    return set
  }

  /// Forbids this circle for every version that takes part in it.
  mutating func forbid(circle: [ComponentName], in catalog: Catalog) {
    circles += 1
    var terms: [Int: VersionSet] = [:]
    for (name, next) in zip(circle, circle.dropFirst()) {
      let index = index(of: name, in: catalog)
      terms[index] = components[index].set { catalog[name, $0]?.dependencies[next] != nil }
    }
    facts.append(
      Fact(reason: .circle(circle), terms: terms.sorted { $0.key < $1.key }.map { Term($0.key, $0.value) }))
  }
}

extension ResolutionProblem.Component {
  /// Every other value, "not there" included.
  fileprivate func others(than set: VersionSet) -> VersionSet {
    VersionSet.full(versions: versions.count).subtracting(set)
  }
}

/// Things that cannot all hold, and why.
struct Fact {
  enum Reason {
    /// Somebody wants the component.
    case wanted(RootRequirement, by: Int)
    /// Versions of the first component need the second.
    case needs(Int, Int, VersionRequirement)
    /// Versions of the component have no manifest for the platform.
    case unfit(Int)
    case circle([ComponentName])
  }
  var reason: Reason
  var terms: [Term]
}

/// That a component's value is one of the set.
struct Term {
  var component: Int
  var set: VersionSet
  init(_ component: Int, _ set: VersionSet) {
    self.component = component
    self.set = set
  }
}
