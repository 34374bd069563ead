import Glibc
import Testing
import WherryMQTT
import WherryModel
import WherryTestSupport
import WherryWire

/// Brokers that are down, go away, do not answer or are not ours.
@Suite struct ReconnectTests {
  private let desired = "wherry/v1/devices/kiosk-1/desired"

  @Test func `after the broker was killed and started again everything is as before`() throws {
    guard let broker = try TestBroker() else { return }
    let service = try broker.peer(TestBroker.service)
    let device = try broker.peer("kiosk-1")
    device.transport.subscribe(desired, qos: 1)
    device.transport.connect()
    service.transport.connect()
    #expect(Peer.drive(service, device) { device.subscriptions(desired) == 1 && service.connects == 1 })
    broker.kill()
    #expect(Peer.drive(service, device) { device.disconnects.count >= 2 && service.disconnects.count >= 2 })
    #expect(device.disconnects.first?.hasPrefix("lost the connection to 127.0.0.1:\(broker.port)") == true)
    #expect(device.disconnects.last?.contains("Connection refused; next attempt in ") == true)
    let token = service.say("kept while down", on: desired, retain: true)
    service.say("lost while down", on: desired, qos: 0)
    broker.start()
    let isBack = Peer.drive(service, device) {
      device.texts == ["kept while down"] && service.published == [token] && device.subscriptions(desired) == 2
    }
    #expect(isBack, "\(device.events) \(service.events)")
    #expect(device.events.last { if case .connected = $0 { true } else { false } } == .connected(sessionPresent: false))
  }

  @Test func `messages in flight when the broker dies are sent again`() throws {
    guard let broker = try TestBroker() else { return }
    let device = try broker.peer("kiosk-1")
    let reported = "wherry/v1/devices/kiosk-1/reported"
    device.transport.connect()
    #expect(Peer.drive(device) { device.connects == 1 })
    for index in 0..<300 { device.say("report \(index)", on: reported) }
    // One pump sends what may be in flight; the broker is gone before an answer is read.
    device.pump(readable: false, writable: true)
    broker.kill()
    #expect(Peer.drive(device) { !device.disconnects.isEmpty })
    #expect(device.published.count < 300)
    broker.start()
    #expect(Peer.drive(device) { device.published.count == 300 }, "\(device.published.count) \(device.disconnects)")
    #expect(Set(device.published) == Set(1...300))
  }

  @Test func `a broker that is down at first is found when it comes`() throws {
    guard let broker = try TestBroker(isStarted: false) else { return }
    let device = try broker.peer("kiosk-1")
    device.transport.subscribe(desired, qos: 1)
    device.transport.connect()
    #expect(Peer.drive(device) { device.disconnects.count >= 3 })
    #expect(device.disconnects.allSatisfy { $0.contains("Connection refused") }, "\(device.disconnects)")
    #expect(device.connects == 0)
    broker.start()
    #expect(Peer.drive(device) { device.subscriptions(desired) == 1 }, "\(device.disconnects)")
  }

  @Test func `a name is looked up and every address of it is tried`() throws {
    guard let broker = try TestBroker() else { return }
    let device = Peer(try MQTTTransport(configuration: broker.configuration("kiosk-1", host: "localhost")))
    device.transport.connect()
    #expect(Peer.drive(device) { device.connects == 1 }, "\(device.disconnects) \(broker.log)")
    var configuration = try broker.configuration("kiosk-1", host: "no-such-host.invalid")
    configuration.reconnectMinimumMilliseconds = 60_000
    let lost = Peer(try MQTTTransport(configuration: configuration))
    lost.transport.connect()
    #expect(Peer.drive(lost) { lost.disconnects.count == 1 })
    #expect(lost.disconnects.first?.hasPrefix("no connection to no-such-host.invalid:") == true)
  }

  @Test func `a broker of another fleet or of another name is not talked to`() throws {
    guard let broker = try TestBroker(serverNames: ["other.example.com"]), let foreign = try TestBroker() else {
      return
    }
    let misnamed = try broker.peer("kiosk-1")
    misnamed.transport.connect()
    #expect(Peer.drive(misnamed) { !misnamed.disconnects.isEmpty })
    let expected = "certificate verify failed (IP address mismatch)"
    #expect(misnamed.disconnects.first?.contains(expected) == true, "\(misnamed.disconnects)")

    var configuration = try broker.configuration("kiosk-1")
    configuration.port = foreign.port
    let stranger = Peer(try MQTTTransport(configuration: configuration))
    stranger.transport.connect()
    #expect(Peer.drive(stranger) { !stranger.disconnects.isEmpty })
    #expect(stranger.disconnects.first?.contains("certificate verify failed") == true, "\(stranger.disconnects)")

    // The other way round: the broker does not know the device's authority.
    configuration.caFile = foreign.directory.file("ca.crt")
    let refused = Peer(try MQTTTransport(configuration: configuration))
    refused.transport.connect()
    #expect(Peer.drive(refused) { !refused.disconnects.isEmpty })
    #expect(refused.connects == 0)
    // Its alert is lost when our next packet is faster.
    let reasons = ["unknown ca", "the broker closed the connection", "Connection reset by peer", "Broken pipe"]
    let first = refused.disconnects.first ?? ""
    #expect(reasons.contains { first.contains($0) }, "\(refused.disconnects)")
  }

