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
  /// Newest first.
  private let ordered: [ComponentName: [Version]]

  package init(entries: [CatalogEntry]) {
    var byName: [ComponentName: [Version: CatalogEntry]] = [:]
    for entry in entries { byName[entry.recipe.name, default: [:]][entry.recipe.version] = entry }
    self.entries = byName
    ordered = byName.mapValues { $0.keys.sorted(by: >) }
  }

  /// Newest first.
  package func versions(of name: ComponentName) -> [Version] { ordered[name] ?? [] }
  package func entry(_ name: ComponentName, _ version: Version) -> CatalogEntry? { entries[name]?[version] }
  package subscript(name: ComponentName, version: Version) -> Recipe? { entry(name, version)?.recipe }
}
