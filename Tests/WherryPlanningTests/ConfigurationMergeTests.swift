import Testing
import WherryJSON
import WherryModel
import WherryPlanning

private struct Row: Sendable {
  var name: String
  var existing: JSON?
  var defaults: JSON = [:]
  var reset: [String] = []
  var merge: JSON?
  var expected: JSON
}

private let table: [Row] = [
  Row(name: "a new component starts with its defaults", defaults: ["a": 1], expected: ["a": 1]),
  Row(name: "nothing at all", expected: [:]),
  Row(name: "what is there is kept over defaults", existing: ["a": 2], defaults: ["a": 1], expected: ["a": 2]),
  Row(
    name: "new keys of a new version are added, deep down too", existing: ["a": ["x": 1]],
    defaults: ["a": ["x": 9, "y": 2], "b": 3], expected: ["a": ["x": 1, "y": 2], "b": 3]),
  Row(name: "null is a value", existing: ["a": nil], defaults: ["a": 1], expected: ["a": nil]),
  Row(name: "a merged null is a value too", defaults: ["a": 1], merge: ["a": nil], expected: ["a": nil]),
  Row(name: "a list is not filled", existing: ["a": [1]], defaults: ["a": [2, 3]], expected: ["a": [1]]),
  Row(
    name: "what is there keeps its kind", existing: ["a": 1, "b": ["c": 1]], defaults: ["a": ["x": 1], "b": 2],
    expected: ["a": 1, "b": ["c": 1]]),
  Row(
    name: "MERGE goes into maps", existing: ["a": ["x": 1, "y": 2]], merge: ["a": ["y": 3, "z": ["q": 4]]],
    expected: ["a": ["x": 1, "y": 3, "z": ["q": 4]]]),
  Row(name: "MERGE replaces lists", existing: ["a": [1, 2]], merge: ["a": [3]], expected: ["a": [3]]),
  Row(name: "MERGE replaces scalars by maps", existing: ["a": 1], merge: ["a": ["b": 2]], expected: ["a": ["b": 2]]),
  Row(name: "MERGE replaces maps by scalars", existing: ["a": ["b": 2]], merge: ["a": "x"], expected: ["a": "x"]),
  Row(name: "MERGE wins over defaults", defaults: ["a": 1, "b": 1], merge: ["a": 2], expected: ["a": 2, "b": 1]),
  Row(
    name: "RESET falls back to the default", existing: ["a": 2, "b": 5], defaults: ["a": 1], reset: ["/a"],
    expected: ["a": 1, "b": 5]),
  Row(name: "RESET of what has no default removes it", existing: ["a": 2], reset: ["/a"], expected: [:]),
  Row(
    name: "RESET comes before MERGE", existing: ["a": ["x": 1, "y": 1]], reset: ["/a"], merge: ["a": ["z": 2]],
    expected: ["a": ["z": 2]]),
  Row(
    name: "RESET of everything", existing: ["a": 2, "c": 3], defaults: ["a": 1], reset: [""], merge: ["b": 4],
    expected: ["a": 1, "b": 4]),
  Row(
    name: "RESET below a map", existing: ["a": ["x": 1, "y": 2]], reset: ["/a/x", "/a/none", "/none/x", "/a/y/z"],
    expected: ["a": ["y": 2]]),
  Row(name: "RESET of a list's element", existing: ["a": [1, 2, 3]], reset: ["/a/1"], expected: ["a": [1, 3]]),
  Row(name: "RESET beyond a list's end", existing: ["a": [1]], reset: ["/a/1", "/a/01", "/a/-"], expected: ["a": [1]]),
  Row(
    name: "escaped keys", existing: ["a/b": 1, "c~d": 2, "": 3, "e": 4], reset: ["/a~1b", "/c~0d", "/"],
    expected: ["e": 4]),
]

@Suite("ConfigurationMerge")
struct ConfigurationMergeTests {
  @Test("RESET, defaults, MERGE", arguments: table.indices)
  func apply(row: Int) {
    var update = ConfigurationUpdate()
    update.defaults = table[row].defaults
    update.reset = table[row].reset
    update.merge = table[row].merge
    #expect(ConfigurationMerge.apply(update, to: table[row].existing) == table[row].expected, "\(table[row].name)")
  }

  private static func random(_ seeded: inout Seeded, depth: Int) -> JSON {
    switch depth == 0 ? seeded.below(4) : seeded.below(7) {
    case 0: return nil
    case 1: return .integer(Int64(seeded.below(3)))
    case 2: return .string(["x", "y"][seeded.below(2)])
    case 3: return .bool(seeded.below(2) == 0)
    case 4: return .array((0..<seeded.below(3)).map { _ in random(&seeded, depth: depth - 1) })
    default: return object(&seeded, depth: depth)
    }
  }

  private static func object(_ seeded: inout Seeded, depth: Int) -> JSON {
    var members: [String: JSON] = [:]
    for key in ["a", "b", "c"] where seeded.below(2) == 0 { members[key] = random(&seeded, depth: depth - 1) }
    return .object(members)
  }

  @Test("laws: applying again changes nothing more; MERGE ends up in the result; what is there survives defaults")
  func laws() throws {
    var seeded = Seeded(7)
    for _ in 0..<2_000 {
      let existing = Self.object(&seeded, depth: 3)
      var update = ConfigurationUpdate()
      update.defaults = Self.object(&seeded, depth: 3)
      #expect(
        ConfigurationMerge.filling(ConfigurationMerge.apply(update, to: existing), from: existing)
          == ConfigurationMerge.apply(update, to: existing))
      update.merge = seeded.below(3) == 0 ? nil : Self.object(&seeded, depth: 3)
      update.reset = seeded.below(2) == 0 ? [] : ["/a", "/b/c"]
      let once = ConfigurationMerge.apply(update, to: existing)
      let twice = ConfigurationMerge.apply(update, to: once)
      // Once is not enough where MERGE makes a map of a scalar, which defaults can then fill.
      #expect(ConfigurationMerge.apply(update, to: twice) == twice)
      if let merge = update.merge { #expect(ConfigurationMerge.merging(merge, into: once) == once) }
      if update.merge == nil {
        #expect(twice == once && ConfigurationMerge.filling(once, from: update.defaults) == once)
      }
    }
  }
}
