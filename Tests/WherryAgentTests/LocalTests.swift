import Glibc
import Testing
import WherryAgent
import WherryIsolation
import WherryJSON
import WherryModel
import WherryTestSupport

/// The socket that `wherry-agent status`, `components`, `logs` and `restart` ask.
@Suite struct LocalTests {
  private static let web: ComponentName = "com.example.web"

  private static func serving() throws -> Bench {
    let bench = try Bench()
    bench.start()
    try bench.engine.serveLocally()
    bench.connect()
    bench.order(bench.message(bench.plan([Bench.process(web)]), generation: 1))
    bench.run(milliseconds: 2_000)
    return bench
  }

  /// Asks on a connection of its own and turns the engine until the answer is whole.
  private static func ask(_ bench: Bench, _ request: String) throws -> [JSON] {
    let client = try #require(SocketClient(bench.paths.socket))
    client.write(request + "\n")
    for _ in 0..<100 where !client.isEnded {
      bench.engine.turn(maximumWait: 0)
      client.read()
    }
    #expect(client.isEnded, "the agent ends the connection after its answer")
    return try client.lines.map { try JSON(parsing: $0) }
  }

  @Test func onlyItsOwnerMayAsk() throws {
    let bench = try Self.serving()
    var status = stat()
    #expect(stat(bench.paths.socket, &status) == 0 && status.st_mode & 0o777 == 0o600)
  }

  @Test func tellsStatusAndComponents() throws {
    let bench = try Self.serving()
    let status = try #require(try Self.ask(bench, "{\"request\":\"status\"}").first)
    #expect(status["device"] == "kiosk-1" && status["connected"] == true)
    #expect(status["generation"] == 1 && status["status"] == "committed")
    let rows = try #require(try Self.ask(bench, "{\"request\":\"components\"}").first?["components"]?.arrayValue)
    #expect(rows.count == 1)
    #expect(rows.first?["name"] == "com.example.web" && rows.first?["state"] == "RUNNING")
    #expect(rows.first?["pid"] == 1001 && rows.first?["restarts"] == 0)
  }

  @Test func sendsALongLogWhole() throws {
    let bench = try Self.serving()
    let lines = (0..<5_000).map { "2026-11-24T03:04:05.123Z O line \($0) \(String(repeating: "x", count: 200))" }
    TestFile.write(Array(lines.joined(separator: "\n").utf8) + [10], to: bench.paths.log(Self.web))
    let answers = try Self.ask(bench, "{\"request\":\"logs\",\"component\":\"com.example.web\",\"tail\":5000}")
    let received = answers.flatMap { $0["lines"]?.arrayValue ?? [] }.compactMap(\.stringValue)
    #expect(received == lines)
  }

  @Test func restartsWhatThereIs() throws {
    let bench = try Self.serving()
    _ = try Self.ask(bench, "{\"request\":\"restart\",\"component\":\"com.example.web\"}")
    bench.run(milliseconds: 1_000)
    #expect(bench.runner.launches.count == 2)
  }

  @Test func saysWhichWorkloadIsMeantAndWhatItTakes() throws {
    let bench = try Self.serving()
    let asked = "\"component\":\"com.example.web\"}"
    #expect(try Self.ask(bench, "{\"request\":\"workload\"," + asked).first?["workload"] == "com.example.web.run")
    var statistics = WorkloadStatistics()
    statistics.cpuMicroseconds = 1_500
    statistics.pressure = ["cpu": 1.25]
    bench.runner.statistics["com.example.web.run"] = statistics
    let row = try #require(try Self.ask(bench, "{\"request\":\"stats\"}").first?["stats"]?.arrayValue?.first)
    #expect(row["name"] == "com.example.web" && row["cpuMicroseconds"] == 1_500 && row["memory"] == nil)
    #expect(row["pressure"]?["cpu"] == "1.25")
  }

  /// Held still it answers no check and hears no signal; neither may end it for that, nor keep it from ending.
  @Test func whatIsPausedIsLeftAloneUntilItIsStopped() throws {
    let bench = try Self.serving()
    let id = "com.example.web.run"
    let asked = "{\"request\":\"pause\",\"component\":\"com.example.web\",\"paused\":"
    _ = try Self.ask(bench, asked + "true}")
    #expect(bench.runner.paused == [id])
    let rows = try #require(try Self.ask(bench, "{\"request\":\"components\"}").first?["components"]?.arrayValue)
    #expect(rows.first?["paused"] == true)
    _ = try Self.ask(bench, "{\"request\":\"restart\",\"component\":\"com.example.web\"}")
    bench.run(milliseconds: 1_000)
    #expect(bench.runner.paused.isEmpty && bench.runner.launches.count == 2)
    _ = try Self.ask(bench, asked + "true}")
    _ = try Self.ask(bench, asked + "false}")
    #expect(bench.runner.paused.isEmpty)
  }

  @Test(arguments: [
    "{\"request\":\"workload\",\"component\":\"none\"}", "{\"request\":\"pause\",\"component\":\"none\"}",
    "{\"request\":\"restart\",\"component\":\"none\"}", "{\"request\":\"logs\",\"component\":\"../../etc/passwd\"}",
    "{\"request\":\"dance\"}", "{}", "junk",
  ]) func refusesWithASentence(request: String) throws {
    let bench = try Self.serving()
    let answer = try #require(try Self.ask(bench, request).first)
    #expect(answer["failure"]?["message"]?.stringValue?.isEmpty == false)
    #expect(bench.runner.launches.count == 1)
  }

  @Test func aFollowerThatGoesAwayIsForgotten() throws {
    let bench = try Self.serving()
    TestFile.write(Array("2026-11-24T03:04:05.123Z O one\n".utf8), to: bench.paths.log(Self.web))
    for _ in 0..<20 {
      let client = try #require(SocketClient(bench.paths.socket))
      client.write("{\"request\":\"logs\",\"component\":\"com.example.web\",\"follow\":true,\"tail\":1}\n")
      for _ in 0..<20 where client.lines.isEmpty {
        bench.engine.turn(maximumWait: 0)
        client.read()
      }
      #expect(String(decoding: client.lines.first ?? [], as: UTF8.self).contains("O one"))
      client.close()
      bench.settle()
    }
  }
}

final class SocketClient {
  private var descriptor: Int32
  private var bytes: [UInt8] = []
  private(set) var isEnded = false

  init?(_ path: String) {
    descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
    let client = descriptor
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(client, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard result == 0 else { return nil }
    _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
  }

  deinit { close() }

  func close() {
    if descriptor >= 0 { Glibc.close(descriptor) }
    descriptor = -1
  }

  func write(_ text: String) {
    let bytes = Array(text.utf8)
    _ = send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
  }

  func read() {
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = recv(descriptor, &buffer, buffer.count, 0)
      if count == 0 { isEnded = true }
      guard count > 0 else { return }
      bytes += buffer[..<count]
    }
  }

  var lines: [[UInt8]] { bytes.split(separator: 10).map(Array.init) }
}
