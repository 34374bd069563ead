import Testing
import WherryAgent
import WherryIsolation
import WherryJSON
import WherryModel
import WherryTestSupport
import WherryWire

@Suite struct CommandTests {
  private static let web: ComponentName = "com.example.web"

  private static func running() throws -> Bench {
    let bench = try Bench()
    bench.start()
    bench.connect()
    bench.order(bench.message(bench.plan([Bench.process(web)]), generation: 1))
    bench.run(milliseconds: 2_000)
    return bench
  }

  private static func send(_ bench: Bench, _ id: String, _ body: CommandBody, expiresIn: Int = 60) {
    let command = Command(id: id, body: body, expires: bench.clock.wall.advanced(bySeconds: expiresIn))
    bench.transport.deliver(command.json, on: Topic.commands(Bench.device))
    bench.settle()
  }

  private static func write(_ lines: [String], _ bench: Bench) {
    TestFile.write(Array(lines.joined(separator: "\n").utf8) + [10], to: bench.paths.log(web))
  }

  @Test func aLogComesInPiecesThatFitAMessage() throws {
    let bench = try Self.running()
    let lines = (0..<1_200).map { "2026-11-24T03:04:05.123Z O line \($0)" }
    Self.write(lines, bench)
    Self.send(bench, "c1", .logs(component: Self.web, tail: 1_100, follow: false))
    #expect(bench.results.flatMap(\.lines) == Array(lines.suffix(1_100)))
    #expect(bench.results.map(\.sequence) == Array(0..<bench.results.count))
    #expect(bench.results.count > 1 && bench.results.filter(\.isLast).count == 1)
    #expect(bench.results.last?.isLast == true)
  }

  @Test func aFollowedLogGrowsUntilCancelled() throws {
    let bench = try Self.running()
    let first = "2026-11-24T03:04:05.123Z O first"
    let second = "2026-11-24T03:04:06.123Z O second"
    Self.write([first], bench)
    Self.send(bench, "c1", .logs(component: Self.web, tail: 10, follow: true))
    #expect(bench.results.flatMap(\.lines) == [first])
    Self.write([first, second], bench)
    bench.run(milliseconds: 500)
    #expect(bench.results.flatMap(\.lines) == [first, second])
    Self.send(bench, "c2", .cancel(id: "c1"))
    Self.write([first, second, "2026-11-24T03:04:07.123Z O third"], bench)
    bench.run(milliseconds: 500)
    #expect(bench.results.flatMap(\.lines) == [first, second])
  }

  @Test func anUnknownComponentIsNamedWithWhatThereIs() throws {
    let bench = try Self.running()
    Self.send(bench, "c1", .logs(component: "com.example.none", tail: 1, follow: false))
    Self.send(bench, "c2", .restart(component: "com.example.none"))
    #expect(bench.results.map(\.failure?.code) == ["component.unknown", "component.unknown"])
    #expect(bench.results.first?.failure?.remedy.contains("com.example.web") == true)
  }

  @Test func aRestartIsOneStopAndOneStart() throws {
    let bench = try Self.running()
    let old = try #require(bench.runner.workloads["com.example.web.run"])
    Self.send(bench, "c1", .restart(component: Self.web))
    bench.run(milliseconds: 1_000)
    #expect(old.exit != nil && bench.runner.launches.count == 2)
    #expect(bench.runner.alive == ["com.example.web.run"])
    #expect(bench.results.last?.isLast == true && bench.results.last?.failure == nil)
  }

  @Test func lateAndMalformedCommandsAreDropped() throws {
    let bench = try Self.running()
    Self.send(bench, "c1", .restart(component: Self.web), expiresIn: -301)
    bench.transport.deliver(Array("{\"v\":9}".utf8), on: Topic.commands(Bench.device))
    bench.settle()
    #expect(bench.results.isEmpty && bench.runner.launches.count == 1)
  }

  @Test func readersAreCounted() throws {
    let bench = try Self.running()
    Self.write(["2026-11-24T03:04:05.123Z O first"], bench)
    for index in 0..<9 { Self.send(bench, "c\(index)", .logs(component: Self.web, tail: 0, follow: true)) }
    #expect(bench.results.compactMap(\.failure?.code) == ["logs.tooMany"])
  }
}
