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

  /// `download.status`, and not `example.com` or a file's name.
  private static func isCode(_ text: Substring) -> Bool {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 2 && parts.allSatisfy { !$0.isEmpty && $0.utf8.allSatisfy(isLetter) }
  }

  private static func isLetter(_ byte: UInt8) -> Bool { (65...90).contains(byte) || (97...122).contains(byte) }
}