  @Test func `the broker is asked for by name, for proxies that route by it`() throws {
    guard let broker = try TestBroker(isStarted: false) else { return }
    guard let program = ChildProcess.find("openssl") else {
      print("not tested with openssl s_server: it is not installed")
      return
    }
    let log = broker.directory.file("s_server.log")
    let files = ["-cert", broker.directory.file("server.crt"), "-key", broker.directory.file("server.key")]
    let arguments = ["s_server", "-www", "-accept", "\(broker.port)", "-tlsextdebug"] + files
    let server = ChildProcess(program, arguments, outputPath: log)
    let device = Peer(try MQTTTransport(configuration: broker.configuration("kiosk-1", host: "localhost")))
    device.transport.connect()
    let isNamed = Peer.drive(device) {
      let text = String(decoding: TestFile.read(log) ?? [], as: UTF8.self)
      return text.contains("\"server name\" (id=0)") && text.contains("localhost")
    }
    #expect(isNamed)
    server?.signal(SIGTERM)
  }

  @Test func `a second client of the same name takes over`() throws {
    guard let broker = try TestBroker() else { return }
    var configuration = try broker.configuration("kiosk-1")
    configuration.reconnectMinimumMilliseconds = 60_000
    configuration.reconnectMaximumMilliseconds = 60_000
    let first = Peer(try MQTTTransport(configuration: configuration))
    first.transport.connect()
    #expect(Peer.drive(first) { first.connects == 1 })
    let second = Peer(try MQTTTransport(configuration: configuration))
    second.transport.connect()
    #expect(Peer.drive(first, second) { second.connects == 1 && first.disconnects.count == 1 })
    #expect(first.disconnects.first?.hasPrefix("lost the connection") == true, "\(first.disconnects)")
    #expect(second.disconnects.isEmpty)
  }

  @Test func `a broker that never answers is given up after the limit, without waiting for it in a call`() throws {
    guard let broker = try TestBroker(isStarted: false) else { return }
    let silent = Listener()
    var configuration = try broker.configuration("kiosk-1")
    configuration.port = silent.port
    let device = Peer(try MQTTTransport(configuration: configuration))
    let start = Peer.now()
    device.transport.connect()
    device.pump(readable: false, writable: false, now: start)
    #expect(device.transport.nextDeadline == start.advanced(bySeconds: 20))
    device.pump(readable: false, writable: true, now: start)
    #expect(!device.transport.wantsWrite, "it would spin while it waits for the handshake's answer")
    device.pump(readable: false, writable: false, now: start.advanced(bySeconds: 20))
    #expect(device.disconnects.count == 1)
    #expect(device.disconnects.first?.contains("no answer within 20 s") == true)
    #expect(device.transport.pollDescriptor == -1)
  }

  @Test func `a connection reset within the handshake is a failure and not a loop`() throws {
    guard let broker = try TestBroker(isStarted: false) else { return }
    let rude = Listener()
    var configuration = try broker.configuration("kiosk-1")
    configuration.port = rude.port
    configuration.reconnectMinimumMilliseconds = 60_000
    let device = Peer(try MQTTTransport(configuration: configuration))
    device.transport.connect()
    device.pump(readable: false, writable: false)
    device.pump(readable: false, writable: true)
    rude.resetOne()
    #expect(Peer.drive(device, limitSeconds: 60) { device.disconnects.count == 1 })
    #expect(device.pumps < 10)
  }

  @Test func `an idle connection sleeps until its next ping`() throws {
    guard let broker = try TestBroker() else { return }
    let device = try broker.peer("kiosk-1")
    device.transport.connect()
    device.transport.subscribe(desired, qos: 1)
    #expect(Peer.drive(device) { device.subscriptions(desired) == 1 })
    #expect(!device.transport.wantsWrite)
    let deadline = try #require(device.transport.nextDeadline)
    #expect(deadline.milliseconds(since: Peer.now()) > 15_000)
    #expect(device.pumps < 20)
  }

  @Test func `a broker that stops answering pings is lost`() throws {
    guard let broker = try TestBroker() else { return }
    var configuration = try broker.configuration("kiosk-1")
    configuration.keepAliveSeconds = 5
    let device = Peer(try MQTTTransport(configuration: configuration))
    device.transport.connect()
    #expect(Peer.drive(device) { device.connects == 1 })
    broker.freeze()
    #expect(Peer.drive(device, limitSeconds: 120) { !device.disconnects.isEmpty })
    #expect(device.disconnects.first?.hasPrefix("lost the connection") == true)
  }

  @Test func `files that cannot be used are named`() throws {
    guard let broker = try TestBroker(isStarted: false) else { return }
    let good = try broker.configuration("kiosk-1")
    var bad = good
    bad.keyFile = "/nowhere/device.key"
    #expect(message(bad).hasPrefix("the private key /nowhere/device.key cannot be used: "))
    bad = good
    bad.caFile = "/nowhere/ca.crt"
    #expect(message(bad).hasPrefix("the authority's certificate /nowhere/ca.crt cannot be used: "))
    bad = good
    _ = try broker.configuration("kiosk-2")
    bad.keyFile = broker.directory.file("kiosk-2.key")
    #expect(message(bad).contains("key values mismatch"))
    bad = good
    bad.port = 0
    #expect(message(bad).hasPrefix("port 0 "))
  }

  private func message(_ configuration: MQTTConfiguration) -> String {
    do {
      _ = try MQTTTransport(configuration: configuration)
      return "accepted"
    } catch { return error.message }
  }
}
