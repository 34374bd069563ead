import Testing
import WherryModel
import WherryRecipe

@Suite("RecipeReader: hostile input")
struct HostileTests {
  private func refusal(_ text: String) throws -> String {
    let reading = RecipeReader.read(text, fileName: "recipe.yaml")
    #expect(reading.recipe == nil)
    return try #require(reading.problems.first).message
  }

  @Test("more than a mebibyte")
  func size() throws {
    let text = head + "ComponentDescription: " + String(repeating: "x", count: 1 << 20)
    #expect(try refusal(text) == "recipe.yaml has \(text.utf8.count) bytes, more than 1048576")
  }

  @Test("deep nesting, in flow and in block form", arguments: [65, 900, 5_000, 200_000])
  func depth(levels: Int) throws {
    let flow = head + "ComponentConfiguration: { DefaultConfiguration: { a: " + String(repeating: "[", count: levels)
    #expect(
      try refusal(flow + String(repeating: "]", count: levels) + " } }\n").contains(
        levels < 1_000 ? "nested deeper than 64 levels" : "not valid YAML"))
    let block = head + "ComponentConfiguration:\n  " + String(repeating: "- ", count: levels) + "x\n"
    _ = try refusal(block)
  }

  @Test("64 levels are read")
  func depthAllowed() throws {
    let open = String(repeating: "[", count: 60)
    let close = String(repeating: "]", count: 60)
    _ = try sound(
      head + "ComponentConfiguration: { DefaultConfiguration: { a: \(open)\(close) } }\nManifests: []\n")
  }

  @Test("a bomb of aliases, as values and as keys")
  func aliases() throws {
    var bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    for level in 1..<12 {
      let uses = Array(repeating: "*a\(level - 1)", count: 9).joined(separator: ", ")
      bomb += "a\(level): &a\(level) [\(uses)]\n"
    }
    #expect(try refusal(head + bomb) == "recipe.yaml repeats anchored parts by too many aliases")
    #expect(try refusal(head + bomb + "? *a11\n: x\n") == "recipe.yaml repeats anchored parts by too many aliases")
    // Few aliases, each of which doubles.
    var doubling = "a0: &a0 [\(Array(repeating: "x", count: 2_000).joined(separator: ","))]\n"
    for level in 1..<8 { doubling += "a\(level): &a\(level) [*a\(level - 1), *a\(level - 1)]\n" }
    #expect(try refusal(head + doubling) == "more than 100000 values")
    let large = head + "a: &a x\nb: *a\nc: \(String(repeating: "y", count: 70_000))\n"
    #expect(try refusal(large) == "recipe.yaml repeats anchored parts by too many aliases")
  }

  @Test("a hundred thousand keys, and as many mistakes")
  func width() throws {
    let keys = (0..<20_000).map { "k\($0): x" }.joined(separator: "\n")
    let reading = RecipeReader.read(head + keys, fileName: "x")
    #expect(reading.recipe == nil && reading.problems.count == 100)
    _ = try refusal(head + "Manifests: [" + String(repeating: "x,", count: 120_000) + "]\n")
  }

  @Test("a kilobyte where a name, a version or a range belongs is clipped in the sentence")
  func clipping() {
    let long = String(repeating: "9", count: 4_000)
    for text in [
      "RecipeFormatVersion: \(long)\nComponentName: a/\(long)\nComponentVersion: \(long)\n",
      head + "ComponentDependencies: { b: { VersionRequirement: '>=\(long)' } }\n", head + "\(long): x\n",
      container("Image: a b\(long)\nPorts: [\(long)]\nResources: { Cpus: \(long), Memory: \(long), Pids: \(long) }"),
    ] {
      for problem in problems(text) { #expect(problem.utf8.count < 500) }
      #expect(!problems(text).isEmpty)
    }
  }

  @Test("two thousand seeded mutations of a sound recipe neither crash nor lose their place")
  func mutations() {
    let sound = Array(
      (container(
        "Image: a:1\nPorts: ['80:80']\nHealth: { Http: 'http://:80/', Interval: 1s }\nEnv: { A: '{configuration:/x}' }")
        + "Lifecycle:\n  Run: |\n    echo a\n  Install: { Script: x, Timeout: 5 }\n").utf8)
    let alphabet = Array("{}[]:,-?*&!|>'\"%@`#\n\t \\ax0~=.<\u{0}\u{7F}".utf8)
    var state: UInt64 = 42
    func next(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int((state >> 33) % UInt64(bound))
    }
    for _ in 0..<2_000 {
      var bytes = sound
      for _ in 0...next(4) {
        let index = next(bytes.count)
        switch next(4) {
        case 0: bytes[index] = alphabet[next(alphabet.count)]
        case 1: bytes.insert(alphabet[next(alphabet.count)], at: index)
        case 2: bytes.remove(at: index)
        default: bytes.removeSubrange(index..<min(bytes.count, index + next(40)))
        }
        if bytes.isEmpty { bytes = sound }
      }
      let text = String(decoding: bytes, as: UTF8.self)
      let lines = text.utf8.count { $0 == UInt8(ascii: "\n") } + 2
      let reading = RecipeReader.read(text, fileName: "x")
      #expect((reading.recipe == nil) == reading.problems.contains { $0.severity == .error })
      for problem in reading.problems {
        #expect((1...lines).contains(problem.line) && problem.column >= 1 && !problem.remedy.isEmpty, "\(problem)")
      }
    }
  }
}
