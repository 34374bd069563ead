import Foundation
import Testing

/// What the documents show can be typed: every command exists, with every option that is shown.
@Suite struct DocumentTests {
  @Test func everyCommandInTheDocumentsExists() throws {
    var helps: [[String]: String] = [:]
    let commands = try DocumentedCommand.all()
    for command in commands {
      let path = command.path
      let help = try helps[path] ?? Command.run(path + ["--help"]).output
      helps[path] = help
      let name = path.joined(separator: " ")
      // The usage names the command itself: a parser that ignores an unknown word shows its parent's.
      let usage = help.lowercased().split(separator: "\n").first { $0.hasPrefix("usage: ") } ?? ""
      #expect(
        usage == "usage: \(name)" || usage.hasPrefix("usage: \(name) "), "\(command.place): `\(name)` is no command")
      for option in command.options {
        let isThere = help.split(whereSeparator: { " ,[]()|\n".contains($0) }).contains(Substring(option))
        #expect(isThere, "\(command.place): `\(name)` has no option \(option)")
      }
    }
    #expect(commands.count > 30, "the documents were not found")
  }
}

/// A command that a document shows in a code span or an `sh` block.
struct DocumentedCommand {
  let place: String
  /// Program and verbs: `wherry device logs`.
  let path: [String]
  let options: [String]

  private static let programs: Set<String> = ["wherry", "wherry-agent", "wherry-inventory"]
  /// Verbs that have no verb below them; what follows is an argument.
  private static let leaves: Set<String> = ["login", "deploy", "why", "simulate"]

  init?(_ text: String, place: String) {
    let words = text.split(separator: " ").map(String.init)
    guard let program = words.first, Self.programs.contains(program) else { return nil }
    let verbs = words.dropFirst().prefix { word in word.utf8.allSatisfy { (97...122).contains($0) || $0 == 45 } }
      .filter { !$0.hasPrefix("-") }
    let depth = program == "wherry" && !Self.leaves.contains(verbs.first ?? "") ? 2 : 1
    path = [program] + verbs.prefix(depth)
    self.place = place
    options = words.filter { $0.hasPrefix("-") && $0.count > 1 && $0 != "--help" }
      .map { String($0.prefix { $0 == "-" || $0.isLetter }) }
  }

  static func all() throws -> [DocumentedCommand] {
    let documents = try FileManager.default.contentsOfDirectory(atPath: TestFleet.root + "/Docs").map { "Docs/" + $0 }
    return (documents + ["README.md"]).sorted().filter { $0.hasSuffix(".md") }.flatMap(commands)
  }

  private static func commands(in path: String) -> [DocumentedCommand] {
    var found: [DocumentedCommand] = []
    var isBlock = false
    for (number, line) in Command.text(TestFleet.root + "/" + path).components(separatedBy: "\n").enumerated() {
      let place = "\(path):\(number + 1)"
      var texts: [String] = []
      if line.hasPrefix("```") {
        isBlock = line == "```sh"
      } else if isBlock {
        texts = [plain(line)]
      } else {
        texts = line.components(separatedBy: "`").enumerated().filter { $0.offset % 2 == 1 }.map(\.element)
          .filter { span in programs.contains { span.hasPrefix($0 + " ") } }.flatMap(expanded)
      }
      found += texts.compactMap { DocumentedCommand($0, place: place) }
    }
    return found
  }

  /// Without comments, the brackets that mark what is optional, and the programs that read its output.
  private static func plain(_ text: String) -> String {
    text.components(separatedBy: " #")[0].components(separatedBy: " | ")[0].filter { !"[]…".contains($0) }
  }

  /// `wherry group create, add, list` names three commands.
  private static func expanded(_ span: String) -> [String] {
    let text = plain(span)
    guard text.contains(", ") else { return [text] }
    let parts = text.components(separatedBy: ", ")
    let stem = parts[0].split(separator: " ").dropLast().joined(separator: " ")
    return [parts[0]] + parts.dropFirst().map { "\(stem) \($0)" }
  }
}
