import Glibc
import Logging
import Testing
import WherryCrypto
import WherryModel
import WherryTestSupport

@testable import WherryInventory

/// A broker that somebody else runs, with what `wherry-inventory broker-certificate` makes.
@Suite(
  .serialized, .timeLimit(.minutes(10)),
  .enabled(if: RunningService.isBrokerInstalled, "mosquitto is not installed: apt-get install mosquitto"))
struct ExternalBrokerTests {
  let directory = TemporaryDirectory()
  var data: String { directory.file("data") }

  private func makeKit(port: Int = 8883, names: [String] = ["localhost", "127.0.0.1"]) throws -> BrokerKit {
    try BrokerKit.make(dataDirectory: data, names: names, port: port, output: directory.file("kit"))
  }

  /// mosquitto with nothing but what was printed; as root it would change to a user that may not read the test's files.
  private func start(_ kit: BrokerKit) throws -> ChildProcess {
    let path = directory.file("mosquitto.conf")
    TestFile.write(Array(((getuid() == 0 ? "user root\n" : "") + kit.configuration).utf8), to: path)
    let program = try #require(ChildProcess.find("mosquitto"))
    return try #require(ChildProcess(program, ["-c", path], outputPath: directory.file("mosquitto.log")))
  }

  private func text(_ path: String) -> String { String(decoding: TestFile.read(path) ?? [], as: UTF8.self) }

  @Test func theServiceSaysWhatItWaitsForAndServesWhenTheBrokerComes() async throws {
    let port = try PortCheck().claim(ListenAddress(host: "127.0.0.1", port: 0), option: "--port")
    // Before any service: the broker can stand first.
    let kit = try makeKit(port: port)
    var configuration = RunningService.configuration(directory)
    configuration.externalBroker = ExternalBroker("mqtts://localhost:\(port)")
    let (lines, continuation) = AsyncStream.makeStream(of: String.self)
    let logger = Logger(label: "test") { _ in CollectedLog(lines: continuation) }
    let starting = Task { [configuration] in try await RunningService(configuration, logger: logger) }
    var note = ""
    for await line in lines where line.hasPrefix("no connection to localhost:\(port)") {
      note = line
      break
    }
    #expect(note.hasSuffix("it is tried again until it stands"))

    let broker = try start(kit)
    defer { broker.signal(SIGKILL) }
    let service = try await starting.value
    #expect(service.endpoints.brokerHost == "localhost")
    #expect(service.endpoints.brokerPort == port)
    do { try await join("kiosk-1", to: service) } catch {
      await service.stop()
      throw error
    }
    await service.stop()
  }

  /// A device reaches the service through that broker.
  private func join(_ name: DeviceName, to service: RunningService) async throws {
    let (identity, _) = try await service.provision(name, token: try #require(service.token))
    let changes = await service.engine.changes()
    let device = try BrokerDevice(
      name, identity, authority: service.authority, port: service.endpoints.brokerPort, directory)
    defer { device.stop() }
    for await _ in changes where try await service.engine.fleet().online == 1 { break }
    #expect(try await service.engine.fleet().online == 1)
  }

  @Test func theFilesAreOfTheFleetAndTheKeyIsClosedToOthers() throws {
    let kit = try makeKit()
    #expect(kit.directory.hasSuffix("/kit"))
    let authority = text("\(data)/ca.crt")
    #expect(text("\(kit.directory)/ca.crt") == authority)
    let key = text("\(kit.directory)/server.key")
    let first = text("\(kit.directory)/server.crt")
    #expect(Certificate.isIssued(pem: first, key: key, by: authority))
    var status = stat()
    #expect(stat("\(kit.directory)/server.key", &status) == 0)
    #expect(status.st_mode & 0o077 == 0)
    #expect(text("\(kit.directory)/mosquitto.conf") == kit.configuration)
    for line in ["listener 8883", "acl_file \(kit.directory)/acl", "require_certificate true"] {
      #expect(kit.configuration.contains("\n\(line)\n"), "\(line)")
    }
    // Again is how a certificate is renewed.
    _ = try makeKit()
    #expect(text("\(kit.directory)/server.crt") != first)
    #expect(text("\(data)/ca.crt") == authority)
  }

  @Test func aNameThatNobodyCouldDialIsRefusedAndLeavesNothing() {
    #expect(throws: CryptoError.self) { _ = try makeKit(names: ["broker example"]) }
    #expect(!TestFile.exists(directory.file("kit")))
  }

  @Test func aServiceThatRunsIsNotInTheWayAndItsRemovedDevicesAreDenied() async throws {
    let service = try await RunningService(RunningService.configuration(directory))
    do {
      let token = try #require(service.token)
      _ = try await service.provision("kiosk-1", token: token)
      #expect(try await service.send("DELETE", "/v1/devices/kiosk-1", token: token).status == 204)
      let kit = try makeKit()
      #expect(text("\(kit.directory)/ca.crt") == service.authority)
      #expect(text("\(kit.directory)/acl").contains("user kiosk-1\ntopic deny #\n"))
    } catch {
      await service.stop()
      throw error
    }
    await service.stop()
  }
}

/// Hands every line of a log on.
struct CollectedLog: LogHandler {
  let lines: AsyncStream<String>.Continuation
  var metadata: Logger.Metadata = [:]
  var logLevel: Logger.Level = .info

  init(lines: AsyncStream<String>.Continuation) { self.lines = lines }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) { lines.yield("\(event.message)") }
}
