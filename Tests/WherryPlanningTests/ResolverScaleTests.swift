import Testing
import WherryModel
import WherryPlanning

@Suite("Resolver: scale")
struct ResolverScaleTests {
  /// 200 components of 20 versions; each version needs up to five later ones. `Tests/Benchmarks` times it; here the
  /// answer counts, and that there is one without trying everything.
  @Test("two hundred components of twenty versions")
  func large() throws {
    var random = Seeded(11)
    var lines: [String] = []
    for index in 0..<200 {
      for version in 0..<20 {
        var dependencies: [String] = []
        for _ in 0..<5 where index < 199 {
          let other = index + 1 + random.below(min(20, 199 - index))
          let floor = random.below(max(1, version))
          dependencies.append("c\(other) >=1.\(floor).0")
        }
        lines.append(
          "c\(index) 1.\(version).0" + (dependencies.isEmpty ? "" : ": " + dependencies.joined(separator: ", ")))
      }
    }
    let catalog = try catalog(lines)
    let wanted = ["c0", "c1", "c2 <1.10.0", "c3 1.5.0"]
    let chosen = try resolved(wanted, catalog)
    #expect(chosen.count > 100)
    #expect(chosen.contains("c3 1.5.0") && chosen.contains("c0 1.19.0"))
  }

  /// Pigeons and holes: hard for every resolver of this kind, and made to be. It must end, with a sentence.
  @Test("a catalogue made to be hard ends with a sentence")
  func hard() throws {
    var lines: [String] = []
    let holes = 12
    for hole in 0..<holes {
      for pigeon in 0...holes { lines.append("hole\(hole) 1.\(pigeon).0") }
    }
    for pigeon in 0...holes {
      for hole in 0..<holes { lines.append("pigeon\(pigeon) 1.\(hole).0: hole\(hole) 1.\(pigeon).0") }
    }
    let answer = try resolved((0...holes).map { "pigeon\($0)" }, try catalog(lines))
    #expect(answer.count == 1 || answer.contains { $0.hasPrefix("change one") }, "\(answer)")
  }
}
