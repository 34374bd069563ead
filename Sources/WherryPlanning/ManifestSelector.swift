import WherryModel

/// Which manifest of a recipe a device uses: the first whose platform matches.
package enum ManifestSelector {
  /// A recipe without manifests runs everywhere, with its recipe-wide lifecycle.
  package static func select(_ recipe: Recipe, for platform: Platform) -> Manifest? {
    if recipe.manifests.isEmpty { return Manifest() }
    return recipe.manifests.first { matches($0.platform, platform) }
  }

  /// Every attribute that the manifest names must match: the same word in any case, `*`, `all` or `any`, or `/regex/`.
  static func matches(_ wanted: [String: String], _ platform: Platform) -> Bool {
    var attributes: [String: String] = [:]
    for (key, value) in platform.attributes { attributes[key.lowercased()] = value }
    return wanted.allSatisfy { key, pattern in
      // What a runtime is called is another product's affair: Greengrass recipes name its nuclei here.
      if key.lowercased() == "runtime" { return true }
      if ["*", "all", "any"].contains(pattern.lowercased()) { return true }
      guard let value = attributes[key.lowercased()] else { return false }
      if pattern.utf8.count > 1, pattern.hasPrefix("/"), pattern.hasSuffix("/") {
        return matches(value, regex: String(pattern.dropFirst().dropLast()))
      }
      return value.lowercased() == pattern.lowercased()
    }
  }

  /// The regex must match the whole value. One that is no regex matches nothing.
  private static func matches(_ value: String, regex: String) -> Bool {
    guard regex.utf8.count <= 256, let compiled = try? Regex(regex) else { return false }
    return (try? compiled.wholeMatch(in: value)) != nil
  }
}
