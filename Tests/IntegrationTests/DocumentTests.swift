import Foundation
import Testing

/// What the documents show can be typed: every command exists, with every option that is shown.
@Suite struct DocumentTests {
  static let programs = ["wherry", "wherry-agent", "wherry-inventory"]

  @Test func everyCommandInTheDocumentsExists() throws {
    var helps: [String: String] = [:]
    var count = 0
    for (place, command) in try commands() {
      let words = command.split(separator: " ").map(String.init)
      let verbs = words.prefix { word in
        word.first?.isLetter == true && word == word.lowercased() && !word.contains("/") && !word.contains("=")
      }
      var path = Array(verbs.prefix(words[0] == "wherry" ? 3 : 2))
      // A word that is no command is an argument: `wherry deployment watch` has three, `wherry login x` two.
      var help = ""
      while path.count > 0 {
        let key = path.joined(separator: " ")
        if let known = helps[key] {
          help = known
        } else {
          let outcome = try Command.run(path + ["--help"])
          help = outcome.status == 0 ? outcome.output : ""
          helps[key] = help
        }
        if !help.isEmpty { break }
        path.removeLast()
      }
      #expect(path.count >= min(2, verbs.count), "\(place): `\(command)` is not a command")
      for option in words where option.hasPrefix("--") && option.count > 2 {
        let name = String(option.prefix { $0 == "-" || $0.isLetter })
        #expect(help.contains(name), "\(place): `\(path.joined(separator: " "))` has no option \(name)")
      }
      count += 1
    }
    #expect(count > 30, "the documents were not found")
  }

  /// Commands in code spans and in `sh` blocks, each with its place.
  private func commands() throws -> [(String, String)] {
    var found: [(String, String)] = []
    let documents = try FileManager.default.contentsOfDirectory(atPath: TestFleet.root + "/Docs").map { "Docs/" + $0 }
    for path in (documents + ["README.md"]).sorted() where path.hasSuffix(".md") {
      var isBlock = false
      for (number, line) in Command.text(TestFleet.root + "/" + path).components(separatedBy: "\n").enumerated() {
        let place = "\(path):\(number + 1)"
        if line.hasPrefix("```") {
          isBlock = line == "```sh"
        } else if isBlock {
          found += Self.isCommand(line) ? [(place, Self.plain(line))] : []
        } else {
          let spans = line.components(separatedBy: "`").enumerated().filter { $0.offset % 2 == 1 }.map(\.element)
          for span in spans where Self.isCommand(span) { found += Self.expanded(span).map { (place, $0) } }
        }
      }
    }
    return found
  }

  private static func isCommand(_ text: String) -> Bool {
    programs.contains { text.hasPrefix($0 + " ") }
  }

  /// Without comments and the brackets that mark what is optional.
  private static func plain(_ text: String) -> String {
    text.components(separatedBy: " #")[0].filter { !"[]…".contains($0) }
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
