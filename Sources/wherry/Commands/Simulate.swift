import ArgumentParser
import WherryJSON
import WherryModel
import WherryPlanning
import WherryRecipe
import WherrySimulation

struct Simulate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Rehearse a rollout on a fleet that exists only here, while ordinary things go wrong.",
    discussion: """
      Examples:
        wherry simulate --devices 10000 --seed 7
        wherry simulate --scenario rehearsal.yaml --seed 7
        wherry simulate --scenario rehearsal.yaml --recipe web/recipe.yaml --recipe hello/recipe.yaml

      The state machines are the real ones; network, devices and clocks are made up from the seed, so the same seed
      tells the same story. Exit code 1 unless the rollout completed and every promise was kept.
      """)

  @Option(help: "How many devices; the scenario's number, or 10000.") var devices: Int?
  @Option(help: "The number that everything by chance comes from.") var seed: UInt64 = 1
  @Option(help: "A YAML or JSON file with devices, policy and faults; Docs/rollouts.md has its keys.")
  var scenario: String?
  @Option(name: .customLong("recipe"), help: "A recipe of your own in place of made-up components (repeatable).")
  var recipes: [String] = []
  @Option(help: "Show so many of the last lines of what happened.") var transcript = 0
  @OptionGroup var options: OutputOptions

  func validate() throws {
    if let devices, !(1...Scenario.devicesMaximum).contains(devices) {
      throw ValidationError("--devices \(devices) is not between 1 and \(Scenario.devicesMaximum)")
    }
    guard (0...100_000).contains(transcript) else {
      throw ValidationError("--transcript \(transcript) is not between 0 and 100000")
    }
  }

  func run() throws {
    var scenario = try self.scenario.map(Self.read) ?? Scenario()
    if let devices { scenario.devices = devices }
    if self.scenario != nil, let problem = scenario.problems.first { throw ValidationError(problem) }
    if !recipes.isEmpty {
      let own = try recipes.map(Self.recipe)
      do { try scenario.take(own) } catch { throw ValidationError("no plan can be made of these recipes: \(error)") }
    }
    var simulation = SimulationOptions(seed: seed, scenario: scenario)
    // The transcript lets go of half when it is full.
    simulation.transcriptLinesMaximum = transcript * 2
    let result = Simulation.run(simulation)
    options.show(result.json) { SimulationText.text(result, transcript: transcript) }
    guard result.violations.isEmpty, result.story?.isCompleted == true else { throw ExitCode(1) }
  }

  private static func read(_ path: String) throws -> Scenario {
    let reading = RecipeReader.json(try Files.text(path), fileName: path, beginning: "begin with `devices: 1000`")
    guard let json = reading.json else {
      let problem = reading.problems.first
      throw ValidationError("\(path):\(problem?.line ?? 1): \(problem?.message ?? "it is empty")")
    }
    do {
      return try Scenario(JSONCursor(json))
    } catch {
      throw ValidationError("\(path): \(error)")
    }
  }

  private static func recipe(_ path: String) throws -> Recipe {
    let reading = RecipeReader.read(try Files.text(path), fileName: path)
    if let recipe = reading.recipe { return recipe }
    let problem = reading.problems.first { $0.severity == .error }
    throw ValidationError("\(path):\(problem?.line ?? 1): \(problem?.message ?? "it is no recipe")")
  }
}

/// The story of a rehearsal for people.
enum SimulationText {
  static func text(_ result: SimulationResult, transcript: Int) -> String {
    var text = result.transcript.lines.suffix(transcript).map { $0 + "\n" }.joined()
    text += "\(result.options.devices) devices, seed \(result.options.seed)\n\n"
    if let story = result.story { text += waves(story) + "\n" + ending(story) + "\n" }
    let statistics = result.statistics
    text += "What went wrong: \(statistics.agentCrashes) agents killed, \(statistics.powerCuts) power cuts, "
    text += "\(statistics.messagesLost) messages lost, \(statistics.messagesDoubled) doubled, "
    text += "\(statistics.messagesOvertaken) overtaken; the service was started again "
    text += "\(statistics.serviceStarts) times, the broker \(statistics.brokerStarts) times.\n"
    guard !result.violations.isEmpty else { return text + "Every promise was kept.\n" }
    return text + result.violations.map { "BROKEN: \($0)\n" }.joined()
  }

  private static func waves(_ story: RolloutStory) -> String {
    Console.table(
      ["WAVE", "OPENED", "DEVICES", "RELEASED", "COMMITTED", "FAILED", "AWAY"],
      story.waves.enumerated().map { number, wave in
        [
          "\(number + 1)", wave.openedAt.map(clock) ?? "never", "\(wave.size)", "\(wave.released)",
          "\(wave.committed)", "\(wave.failed)", "\(wave.parked)",
        ]
      })
  }

  private static func ending(_ story: RolloutStory) -> String {
    let ended = story.endedAt.map { " after " + clock($0) } ?? ""
    let reason = story.state.reason.isEmpty ? "" : ": \(story.state.reason)"
    return "The rollout is \(story.state.name)\(ended)\(reason). "
      + "\(story.sum(\.committed)) committed, \(story.sum(\.failed)) failed."
  }

  /// Minutes, seconds and thousandths.
  private static func clock(_ milliseconds: Int64) -> String {
    let seconds = milliseconds / 1_000
    func padded(_ number: Int64, _ digits: Int) -> String {
      let text = String(number)
      return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
    }
    return "\(seconds / 60):\(padded(seconds % 60, 2)).\(padded(milliseconds % 1_000, 3))"
  }
}
