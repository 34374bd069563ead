import Testing
import WherryAgent
import WherryIsolation
import WherryJSON
import WherryModel
import WherryTestSupport
import WherryWire

@Suite struct OutboxTests {
  private static func deployed(connected: Bool) throws -> Bench {
    let bench = try Bench()
    bench.start()
    if connected { bench.connect() }
    bench.order(bench.message(bench.plan([Bench.process("com.example.web")]), generation: 1))
    bench.run(milliseconds: 2_000)
    return bench
  }

  @Test func whatHappenedOfflineIsToldWhenTheBrokerIsBack() throws {
    let bench = try Self.deployed(connected: false)
    #expect(bench.transport.published.isEmpty)
    bench.connect()
    #expect(bench.reports.map(\.status) == [.committed], "progress on the way is not worth a message each")
  }

  @Test func reportsAreSentUntilAcknowledged() throws {
    let bench = try Self.deployed(connected: true)
    let last = try #require(bench.reports.last)
    bench.transport.forget()
    bench.connect()
    #expect(bench.reports == [last], "not acknowledged, so it is sent again with the next connection")
    bench.run(milliseconds: 20_000)
    #expect(bench.reports == [last, last], "and after a while without an answer")
    bench.acknowledge(last.sequence)
    bench.transport.forget()
    bench.connect()
    bench.run(milliseconds: 600_000)
    #expect(bench.reports.isEmpty)
  }

  @Test func acknowledgedReportsAreForgottenAlsoOverACrash() throws {
    let bench = try Self.deployed(connected: true)
    let last = try #require(bench.reports.last)
    bench.acknowledge(last.sequence)
    bench.run(milliseconds: 10_000)
    try bench.crash()
    bench.connect()
    #expect(bench.reports.allSatisfy { $0.sequence > last.sequence })
  }

  @Test func theEndOfEachDeploymentIsKeptForTheService() throws {
    let bench = try Bench()
    bench.start()
    for generation in 1...3 {
      let plan = bench.plan([Bench.process("com.example.web", version: Version(generation, 0, 0))])
      bench.order(bench.message(plan, generation: Int64(generation)))
      bench.run(milliseconds: 2_000)
    }
    try bench.crash()
    bench.connect()
    #expect(bench.reports.map(\.generation) == [1, 2, 3].map { Generation($0) })
    #expect(bench.reports.allSatisfy { $0.status == .committed })
  }

  @Test func theOutboxIsBounded() throws {
    let directory = TemporaryDirectory()
    let journal = try SQLiteJournal(path: directory.file("agent.db"))
    for sequence in 1...400 {
      var write = JournalWrite()
      let generation = Generation(Int64(sequence))
      write.reports = [
        DeviceReport(sequence: Int64(sequence), generation: generation, status: .committed, components: [])
      ]
      try journal.save(write)
    }
    let kept = try journal.outbox(after: 0, limit: 1_000)
    #expect(kept.count == 256)
    #expect(kept.last?.sequence == 400)
  }

  @Test func aRepeatedOrderIsAnsweredAgain() throws {
    let bench = try Self.deployed(connected: true)
    let count = bench.reports.count
    bench.order(bench.message(bench.plan([Bench.process("com.example.web")]), generation: 1))
    #expect(bench.reports.count == count + 1)
    #expect(bench.reports.last?.status == .committed)
    #expect(bench.runner.launches.count == 1)
  }
}
