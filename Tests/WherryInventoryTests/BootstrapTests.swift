import Glibc
import Synchronization
import Testing
import WherryDatabase
import WherryModel
import WherryTestSupport
import WherryWire

@testable import WherryInventory

/// What happens before the first connection.
@Suite struct BootstrapTests {
  let directory = TemporaryDirectory()

  // MARK: - Addresses

  @Test func theServiceDialsALocalAddressAndTellsThePublicOne() {
    var configuration = ServiceConfiguration(dataDirectory: "")
    #expect(configuration.brokerAddress == ListenAddress(host: "127.0.0.1", port: 8883))
    #expect(configuration.publicHost(of: configuration.brokerListen) == "127.0.0.1")
    for (wildcard, local) in [("0.0.0.0", "127.0.0.1"), ("::", "::1")] {
      configuration.brokerListen.host = wildcard
      #expect(configuration.brokerAddress == ListenAddress(host: local, port: 8883))
      #expect(configuration.publicHost(of: configuration.brokerListen) == "localhost")
    }
    configuration.publicHosts = ["fleet.example.com", "10.0.0.1"]
    #expect(configuration.brokerAddress.host == "::1")
    #expect(configuration.publicHost(of: configuration.listen) == "fleet.example.com")
    configuration.externalBroker = ExternalBroker("mqtts://broker.example.com:1883")
    #expect(configuration.brokerAddress == ListenAddress(host: "broker.example.com", port: 1883))
  }

  @Test func twoOptionsWithOnePortAreNamedTogether() throws {
    let ports = PortCheck()
    let port = try ports.claim(ListenAddress(host: "127.0.0.1", port: 0), option: "--listen")
    for host in ["127.0.0.1", "0.0.0.0"] {
      let refusal = #expect(throws: Refusal.self) {
        _ = try ports.claim(ListenAddress(host: host, port: port), option: "--broker-listen")
      }
      #expect(refusal?.detail == "--listen and --broker-listen both name port \(port)")
    }
    let other = try ports.claim(ListenAddress(host: "127.0.0.1", port: 0), option: "--device-listen")
    #expect(other != port)
  }

  @Test func portsAreFreeAgainAfterTheCheck() throws {
    var ports: PortCheck? = PortCheck()
    let port = try #require(try ports?.claim(ListenAddress(host: "127.0.0.1", port: 0), option: "--listen"))
    #expect(PortCheck.isAccepting(ListenAddress(host: "127.0.0.1", port: port)))
    ports = nil
    #expect(!PortCheck.isAccepting(ListenAddress(host: "127.0.0.1", port: port)))
  }

  // MARK: - The admin token

  @Test func aTokenFileThatCannotBeWrittenIsNamedWithItsOption() {
    let path = directory.file("missing/admin.token")
    let refusal = #expect(throws: Refusal.self) { try AdminTokenFile.write("wherry_x", to: path) }
    #expect(refusal?.detail.contains(path) == true)
    #expect(refusal?.remedy.contains("--admin-token-file") == true)
  }

  @Test func aTokenIsResetOnlyWhereAServiceHasBeen() throws {
    let data = directory.file("data")
    let refusal = #expect(throws: Refusal.self) { _ = try InventoryMaintenance.resetAdminToken(dataDirectory: data) }
    #expect(refusal?.detail.contains(data) == true)
    // A directory that it made would look like a fleet that has lost its keys.
    #expect(!TestFile.exists(data))

    _ = try DataDirectory(data)
    try InventoryDatabase(path: "\(data)/inventory.db").close()
    let token = try InventoryMaintenance.resetAdminToken(dataDirectory: data)
    let database = try InventoryDatabase(path: "\(data)/inventory.db")
    defer { database.close() }
    #expect(try database.token(hash: SecretToken.hash(token), at: Instant(milliseconds: 0))?.role == .admin)
  }

  // MARK: - The broker's words

  @Test func aBrokersLogThatHasGrownKeepsItsEndAndGoesOnAtTheBeginning() throws {
    let log = BrokerLog(path: directory.file("mosquitto.log"))
    let writer = open(log.path, O_WRONLY | O_CREAT | O_APPEND, 0o600)
    defer { close(writer) }
    func say(_ bytes: [UInt8]) { #expect(write(writer, bytes, bytes.count) == bytes.count) }

    let lines = (0..<40_000).flatMap { Array("\($0): OpenSSL Error: no shared cipher\n".utf8) }
    #expect(lines.count > BrokerLog.bytesMaximum)
    say(lines)
    log.bound()
    #expect(TestFile.read(log.path) == [])
    #expect(TestFile.read(log.olderPath) == Array(lines.suffix(BrokerLog.bytesMaximum)))

    say(Array("again\n".utf8))
    log.bound()
    #expect(TestFile.read(log.path) == Array("again\n".utf8))
  }

  @Test func eachReasonWhyThereIsNoConnectionIsToldOnce() {
    let notes = Notes()
    let attempts = ConnectionAttempts { line in notes.lines.withLock { $0.append(line) } }
    func fail(_ reason: String, next: Int) {
      attempts.take(.disconnected(reason: "no connection to b:1: \(reason); next attempt in \(next) ms"))
    }
    for next in [50, 100, 200] { fail("Connection refused", next: next) }
    fail("certificate verify failed", next: 400)
    attempts.take(.connected(sessionPresent: false))
    // The end of one that stood is the engine's to tell.
    attempts.take(.disconnected(reason: "lost the connection to b:1: closed; next attempt in 50 ms"))
    for next in [50, 100] { fail("certificate verify failed", next: next) }
    let reasons = ["Connection refused", "certificate verify failed", "certificate verify failed"]
    let lines = notes.lines.withLock { $0 }
    #expect(lines == reasons.map { "no connection to b:1: \($0); it is tried again until it stands" })
  }
}

/// What would be in the service's log.
final class Notes: Sendable {
  let lines = Mutex<[String]>([])
}
