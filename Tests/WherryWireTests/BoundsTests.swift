import Testing
import WherryJSON
import WherryModel
import WherryWire

/// What a hostile device can make the service keep and show.
struct BoundsTests {
  private func text(_ bytes: Int) -> String { String(repeating: "x", count: bytes) }

  @Test("a failure's texts are cut to their bounds when they are read")
  func failure() throws {
    var failure = Samples.failure
    failure.code = text(Failure.codeBytesMaximum + 1)
    failure.message = text(100_000)
    failure.remedy = text(100_000)
    failure.log = [text(100_000), text(Failure.logLineBytesMaximum)]
    let read = try Failure(JSONCursor(failure.json))
    #expect(read.code == text(Failure.codeBytesMaximum))
    #expect(read.message == text(Failure.messageBytesMaximum))
    #expect(read.remedy == text(Failure.remedyBytesMaximum))
    #expect(read.log == [text(Failure.logLineBytesMaximum), text(Failure.logLineBytesMaximum)])
    #expect(try Failure(JSONCursor(read.json)) == read)
  }

  @Test("a failure within the bounds is read as it is")
  func failureWithinBounds() throws {
    var failure = Samples.failure
    failure.message = text(Failure.messageBytesMaximum)
    failure.log = [String(repeating: "ü", count: Failure.logLineBytesMaximum / 2)]
    #expect(try Failure(JSONCursor(failure.json)) == failure)
  }

  @Test("no character is cut in two", arguments: ["é", "€", "😀"])
  func characters(character: String) throws {
    var failure = Samples.failure
    for shift in 0..<4 {
      let line = text(shift) + String(repeating: character, count: Failure.logLineBytesMaximum)
      failure.log = [line]
      let read = try #require(try Failure(JSONCursor(failure.json)).log.first)
      #expect(line.hasPrefix(read))
      #expect(!read.unicodeScalars.contains("\u{FFFD}"))
      #expect(read.utf8.count <= Failure.logLineBytesMaximum)
      #expect(read.utf8.count > Failure.logLineBytesMaximum - character.utf8.count)
    }
  }

  @Test("a failure within a component's report and a command's result is bounded, too")
  func nested() throws {
    var failure = Samples.failure
    failure.message = text(100_000)
    var report = Samples.report
    report.failure = failure
    report.components[0].failure = failure
    let read = try DeviceReport(JSONCursor(report.json))
    #expect(read.failure?.message.utf8.count == Failure.messageBytesMaximum)
    #expect(read.components[0].failure?.message.utf8.count == Failure.messageBytesMaximum)
    let result = CommandResult(id: "1", sequence: 0, lines: [], isLast: true, failure: failure)
    let answer = try CommandResult(JSONCursor(result.json))
    #expect(answer.failure?.message.utf8.count == Failure.messageBytesMaximum)
  }

  @Test("presence says no more than a version and a boot id")
  func presence() throws {
    let presence = Presence(isOnline: true, agentVersion: text(100_000), bootID: text(100_000))
    let read = try Presence(JSONCursor(presence.json))
    #expect(read.agentVersion == text(Presence.textBytesMaximum))
    #expect(read.bootID == text(Presence.textBytesMaximum))
  }
}
