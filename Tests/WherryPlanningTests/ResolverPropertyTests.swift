import Testing
import WherryModel
import WherryPlanning

/// SplitMix64: the same catalogues in every run.
struct Seeded {
  private var state: UInt64
  init(_ seed: UInt64) { state = seed }

  mutating func below(_ bound: Int) -> Int {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return Int((mixed ^ (mixed >> 31)) % UInt64(bound))
  }

  mutating func one<Element>(of elements: [Element]) -> Element { elements[below(elements.count)] }
}

@Suite("Resolver: properties over random catalogues")
struct ResolverPropertyTests {
  private static let names = ["a", "b", "c", "d", "e"]
  private static let ranges = ["*", "^1", "^2", "1.0.0", "<2.0.0", ">=1.1.0", "^3", "1.0.0 || 2.0.0", "~1.1"]

  private static func world(_ seed: UInt64) -> (lines: [String], roots: [String]) {
    var random = Seeded(seed)
    var lines: [String] = []
    for name in names {
      for version in ["1.0.0", "1.1.0", "2.0.0"] where random.below(4) > 0 {
        var dependencies: [String] = []
        for other in names where random.below(4) == 0 { dependencies.append("\(other) \(random.one(of: ranges))") }
        let platform = random.below(10) == 0 ? " | windows" : ""
        lines.append(
          "\(name) \(version)" + (dependencies.isEmpty ? "" : ": " + dependencies.joined(separator: ", ")) + platform)
      }
    }
    let roots = names.filter { _ in random.below(3) == 0 }.map { "\($0) \(random.one(of: ranges))" }
    return (lines, roots)
  }

  @Test("the answer is sound, complete and minimal, and there is one exactly when trying everything finds one")
  func againstTryingEverything() throws {
    var solvable = 0
    for seed in 0..<600 {
      let (lines, roots) = Self.world(UInt64(seed))
      let catalog = try catalog(lines)
      let wanted = try roots.map(root)
      let exists = Self.exists(wanted, catalog)
      do throws(ResolutionFailure) {
        let chosen = try Resolver.resolve(roots: wanted, catalog: catalog, platform: linux)
        #expect(exists, "seed \(seed)")
        #expect(Self.isSound(chosen, wanted, catalog), "seed \(seed)")
        solvable += 1
      } catch {
        let failure = error
        #expect(!exists, "seed \(seed): \(failure)")
        #expect(!failure.lines.isEmpty && failure.lines.contains { $0.contains("; ") || $0.hasPrefix("change one") })
      }
    }
    // The worlds must not be all easy or all hopeless.
    #expect((100...500).contains(solvable), "\(solvable) of 600 have an answer")
  }

  @Test("the first wanted component gets the newest version that any answer gives it")
  func newestFirst() throws {
    for seed in 1_000..<1_200 {
      let (lines, roots) = Self.world(UInt64(seed))
      let catalog = try catalog(lines)
      let wanted = try roots.map(root).sorted { $0.component < $1.component }
      guard let first = wanted.first,
        let chosen = try? Resolver.resolve(roots: wanted, catalog: catalog, platform: linux),
        let version = chosen[first.component]
      else { continue }
      let newer = catalog.versions(of: first.component).filter { $0 > version }
      for candidate in newer {
        let pinned = RootRequirement(
          component: first.component, requirement: VersionRequirement(exactly: candidate), source: "test")
        #expect(!Self.exists(wanted + [pinned], catalog), "seed \(seed): \(first.component) \(candidate) was possible")
      }
    }
  }

  @Test("a refusal's wishes alone are refused too: the chain is a real conflict")
  func conflictsAreReal() throws {
    for seed in 2_000..<2_200 {
      let (lines, roots) = Self.world(UInt64(seed))
      let catalog = try catalog(lines)
      let wanted = try roots.map(root)
      do throws(ResolutionFailure) {
        _ = try Resolver.resolve(roots: wanted, catalog: catalog, platform: linux)
      } catch {
        let failure = error
        let named = wanted.filter { failure.lines.contains("\($0.source) wants \($0.component) \($0.requirement)") }
        #expect(!named.isEmpty && !Self.exists(named, catalog), "seed \(seed): \(failure)")
        for left in named where named.count > 1 {
          #expect(Self.exists(named.filter { $0 != left }, catalog), "seed \(seed): \(left) is not needed: \(failure)")
        }
      }
    }
  }

  private static func isSound(
    _ chosen: [ComponentName: Version], _ roots: [RootRequirement], _ catalog: Catalog
  ) -> Bool {
    var needed = Set(roots.map(\.component))
    for root in roots {
      guard let version = chosen[root.component], root.requirement.contains(version) else { return false }
    }
    for (name, version) in chosen {
      guard let recipe = catalog[name, version], ManifestSelector.select(recipe, for: linux) != nil else {
        return false
      }
      for (dependency, wanted) in recipe.dependencies {
        guard let other = chosen[dependency], wanted.requirement.contains(other) else { return false }
      }
    }
    var grows = true
    while grows {
      let next = needed.union(
        needed.flatMap { name in chosen[name].flatMap { catalog[name, $0] }?.dependencies.keys.map { $0 } ?? [] })
      grows = next != needed
      needed = next
    }
    return needed == Set(chosen.keys) && isFreeOfCircles(chosen, catalog)
  }

  private static func isFreeOfCircles(_ chosen: [ComponentName: Version], _ catalog: Catalog) -> Bool {
    var left = chosen
    while let leaf = left.first(where: { name, version in
      catalog[name, version]?.dependencies.keys.allSatisfy { left[$0] == nil } ?? true
    }) { left[leaf.key] = nil }
    return left.isEmpty
  }

  /// Tries every combination.
  private static func exists(_ roots: [RootRequirement], _ catalog: Catalog) -> Bool {
    var chosen: [ComponentName: Version] = [:]
    func tryAll(_ open: [ComponentName]) -> Bool {
      guard let name = open.first else { return isSound(chosen, roots, catalog) }
      let rest = Array(open.dropFirst())
      for version in catalog.versions(of: name) {
        chosen[name] = version
        let dependencies = catalog[name, version]?.dependencies.keys.sorted() ?? []
        let added = dependencies.filter { chosen[$0] == nil && !rest.contains($0) }
        if tryAll(rest + added) { return true }
      }
      chosen[name] = nil
      return false
    }
    return tryAll(Set(roots.map(\.component)).sorted())
  }
}
