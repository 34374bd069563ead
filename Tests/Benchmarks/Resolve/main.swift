import Glibc
import WherryModel
import WherryPlanning

// How long the resolver takes for 200 components of 20 versions, each with up to five dependencies. Prints one time in
// milliseconds for each run; the catalogue is made before the clock starts.

var state: UInt64 = 11
@MainActor func chance(below bound: Int) -> Int {
  state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
  return Int((state >> 33) % UInt64(bound))
}
func name(_ index: Int) -> ComponentName { ComponentName(trusted: "c\(index)") }
func range(_ text: String) -> VersionRequirement {
  guard let range = VersionRequirement(text) else { fatalError("\(text) is not a range") }
  return range
}
func now() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return Double(time.tv_sec) * 1e3 + Double(time.tv_nsec) / 1e6
}

var entries: [CatalogEntry] = []
for index in 0..<200 {
  for minor in 0..<20 {
    var recipe = Recipe(name: name(index), version: Version(1, minor, 0))
    for _ in 0..<5 where index < 199 {
      let other = index + 1 + chance(below: min(20, 199 - index))
      let floor = chance(below: max(1, minor))
      recipe.dependencies[name(other)] = Dependency(requirement: range(">=1.\(floor).0"))
    }
    let number = UInt64(entries.count)
    let digest = Digest(bytes: (0..<32).map { UInt8(truncatingIfNeeded: $0 < 8 ? number >> UInt64(8 * $0) : 0) })
    entries.append(CatalogEntry(recipe: recipe, digest: digest))
  }
}
let catalog = Catalog(entries: entries)
let platform = Platform(["os": "linux", "architecture": "amd64"])
let roots = (0..<200).map {
  RootRequirement(component: name($0), requirement: range("*"), source: "group bench, deployment 1")
}
let runs = CommandLine.arguments.count > 1 ? Int(CommandLine.arguments[1]) ?? 15 : 15
for _ in 0..<runs {
  let start = now()
  let chosen = try Resolver.resolve(roots: roots, catalog: catalog, platform: platform)
  let end = now()
  guard chosen.count == 200 else { fatalError("\(chosen.count) components were resolved, not 200") }
  print(end - start)
}
