import Glibc
import Testing
import WherryAgent
import WherryIsolation
import WherryJSON
import WherryModel
import WherryTestSupport
import WherryWire

@Suite struct HealthTests {
  private static func bench(_ probe: HealthCheck.Probe) throws -> (Bench, PlannedComponent) {
    let bench = try Bench()
    var web = Bench.container("com.example.web")
    var check = HealthCheck(probe: probe)
    check.intervalMilliseconds = 1_000
    check.startPeriodMilliseconds = 1_000
    web.container?.health = check
    let layer = try #require(web.image?.layers.first)
    bench.worker.blobs[layer.digest.description] = Array("layer 1".utf8)
    bench.runner.addresses["com.example.web.run"] = "127.0.0.1"
    bench.start()
    bench.connect()
    return (bench, web)
  }

  @Test(arguments: [200, 204, 302]) func anHTTPAnswerIsHealth(status: Int) throws {
    let server = try #require(OneLineServer("HTTP/1.1 \(status) Whatever\r\n\r\n"))
    let (bench, web) = try Self.bench(.http(port: server.port, path: "/healthz"))
    bench.order(bench.message(bench.plan([web]), generation: 1))
    server.serve(bench, until: { bench.reports.last?.status == .committed })
    #expect(bench.reports.last?.status == .committed)
    #expect(server.requests.first?.hasPrefix("GET /healthz HTTP/1.0\r\n") == true)
  }

  @Test func anErrorAnswerFailsTheDeployment() throws {
    let server = try #require(OneLineServer("HTTP/1.1 503 Not yet\r\n\r\n"))
    let (bench, web) = try Self.bench(.http(port: server.port, path: "/"))
    bench.order(bench.message(bench.plan([web]), generation: 1))
    server.serve(bench, until: { bench.reports.last?.status?.isTerminal == true })
    let failure = try #require(bench.reports.last?.failure)
    #expect(failure.failureClass == .health && failure.message.contains("503"))
  }

  @Test func aClosedPortIsNamed() throws {
    let (bench, web) = try Self.bench(.tcp(port: 1))
    bench.order(bench.message(bench.plan([web]), generation: 1))
    bench.run(milliseconds: 60_000)
    let failure = try #require(bench.reports.last?.failure)
    #expect(failure.failureClass == .health && failure.message.contains("127.0.0.1:1: Connection refused"))
  }

  @Test func aProgramInsideSaysItIsHealthy() throws {
    let (bench, web) = try Self.bench(.exec(["/bin/check"]))
    bench.runner.outcome = { $0.arguments == ["/bin/check"] ? WorkloadExit(code: 0) : nil }
    bench.order(bench.message(bench.plan([web]), generation: 1))
    bench.run(milliseconds: 3_000)
    #expect(bench.reports.last?.status == .committed)
  }

  @Test func aProgramInsideSaysItIsNot() throws {
    let (bench, web) = try Self.bench(.exec(["/bin/check"]))
    bench.runner.outcome = { $0.arguments == ["/bin/check"] ? WorkloadExit(code: 1) : nil }
    bench.order(bench.message(bench.plan([web]), generation: 1))
    bench.run(milliseconds: 60_000)
    let failure = try #require(bench.reports.last?.failure)
    #expect(failure.failureClass == .health && failure.message.contains("/bin/check exited with code 1"))
  }
}

/// Answers every connection with the same bytes, on the test's own thread between two turns.
final class OneLineServer {
  let port: UInt16
  private let listener: Int32
  private let answer: [UInt8]
  private var connections: [Int32] = []
  private(set) var requests: [String] = []

  init?(_ answer: String) {
    self.answer = Array(answer.utf8)
    listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let descriptor = listener
    let isListening = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, length) == 0 && listen(descriptor, 8) == 0 && getsockname(descriptor, $0, &length) == 0
      }
    }
    port = UInt16(bigEndian: address.sin_port)
    guard isListening else { return nil }
    _ = fcntl(listener, F_SETFL, O_NONBLOCK)
  }

  deinit {
    for descriptor in connections + [listener] { close(descriptor) }
  }

  /// The bench's clock stands still while something is on its way, so that no timeout depends on this machine's load.
  func serve(_ bench: Bench, until isMet: () -> Bool) {
    for _ in 0..<2_000 {
      if isMet() { return }
      bench.engine.turn(maximumWait: 0)
      if !accept() { bench.clock.advance(milliseconds: 20) }
    }
  }

  /// Whether something was going on.
  private func accept() -> Bool {
    let connection = Glibc.accept(listener, nil, nil)
    if connection >= 0 {
      _ = fcntl(connection, F_SETFL, O_NONBLOCK)
      connections.append(connection)
    }
    var isBusy = connection >= 0
    for (index, descriptor) in connections.enumerated().reversed() {
      var buffer = [UInt8](repeating: 0, count: 4096)
      let count = recv(descriptor, &buffer, buffer.count, 0)
      if count < 0 {
        isBusy = true
        continue
      }
      if count > 0 {
        requests.append(String(decoding: buffer[..<count], as: UTF8.self))
        send(descriptor, answer, answer.count, Int32(MSG_NOSIGNAL))
        isBusy = true
      }
      close(descriptor)
      connections.remove(at: index)
    }
    return isBusy
  }
}
