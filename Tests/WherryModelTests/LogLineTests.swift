import Testing
import WherryModel

@Suite struct LogLineTests {
  @Test(arguments: [
    ("2026-11-24T03:04:05.123Z O text with  blanks", false, "text with  blanks\n"),
    ("2026-11-24T03:04:05.123Z E ", true, "\n"), ("2026-11-24T03:04:05.123Z o cut", false, "cut"),
    ("2026-11-24T03:04:05.123Z e  cut", true, " cut"), ("2026-11-24T03:04:05.123Z S lost", false, "lost\n"),
  ])
  func isAsItWasWritten(_ text: String, _ isError: Bool, _ written: String) throws {
    let line = try #require(LogLine(text))
    #expect(line.isError == isError && line.written == written)
  }

  @Test(arguments: ["", "text", "two words"]) func othersAreNone(_ text: String) { #expect(LogLine(text) == nil) }
}
