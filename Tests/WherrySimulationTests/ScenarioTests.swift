import Testing
import WherryJSON
import WherryModel
import WherryPlanning

@testable import WherrySimulation

@Suite struct ScenarioTests {
  private static func run(_ devices: Int, seed: UInt64, _ change: (inout Scenario) -> Void = { _ in })
    -> SimulationResult
  {
    var scenario = Scenario()
    scenario.devices = devices
    change(&scenario)
    return Simulation.run(SimulationOptions(seed: seed, scenario: scenario))
  }

  @Test(arguments: 0..<20 as Range<UInt64>) func aRehearsalKeepsThePromisesAndComesToAnEnd(seed: UInt64) {
    let result = Self.run(60, seed: seed)
    #expect(result.violations.isEmpty, "seed \(seed)")
    #expect(result.story?.endedAt != nil, "seed \(seed): it neither completed nor halted")
  }

  @Test func aGoodVersionReachesEveryWave() throws {
    let story = try #require(
      Self.run(200, seed: 3) {
        $0.failing = 0
        $0.faults = .none
      }.story)
    #expect(story.isCompleted)
    #expect(story.waves.map(\.size) == [10, 10, 80, 100])
    #expect(story.sum(\.committed) == 200)
    let opened = story.waves.compactMap(\.openedAt)
    #expect(opened == opened.sorted() && opened.count == 4)
  }

  @Test func aBadVersionStopsInTheFirstWave() throws {
    let result = Self.run(200, seed: 3) {
      $0.failing = 1_000
      $0.policy.failureShare = nil
      $0.faults = .none
    }
    #expect(result.violations.isEmpty)
    let story = try #require(result.story)
    #expect(story.state.name == "halted")
    #expect(story.sum(\.released) == 10 && story.sum(\.committed) == 0)
  }

  @Test func storesKeepOneOfTheirTwoDevices() throws {
    let result = Self.run(60, seed: 4) {
      $0.labels = ["store": 2]
      $0.policy.waves = [.count(2), .percent(100)]
      $0.policy.disruption = [RolloutPolicy.DisruptionBudget(label: "store", changingMaximum: 1, upMinimum: 1)]
      $0.failing = 0
    }
    #expect(result.violations.isEmpty)
    #expect(try #require(result.story).sum(\.committed) >= 58)
  }

  @Test func aRateMakesItLonger() throws {
    func end(_ rate: Int64) throws -> Int64 {
      let story = Self.run(60, seed: 4) {
        $0.faults = .none
        $0.failing = 0
        $0.policy.waves = [.percent(100)]
        $0.downloadBytes = 1_000_000
        $0.policy.bytesPerSecond = rate
      }.story
      return try #require(story?.endedAt)
    }
    #expect(try end(1_000_000) > 55_000)
    #expect(try end(100_000_000) < 55_000)
  }

  @Test(arguments: 0..<10 as Range<UInt64>) func whoeverChangedGoesBack(seed: UInt64) throws {
    let result = Self.run(40, seed: seed) {
      $0.failing = 200
      $0.policy.waves = [.percent(100)]
      $0.policy.failureShare = nil
      $0.policy.onFailure = .revert
    }
    #expect(result.violations.isEmpty, "seed \(seed)")
    #expect(result.statistics.reverts > 0, "seed \(seed)")
  }

  @Test func ownRecipesAreRehearsed() throws {
    var recipe = Recipe(name: "com.example.gauge", version: Version(2, 0, 0))
    var manifest = Manifest()
    manifest.lifecycle.steps[.run] = Step(script: "measure")
    recipe.manifests = [manifest]
    var scenario = Scenario()
    scenario.devices = 30
    scenario.policy.waves = [.count(3), .percent(100)]
    scenario.failing = 0
    try scenario.take([recipe])
    let result = Simulation.run(SimulationOptions(seed: 2, scenario: scenario))
    #expect(result.violations.isEmpty && result.story?.isCompleted == true)
    var lacking = recipe
    lacking.dependencies["com.example.none"] = Dependency(requirement: VersionRequirement(exactly: Version(1, 0, 0)))
    #expect(throws: PlanningFailure.self) { try scenario.take([lacking]) }
  }

  @Test func aPolicyThatContradictsItselfIsNotRehearsed() {
    var scenario = Scenario()
    #expect(scenario.problems.isEmpty)
    scenario.devices = 5
    let says = scenario.problems.first ?? ""
    #expect(says.hasPrefix("/policy/waves/0: wave 1 takes 10 devices, and the rehearsal has 5"), "\(says)")
  }

  @Test func theSameSeedTellsTheSameStory() {
    let first = Self.run(50, seed: 5)
    #expect(first.json == Self.run(50, seed: 5).json)
    #expect(first.json != Self.run(50, seed: 6).json)
  }

  @Test func aScenarioIsReadStrictly() throws {
    let text = #"{"devices": 7, "failing": 3, "policy": {"waves": [{"count": 2}]}, "faults": {"messageLost": 0}}"#
    let read = try Scenario(JSONCursor(try JSON(parsing: text)))
    #expect(read.devices == 7 && read.failing == 3 && read.faults.messageLost == 0)
    #expect(read.policy.waves == [.count(2)])
    for (text, says) in [
      (#"{"device": 7}"#, "\"device\" is not known here"), (#"{"devices": 0}"#, "/devices: 0 is not between 1 and"),
      (#"{"policy": {"canary": {}}}"#, "\"canary\" is not known here"),
      (#"{"policy": {"silenceSeconds": 5}}"#, "at least 600 s"),
      (#"{"labels": {"store": 0}}"#, "/labels/store: 0 is not"),
      (#"{"policy": {"deviceTimeoutSeconds": 5}}"#, "at least 600 s"),
      (#"{"faults": {"messageLost": 501}}"#, "/faults/messageLost: 501 is not between 0 and 500"),
    ] {
      let json = try JSON(parsing: text)
      let error = #expect(throws: JSONShapeError.self) { try Scenario(JSONCursor(json)) }
      #expect(error?.description.contains(says) == true, "\(text): \(error.map(\.description) ?? "")")
    }
  }
}
