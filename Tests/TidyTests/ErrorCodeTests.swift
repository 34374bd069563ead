import Testing

/// The error reference and the code say the same codes.
@Suite struct ErrorCodeTests {
  @Test func everyDocumentedCodeIsUsed() throws {
    let text = try #require(SourceTree.read("Docs/errors.md"))
    var codes: Set<Substring> = []
    for line in text.split(separator: "\n") where line.hasPrefix("|") {
      let spans = line.split(separator: "`", omittingEmptySubsequences: false).enumerated()
      codes.formUnion(spans.filter { $0.offset % 2 == 1 && Self.isCode($0.element) }.map(\.element))
    }
    #expect(codes.count > 30, "the reference was not understood")
    var used: Set<Substring> = []
    for file in TidyTests.swift.files where file.path.hasPrefix("Sources/") {
      for line in file.lines {
        let parts = line.split(separator: "\"", omittingEmptySubsequences: false).enumerated()
        used.formUnion(parts.filter { $0.offset % 2 == 1 && codes.contains($0.element) }.map(\.element))
      }
    }
    for code in codes.subtracting(used).sorted() { Issue.record("Docs/errors.md names \(code), which no code gives") }
  }

  /// A code that nobody explains, or a failure that does not say how to mend it, is of no use to who meets it.
  @Test func everyFailureOnADeviceIsDocumentedAndSaysHowToMendIt() throws {
    let text = try #require(SourceTree.read("Docs/errors.md"))
    let documented = Set(text.split(separator: "`", omittingEmptySubsequences: false))
    let device: Set<String> = [
      "WherryLifecycle", "WherryAgent", "WherryIsolation", "WherryOCI", "WherryTransfer", "wherry-fetch",
    ]
    var count = 0
    for file in TidyTests.swift.files where device.contains(file.target) {
      let whole = file.lines.joined(separator: "\n")
      for call in Self.calls(of: "Failure(", in: whole) {
        guard let code = Self.code(in: call) else { continue }
        count += 1
        if !documented.contains(Substring(code)) { Issue.record("\(file.path): Docs/errors.md does not know \(code)") }
        if !call.contains("remedy:") { Issue.record("\(file.path): \(code) does not say how to mend it") }
      }
    }
    #expect(count > 60, "the sources were not understood")
  }

  /// The text of each call, up to the parenthesis that closes it; parentheses in texts are paired.
  private static func calls(of name: String, in text: String) -> [Substring] {
    var found: [Substring] = []
    var rest = text[...]
    while let start = rest.firstRange(of: name) {
      var depth = 1
      var end = start.upperBound
      while end < rest.endIndex, depth > 0 {
        if rest[end] == "(" { depth += 1 }
        if rest[end] == ")" { depth -= 1 }
        end = rest.index(after: end)
      }
      found.append(rest[start.lowerBound..<end])
      rest = rest[start.upperBound...]
    }
    return found
  }

  private static func code(in call: Substring) -> String? {
    guard let label = call.firstRange(of: "code: \"") else { return nil }
    let code = call[label.upperBound...].prefix { $0 != "\"" }
    return isCode(code) ? String(code) : nil
  }

  /// `download.status`, and not `example.com` or a file's name.
  private static func isCode(_ text: Substring) -> Bool {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 2 && parts.allSatisfy { !$0.isEmpty && $0.utf8.allSatisfy(isLetter) }
  }

  private static func isLetter(_ byte: UInt8) -> Bool { (65...90).contains(byte) || (97...122).contains(byte) }
}
