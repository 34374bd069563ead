import WherryModel

/// Which manifest of a recipe a device uses: the first whose platform matches.
package enum ManifestSelector {
  /// A recipe without manifests runs everywhere, with its recipe-wide lifecycle.
  package static func select(_ recipe: Recipe, for platform: Platform) -> Manifest? {
    PlatformMatcher(platform).select(recipe)
  }
}

/// A platform made ready to be compared with many manifests.
struct PlatformMatcher {
  private let attributes: [String: String]

  init(_ platform: Platform) {
    var attributes: [String: String] = [:]
    for (key, value) in platform.attributes { attributes[key.lowercased()] = value }
    self.attributes = attributes
  }

  func select(_ recipe: Recipe) -> Manifest? {
    if recipe.manifests.isEmpty { return Manifest() }
    return recipe.manifests.first { matches($0.platform) }
  }

  func fits(_ recipe: Recipe) -> Bool {
    recipe.manifests.isEmpty || recipe.manifests.contains { matches($0.platform) }
  }

  /// Every attribute that the manifest names must match: the same word in any case, `*`, `all` or `any`, or `/regex/`.
  func matches(_ wanted: [String: String]) -> Bool {
    wanted.allSatisfy { key, pattern in
      // What a runtime is called is another product's affair: Greengrass recipes name its nuclei here.
      let key = key.lowercased()
      if key == "runtime" { return true }
      if ["*", "all", "any"].contains(pattern.lowercased()) { return true }
      guard let value = attributes[key] else { return false }
      // One that is no regex matches nothing; the recipe reader refuses it.
      if pattern.hasPrefix("/") { return PlatformPattern(slashed: pattern)?.matches(value) ?? false }
      return value.lowercased() == pattern.lowercased()
    }
  }
}
