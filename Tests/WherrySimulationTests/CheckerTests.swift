import Testing
import WherryLifecycle
import WherryModel

@testable import WherrySimulation

/// Two stories that begin alike. The legal one passes a checker in silence; the other breaks the invariant with its
/// last observation, and not before.
struct CheckerCase: Sendable, CustomTestStringConvertible {
  var name: String
  var checker: any InvariantChecker
  var before: [Observation]
  var legal: [Observation]
  var illegal: [Observation]
  /// A part of the sentence, so that it is this violation and no other that is found.
  var says: String

  init(
    _ name: String, _ checker: any InvariantChecker, before: [Observation] = [], legal: [Observation],
    illegal: [Observation], says: String
  ) {
    self.name = name
    self.checker = checker
    self.before = before
    self.legal = legal
    self.illegal = illegal
    self.says = says
  }

  var testDescription: String { name }

  static let all: [CheckerCase] = [
    CheckerCase.oneVersion, CheckerCase.generations, CheckerCase.inputs, CheckerCase.waves,
    CheckerCase.acknowledgements, CheckerCase.replays, CheckerCase.convergence,
  ].flatMap { $0 }
}

@Suite struct CheckerTests {
  @Test(arguments: CheckerCase.all) func itSpeaksOfAViolationAndOfNothingElse(_ example: CheckerCase) {
    let legal = Self.sentences(of: example.checker, about: example.before + example.legal)
    #expect(legal.compactMap { $0 } == [])
    let illegal = Self.sentences(of: example.checker, about: example.before + example.illegal)
    #expect(illegal.dropLast().compactMap { $0 } == [])
    let last: String? = illegal.last ?? nil
    #expect(last?.contains(example.says) == true, "it says \(last ?? "nothing")")
  }

  @Test func everyCheckerOfASimulationIsShownToSpeak() {
    let used = Set(Simulation.invariantCheckers.map { type(of: $0).invariant })
    let shown = Set(CheckerCase.all.map { type(of: $0.checker).invariant })
    #expect(used == shown)
    #expect(used.count == Simulation.invariantCheckers.count)
  }

  @Test func aSimulationRecordsWhatACheckerSays() {
    var simulation = Simulation(SimulationOptions(seed: 1))
    let web = WorkloadID("web", .run)
    simulation.observe(.ran(device: 0, web, identity: "web 1", blobsMissing: []))
    #expect(simulation.violations.isEmpty)
    simulation.observe(.ran(device: 1, web, identity: "web 1", blobsMissing: [SimulatedDigest.of("layer")]))
    #expect(simulation.violations.map(\.invariant) == [InputsChecker.invariant])
    #expect(simulation.transcript.lines.last?.contains("VIOLATION") == true)
  }

  private static func sentences(
    of checker: any InvariantChecker, about observations: [Observation]
  ) -> [String?] {
    var checker = checker
    var sentences: [String?] = []
    for observation in observations { sentences.append(checker.check(observation)) }
    return sentences
  }
}
