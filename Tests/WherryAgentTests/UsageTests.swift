import Testing

@testable import WherryAgent

@Suite struct UsageTests {
  @Test func eachCommandExplainsItselfWithAnExample() {
    for verb in AgentUsage.verbs.keys.sorted() {
      let text = AgentUsage.text(of: verb)
      #expect(text.hasPrefix("usage: wherry-agent \(verb)"))
      #expect(text.contains("\nexample: wherry-agent \(verb)") && text.hasSuffix("\n"))
      #expect(text.contains("--config FILE"))
      #expect(text.utf8.split(separator: 10).allSatisfy { $0.count <= 120 }, "\(text)")
      #expect(AgentUsage.program.contains("\n  \(verb) "))
      #expect(AgentProgram.run(["wherry-agent", verb, "--help"]) == 0)
      #expect(AgentProgram.run(["wherry-agent", verb, "-h"]) == 0)
    }
    #expect(AgentUsage.text(of: "logs").contains("-n LINES"))
  }

  @Test func theExamplesAreWhatTheProgramTakes() throws {
    for (verb, usage) in AgentUsage.verbs {
      let words = usage.example.split(separator: " ").dropFirst().map(String.init)
      #expect(words.first == verb)
      _ = try AgentCommand(words)
    }
  }

  @Test func helpOnACommandThatDoesNotExistIsMisuse() {
    #expect(AgentProgram.run(["wherry-agent", "dance", "--help"]) == 2)
    #expect(AgentProgram.run(["wherry-agent", "dance"]) == 2)
    #expect(AgentProgram.run(["wherry-agent", "--help"]) == 0)
    #expect(AgentProgram.run(["wherry-agent"]) == 2)
  }
}
