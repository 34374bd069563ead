import Testing
import WherryModel
import WherryPlanning

/// A small language for catalogues: `"web 1.0.0: lib ^1, log ~2.1 | linux"`.
/// Dependencies after the colon (`?` before a name = SOFT), an `os` after the bar.
func catalog(_ lines: String...) throws -> Catalog { try catalog(lines) }

func catalog(_ lines: [String]) throws -> Catalog {
  Catalog(
    entries: try lines.enumerated().map { index, line in
      let bar = line.split(separator: "|", maxSplits: 1)
      let colon = bar[0].split(separator: ":", maxSplits: 1)
      let subject = colon[0].split(separator: " ")
      var recipe = Recipe(
        name: ComponentName(trusted: String(subject[0])), version: try #require(Version(String(subject[1]))))
      for item in colon.count > 1 ? colon[1].split(separator: ",") : [] {
        let words = item.split(separator: " ", maxSplits: 1)
        let isSoft = words[0].hasPrefix("?")
        recipe.dependencies[ComponentName(trusted: String(isSoft ? words[0].dropFirst() : words[0]))] = Dependency(
          requirement: try requirement(words.count > 1 ? String(words[1]) : "*"), kind: isSoft ? .soft : .hard)
      }
      var manifest = Manifest()
      if bar.count > 1 { manifest.platform = ["os": bar[1].split(separator: " ").joined()] }
      manifest.lifecycle.steps[.run] = Step(script: "exec \(recipe.name)")
      recipe.manifests = [manifest]
      return CatalogEntry(recipe: recipe, digest: digest(index))
    })
}

func digest(_ number: Int) -> Digest {
  Digest(bytes: (0..<32).map { $0 < 24 ? 0 : UInt8(truncatingIfNeeded: number >> ((31 - $0) * 8)) })
}

func requirement(_ text: String) throws -> VersionRequirement {
  try #require(VersionRequirement(text), "\(text) must be a range")
}

let linux = Platform(["os": "linux", "architecture": "amd64"])

/// `"web ^1"` is wanted by the group kiosks, `"web ^1 @ group shops"` by somebody else.
func root(_ text: String) throws -> RootRequirement {
  let parts = text.split(separator: "@", maxSplits: 1)
  let words = parts[0].split(separator: " ", maxSplits: 1)
  return RootRequirement(
    component: ComponentName(trusted: String(words[0])),
    requirement: try requirement(words.count > 1 ? String(words[1]) : "*"),
    source: parts.count > 1 ? String(parts[1].drop { $0 == " " }) : "group kiosks")
}

/// `web 1.0.0, lib 2.0.0`, or the sentences of the refusal.
func resolved(_ roots: [String], _ catalog: Catalog, on platform: Platform = linux) throws -> [String] {
  let wanted = try roots.map(root)
  do throws(ResolutionFailure) {
    let chosen = try Resolver.resolve(roots: wanted, catalog: catalog, platform: platform)
    return chosen.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
  } catch {
    return error.lines
  }
}
