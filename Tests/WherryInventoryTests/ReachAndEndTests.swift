import Glibc
import Synchronization
import Testing
import WherryCrypto
import WherryModel
import WherryTestSupport

@testable import WherryInventory

/// Where the service is reached, and that it ends whatever its clients do.
@Suite(
  .serialized, .timeLimit(.minutes(10)),
  .enabled(if: RunningService.isBrokerInstalled, "mosquitto is not installed: apt-get install mosquitto"))
struct ReachAndEndTests {
  let directory = TemporaryDirectory()

  private func with(_ configuration: ServiceConfiguration, _ body: (RunningService) async throws -> Void) async throws {
    let service = try await RunningService(configuration)
    do {
      try await body(service)
    } catch {
      await service.stop()
      throw error
    }
    await service.stop()
  }

  // MARK: - Reach

  @Test func aPublicNameThatLeadsNowhereFromHereIsToldAndNotDialed() async throws {
    var configuration = RunningService.configuration(directory)
    configuration.publicHosts = ["fleet.invalid"]
    try await with(configuration) { service in
      #expect(service.endpoints.brokerHost == "fleet.invalid")
      #expect(service.endpoints.operatorURL.hasPrefix("https://fleet.invalid:"))
      #expect(service.endpoints.deviceURL.hasPrefix("https://fleet.invalid:"))
      #expect(await service.engine.isReady)
    }
  }

  @Test func aBrokerOnEveryAddressIsDialedOnTheLoopback() async throws {
    var configuration = RunningService.configuration(directory)
    configuration.brokerListen.host = "0.0.0.0"
    try await with(configuration) { service in
      #expect(service.endpoints.brokerHost == "localhost")
      #expect(service.endpoints.operatorURL.hasPrefix("https://127.0.0.1:"))
      #expect(await service.engine.isReady)
    }
  }

  // MARK: - The first token

  @Test func aTokenThatCouldNotBeKeptIsMadeAtTheNextStart() async throws {
    let refused = Refusal(500, "test", "the disk is full", remedy: "")
    let configuration = RunningService.configuration(directory)
    let refusal = await #expect(throws: Refusal.self) {
      _ = try await InventoryService(configuration, logger: RunningService.silent) { _ in throw refused }
    }
    #expect(refusal == refused)
    try await with(configuration) { service in
      let token = try #require(service.token)
      #expect(try await service.get("/v1/fleet", token: token).status == 200)
    }
  }

  // MARK: - The end

  @Test func aReaderThatStallsDoesNotHoldTheShutdownUp() async throws {
    var configuration = RunningService.configuration(directory)
    configuration.shutdownMaximum = .milliseconds(200)
    var stalled: StalledReader?
    try await with(configuration) { service in
      let token = try #require(service.token)
      // More than the buffers on the way take.
      let bytes = [UInt8](repeating: 7, count: 16 << 20)
      let path = "/v1/blobs/\(SHA256.digest(of: bytes))"
      #expect(try await service.send("PUT", path, token: token, body: bytes).status == 201)
      stalled = try await StalledReader.begin(on: service, path, token: token)
    }
    let reader = try #require(stalled)
    let hasGivenUp = reader.hasGivenUp.withLock { $0 }
    reader.letGo()
    #expect(!hasGivenUp, "the service ended only when its reader went away")
  }

  @Test func aTerminalThatClosesEndsServiceAndBroker() throws {
    let data = directory.file("data")
    let output = directory.file("output")
    let child = try #require(
      ChildProcess(
        try InventoryProgram.path,
        [
          "serve", "--data", data, "--listen", "127.0.0.1:0", "--device-listen", "127.0.0.1:0", "--broker-listen",
          "127.0.0.1:0",
        ], outputPath: output))
    let isReady = InventoryProgram.wait {
      String(decoding: TestFile.read(output) ?? [], as: UTF8.self).contains("wherry-inventory ready in ")
    }
    try #require(isReady)
    let text = String(decoding: TestFile.read("\(data)/broker/mosquitto.pid") ?? [], as: UTF8.self)
    let broker = try #require(pid_t(text.split(separator: "\n").first ?? ""))
    #expect(kill(broker, 0) == 0)
    child.signal(SIGHUP)
    #expect(child.wait() == 0)
    #expect(kill(broker, 0) != 0)
  }
}

/// Reads the beginning of a download and then nothing more, with the connection open.
final class StalledReader: Sendable {
  /// Longer than any shutdown may take; after that it goes away, so that a test which fails also ends.
  private static let patienceMilliseconds: Int32 = 30_000

  let hasGivenUp = Mutex(false)
  private let gate: (read: Int32, write: Int32)

  private init() throws {
    var ends: [Int32] = [-1, -1]
    try #require(pipe(&ends) == 0)
    gate = (ends[0], ends[1])
  }

  deinit {
    close(gate.read)
    close(gate.write)
  }

  /// Returns when the download has begun.
  static func begin(on service: RunningService, _ path: String, token: String) async throws -> StalledReader {
    let reader = try StalledReader()
    let (beginning, continuation) = AsyncStream.makeStream(of: Void.self)
    OwnThread.start {
      try? service.stream(path, token: token) { _ in
        continuation.yield()
        reader.stall()
        return false
      }
      continuation.finish()
    }
    for await _ in beginning { break }
    return reader
  }

  private func stall() {
    var waiting = pollfd(fd: gate.read, events: Int16(POLLIN), revents: 0)
    if poll(&waiting, 1, Self.patienceMilliseconds) == 0 { hasGivenUp.withLock { $0 = true } }
  }

  func letGo() {
    var byte: UInt8 = 1
    _ = write(gate.write, &byte, 1)
  }
}

/// The built service. Beside the tests, or in `WHERRY_BIN`.
enum InventoryProgram {
  static var path: String {
    get throws {
      var buffer = [CChar](repeating: 0, count: 4_096)
      let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
      let this = String(decoding: buffer[..<max(0, count)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
      let beside = this.lastIndex(of: "/").map { String(this[..<$0]) } ?? "."
      let path = (getenv("WHERRY_BIN").map { String(cString: $0) } ?? beside) + "/wherry-inventory"
      try #require(access(path, X_OK) == 0, "wherry-inventory is not built at \(path); run swift build first")
      return path
    }
  }

  /// Looks again until it is so; false after twenty seconds.
  static func wait(until condition: () -> Bool) -> Bool {
    for _ in 0..<24_000 {
      if condition() { return true }
      _ = poll(nil, 0, 10)
    }
    return condition()
  }
}
