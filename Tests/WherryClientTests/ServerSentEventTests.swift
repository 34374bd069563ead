import Testing

@testable import WherryClient

@Suite struct ServerSentEventTests {
  /// Both line ends, comments, several lines of data, a name, bytes that make one character together, an event of no
  /// meaning, one that is not finished.
  private static let stream = Array(
    (": still here\n\ndata: one\n\nevent: failure\r\ndata: two\r\ndata:  three\r\n\r\ndata:schön\n\n"
      + "data: \u{301}combining\n\nid: 7\n\nevent: end\ndata: \n\ndata: unfinished\n").utf8)

  private static let events = [
    ServerSentEvent(name: "message", data: "one"), ServerSentEvent(name: "failure", data: "two\n three"),
    ServerSentEvent(name: "message", data: "schön"), ServerSentEvent(name: "message", data: "\u{301}combining"),
    ServerSentEvent(name: "end", data: ""),
  ]

  @Test func eventsAreTheSameWhereverTheStreamIsCut() throws {
    for cut in 0...Self.stream.count {
      var parser = ServerSentEventParser()
      let first = try parser.feed(Array(Self.stream[..<cut]))
      let second = try parser.feed(Array(Self.stream[cut...]))
      #expect(first + second == Self.events, "cut after \(cut) bytes")
    }
  }

  @Test func eventsAreTheSameWhenEachByteComesAlone() throws {
    var parser = ServerSentEventParser()
    var events: [ServerSentEvent] = []
    for byte in Self.stream { events += try parser.feed([byte]) }
    #expect(events == Self.events)
  }

  @Test func anEventBeyondTheBoundIsRefusedAndManySmallOnesAreNot() throws {
    var parser = ServerSentEventParser(eventBytesMaximum: 16)
    for _ in 0..<100 {
      let events = try parser.feed(Array("data: small\n\n: comment\n\n".utf8))
      #expect(events.map(\.data) == ["small"])
    }
    var large = parser
    #expect(throws: ServerSentEventTooLarge(bytesMaximum: 16)) {
      _ = try large.feed(Array("data: 1\ndata: 2\ndata: 3\n\n".utf8))
    }
  }
}
