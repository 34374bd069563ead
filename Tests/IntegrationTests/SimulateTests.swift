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
    let wrong = try run(#"{"devices": 20, "faults": {"rain": 1}}"#)
    #expect(wrong.status == 2 && wrong.error.contains("/faults: \"rain\" is not known here"), "\(wrong.text)")
  }
}
