import Foundation
import Testing

/// `wherry simulate` as a person types it; it needs no fleet.
@Suite struct SimulateTests {
  @Test func theSameSeedTellsTheSameStory() throws {
    let command = ["wherry", "simulate", "--devices", "40", "--seed", "7"]
    let first = try Command.run(command)
    #expect(first.status == 0 && first.output.contains("Every promise was kept."), "\(first.text)")
    #expect(try Command.run(command).output == first.output)
    let json = try Command.run(command + ["--output", "json"])
    #expect(json.output.contains("\"violations\":[]"), "\(json.text)")
    #expect(try Command.run(command + ["--transcript", "5"]).output.contains("kiosk-"))
  }

  @Test func recipesOfOnesOwnAreRehearsed() throws {
    let folder = try Command.temporaryFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let path = folder + "/recipe.yaml"
    let recipe = """
      RecipeFormatVersion: "2020-01-25"
      ComponentName: com.example.gauge
      ComponentVersion: "1.0.0"
      Manifests: [{ Platform: { os: linux }, Lifecycle: { startup: start, shutdown: stop } }]
      """
    try recipe.write(toFile: path, atomically: true, encoding: .utf8)
    let command = ["wherry", "simulate", "--devices", "40", "--seed", "7", "--recipe", path, "--transcript", "100000"]
    let outcome = try Command.run(command)
    #expect(
      outcome.status == 0 && outcome.output.contains("com.example.gauge.startup"), "\(outcome.text.suffix(2_000))")
    try (recipe + "\nComponentDependencies: { com.example.none: { VersionRequirement: 1.0.0 } }\n")
      .write(toFile: path, atomically: true, encoding: .utf8)
    let lacking = try Command.run(command)
    #expect(lacking.status == 2 && lacking.error.contains("com.example.none"), "\(lacking.text)")
  }

  @Test func aScenarioComesFromAFile() throws {
    let folder = try Command.temporaryFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let path = folder + "/scenario.json"
    func run(_ text: String) throws -> Outcome {
      try text.write(toFile: path, atomically: true, encoding: .utf8)
      return try Command.run(["wherry", "simulate", "--scenario", path, "--seed", "7"])
    }
    let halted = try run(#"{"devices": 20, "failing": 1000, "policy": {"waves": [{"count": 2}]}}"#)
    #expect(halted.status == 1 && halted.output.contains("is halted"), "\(halted.text)")
    let yaml = try run(
      """
      devices: 20
      labels: { store: 2 }
      policy:
        waves: [{ percent: 50 }]
        disruption: [{ label: store, changingMaximum: 1 }]
      """)
    #expect(
      yaml.output.contains("20 devices, seed 7") && yaml.output.contains("Every promise was kept."), "\(yaml.text)")
    let starved = try run("{devices: 3, policy: {waves: [{count: 4}]}}")
    #expect(starved.status == 2 && starved.error.contains("wave 1 takes 4 devices"), "\(starved.text)")
    let wrong = try run(#"{"devices": 20, "faults": {"rain": 1}}"#)
    #expect(wrong.status == 2 && wrong.error.contains("/faults: \"rain\" is not known here"), "\(wrong.text)")
  }
}
