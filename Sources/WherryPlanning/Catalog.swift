import WherryModel

/// A published component version and the digest of its canonical recipe.
package struct CatalogEntry: Hashable, Sendable {
  package var recipe: Recipe
  package var digest: Digest
  package init(recipe: Recipe, digest: Digest) {
    self.recipe = recipe
    self.digest = digest
  }
}

/// Everything that is published, as the planner sees it.
package struct Catalog: Sendable {
  private let entries: [ComponentName: [Version: CatalogEntry]]
  /// Newest first, apart from what `preferring` put before.
  private var ordered: [ComponentName: [Version]]

  package init(entries: [CatalogEntry]) {
    var byName: [ComponentName: [Version: CatalogEntry]] = [:]
    for entry in entries { byName[entry.recipe.name, default: [:]][entry.recipe.version] = entry }
    self.entries = byName
    ordered = byName.mapValues { $0.keys.sorted(by: Self.comesBefore) }
  }

  /// Newest first. Build metadata takes no part in a version's order, but the choice must not be left to chance.
  private static func comesBefore(_ left: Version, _ right: Version) -> Bool {
    if left > right { return true }
    return !(left < right) && left.build.joined(separator: ".") < right.build.joined(separator: ".")
  }

  /// The same with these versions before all others of their components, so that they are chosen wherever they fit,
  /// as a lock file has it. Of several choices the earlier counts more.
  package func preferring(_ choices: [[ComponentName: Version]]) -> Catalog {
    var catalog = self
    for choice in choices.reversed() {
      for (name, version) in choice {
        guard let index = catalog.ordered[name]?.firstIndex(of: version), index > 0 else { continue }
        catalog.ordered[name]?.remove(at: index)
        catalog.ordered[name]?.insert(version, at: 0)
      }
    }
    return catalog
  }

  /// Newest first, apart from what `preferring` put before.
  package func versions(of name: ComponentName) -> [Version] { ordered[name] ?? [] }
  package func entry(_ name: ComponentName, _ version: Version) -> CatalogEntry? { entries[name]?[version] }
  package subscript(name: ComponentName, version: Version) -> Recipe? { entry(name, version)?.recipe }
}
