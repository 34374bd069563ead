import Testing
import WherryAgent
import WherryJSON
import WherryModel
import WherryTestSupport
import WherryWire

/// Acknowledgements that do not fit the journal: after it was moved away, and from whoever can write to the topic.
@Suite struct AcknowledgementTests {
  private static func deployed() throws -> Bench {
    let bench = try Bench()
    bench.start()
    bench.connect()
    bench.order(bench.message(bench.plan([Bench.process("com.example.web")]), generation: 1))
    bench.run(milliseconds: 2_000)
    return bench
  }

  @Test func aDeviceWhoseJournalWasMovedAwayIsHeardAgain() throws {
    let bench = try Self.deployed()
    let last = try #require(bench.reports.last)
    bench.transport.forget()
    // To the service everything up to 500 is a repetition.
    bench.acknowledge(500)
    var expected = last
    expected.sequence = 501
    #expect(bench.reports == [expected], "told anew, with a number that the service does not know")
    #expect(bench.logLines.contains { $0.contains("reports are numbered on from there") && $0.contains("500") })
    bench.transport.forget()
    bench.connect()
    #expect(bench.reports == [expected], "and until that is acknowledged")
    bench.acknowledge(500)
    bench.acknowledge(501)
    bench.transport.forget()
    bench.connect()
    #expect(bench.reports.isEmpty)
  }

  @Test func theNewNumbersSurviveACrash() throws {
    let bench = try Self.deployed()
    bench.acknowledge(500)
    try bench.crash()
    bench.connect()
    #expect(!bench.reports.isEmpty && bench.reports.allSatisfy { $0.sequence > 500 })
  }

  private static let absurd: [(Int64, String)] = [
    (Int64.max, "an acknowledgement cannot be read"), (1_152_921_504_606_846_976, "an acknowledgement cannot be read"),
    (4_503_599_627_370_497, "an acknowledgement is ignored: no service can have that many"),
  ]

  @Test(arguments: absurd) func anAbsurdAcknowledgementIsIgnored(sequence: Int64, sentence: String) throws {
    let bench = try Self.deployed()
    let last = try #require(bench.reports.last)
    bench.acknowledge(sequence)
    #expect(bench.logLines.last?.contains(sentence) == true)
    bench.transport.forget()
    bench.connect()
    #expect(bench.reports == [last], "it is still to be acknowledged")
    bench.acknowledge(last.sequence)
    bench.transport.forget()
    bench.connect()
    #expect(bench.reports.isEmpty)
  }

  @Test func afterTheHighestForgedOneTheDeviceIsStillHeard() throws {
    let bench = try Self.deployed()
    let forged: Int64 = 1 << 52
    bench.acknowledge(forged)
    #expect(bench.reports.last?.sequence == forged + 1)
    bench.acknowledge(forged + 1)
    bench.transport.forget()
    bench.connect()
    #expect(bench.reports.isEmpty)
  }
}
