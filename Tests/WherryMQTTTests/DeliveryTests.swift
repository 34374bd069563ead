import Testing
import WherryMQTT
import WherryTestSupport
import WherryWire

/// Against a real mosquitto: what is delivered, to whom, and what is refused.
@Suite struct DeliveryTests {
  private let desired = "wherry/v1/devices/kiosk-1/desired"
  private let reported = "wherry/v1/devices/kiosk-1/reported"

  @Test func `messages go both ways and are acknowledged by token`() throws {
    guard let broker = try TestBroker() else { return }
    let service = try broker.peer(TestBroker.service)
    let device = try broker.peer("kiosk-1")
    service.transport.subscribe("wherry/v1/devices/+/reported", qos: 1)
    device.transport.subscribe(desired, qos: 1)
    service.transport.connect()
    device.transport.connect()
    let isReady = Peer.drive(service, device) {
      service.subscriptions("wherry/v1/devices/+/reported") == 1 && device.subscriptions(desired) == 1
    }
    #expect(isReady, "\(service.events) \(device.events) \(broker.log)")
    let first = service.say("plan", on: desired)
    let second = device.say("done", on: reported)
    let isDelivered = Peer.drive(service, device) {
      device.texts == ["plan"] && service.texts == ["done"] && service.published == [first]
        && device.published == [second]
    }
    #expect(isDelivered, "\(service.events) \(device.events)")
    #expect(device.messages.first == TransportMessage(topic: desired, payload: Array("plan".utf8)))
  }

  @Test func `a retained message waits for its subscriber, and an empty one removes it`() throws {
    guard let broker = try TestBroker() else { return }
    let service = try broker.peer(TestBroker.service)
    service.transport.connect()
    service.say("old", on: desired, retain: true)
    let last = service.say("new", on: desired, retain: true)
    #expect(Peer.drive(service) { service.published.contains(last) })
    let device = try broker.peer("kiosk-1")
    device.transport.subscribe(desired, qos: 1)
    device.transport.connect()
    #expect(Peer.drive(service, device) { !device.messages.isEmpty })
    #expect(device.texts == ["new"])
    #expect(device.messages.first?.isRetained == true)
    let removal = service.say("", on: desired, retain: true)
    #expect(Peer.drive(service, device) { service.published.contains(removal) && device.messages.count == 2 })
    let later = try broker.peer("kiosk-1")
    later.transport.subscribe("wherry/v1/devices/kiosk-1/#", qos: 1)
    later.transport.connect()
    let marker = "wherry/v1/devices/kiosk-1/commands"
    #expect(Peer.drive(later) { later.subscriptions("wherry/v1/devices/kiosk-1/#") == 1 })
    service.say("marker", on: marker)
    #expect(Peer.drive(service, later) { !later.messages.isEmpty })
    #expect(later.texts == ["marker"])
  }

  @Test func `the last will is published for a lost device and not for one that says goodbye`() throws {
    guard let broker = try TestBroker() else { return }
    let presence = "wherry/v1/devices/kiosk-1/presence"
    let service = try broker.peer(TestBroker.service)
    service.transport.subscribe("wherry/v1/devices/+/presence", qos: 1)
    service.transport.connect()
    #expect(Peer.drive(service) { service.subscriptions("wherry/v1/devices/+/presence") == 1 })
    var configuration = try broker.configuration("kiosk-1")
    configuration.will = .init(topic: presence, payload: Array("offline".utf8))

    let polite = Peer(try MQTTTransport(configuration: configuration))
    polite.transport.connect()
    polite.say("online 1", on: presence)
    #expect(Peer.drive(service, polite) { service.texts == ["online 1"] && polite.published == [1] })
    polite.say("bye", on: presence)
    polite.transport.disconnect()
    #expect(polite.transport.pollDescriptor == -1)
    #expect(Peer.drive(service, polite) { service.texts == ["online 1", "bye"] })

    var lost: Peer? = Peer(try MQTTTransport(configuration: configuration))
    lost?.transport.connect()
    lost?.say("online 2", on: presence)
    if let lost { #expect(Peer.drive(service, lost) { service.texts.last == "online 2" }) }
    lost = nil
    #expect(Peer.drive(service) { service.texts == ["online 1", "bye", "online 2", "offline"] })
  }

  @Test func `a message to another device's topic is refused, and hearing it is too`() throws {
    guard let broker = try TestBroker() else { return }
    let foreign = "wherry/v1/devices/kiosk-2/reported"
    let device = try broker.peer("kiosk-1")
    device.transport.subscribe("wherry/v1/devices/kiosk-2/#", qos: 1)
    device.transport.subscribe(desired, qos: 1)
    device.transport.connect()
    device.say("forged", on: foreign)
    #expect(Peer.drive(device) { !device.refusals.isEmpty && device.subscriptions(desired) == 1 })
    #expect(
      device.refusals == [
        "the broker refused a message to wherry/v1/devices/kiosk-2/reported: Not authorized"
      ])
    let service = try broker.peer(TestBroker.service)
    service.transport.connect()
    // Debian's 2.0.11 also drops a client for a refused message; retained ones are there when it is back.
    service.say("secret", on: "wherry/v1/devices/kiosk-2/desired", retain: true)
    service.say("ours", on: desired, retain: true)
    let isDelivered = Peer.drive(service, device) { !device.messages.isEmpty && service.published.count == 2 }
    #expect(isDelivered, "\(device.events) \(service.events) \(broker.log)")
    #expect(device.texts == ["ours"])
    #expect(device.published.isEmpty)
  }

  @Test func `a payload beyond the limit is refused on its way out and dropped on its way in`() throws {
    guard let broker = try TestBroker() else { return }
    let device = try broker.peer("kiosk-1")
    device.transport.subscribe(desired, qos: 1)
    device.transport.connect()
    #expect(Peer.drive(device) { device.subscriptions(desired) == 1 })
    let large = [UInt8](repeating: 7, count: (1 << 20) + 1)
    device.transport.publish(reported, payload: large, qos: 1, retain: false, expirySeconds: nil)
    #expect(Peer.drive(device) { device.refusals.count == 1 })
    #expect(
      device.refusals.first == "a message to \(reported) was not sent: 1048577 bytes are more than the 1048576 "
        + "that are allowed")
    var configuration = try broker.configuration(TestBroker.service)
    configuration.payloadBytesMaximum = 4 << 20
    let service = Peer(try MQTTTransport(configuration: configuration))
    service.transport.connect()
    service.transport.publish(desired, payload: large + large, qos: 1, retain: false, expirySeconds: nil)
    service.transport.publish(
      desired, payload: Array(large.dropLast()), qos: 1, retain: false, expirySeconds: nil)
    service.say("small", on: desired)
    #expect(Peer.drive(service, device) { device.messages.count == 2 })
    #expect(device.messages.map(\.payload.count) == [1 << 20, 5])
    #expect(device.connects == 1)
    #expect(device.disconnects.isEmpty)
  }

  @Test func `an invalid topic is refused with its name`() throws {
    guard let broker = try TestBroker() else { return }
    let device = try broker.peer("kiosk-1")
    device.transport.connect()
    device.say("x", on: "wherry/v1/devices/+/reported")
    #expect(Peer.drive(device) { device.refusals.count == 1 })
    #expect(device.refusals.first?.hasPrefix("a message to wherry/v1/devices/+/reported was not sent: ") == true)
    #expect(device.disconnects.isEmpty)
  }

  @Test func `a session that outlives its connection keeps messages`() throws {
    guard let broker = try TestBroker() else { return }
    var configuration = try broker.configuration("kiosk-1")
    configuration.cleanStart = false
    configuration.sessionExpirySeconds = 600
    let commands = "wherry/v1/devices/kiosk-1/commands"
    let first = Peer(try MQTTTransport(configuration: configuration))
    first.transport.subscribe(commands, qos: 1)
    first.transport.connect()
    #expect(Peer.drive(first) { first.subscriptions(commands) == 1 })
    first.transport.disconnect()
    let service = try broker.peer(TestBroker.service)
    service.transport.connect()
    let token = service.say("restart", on: commands)
    #expect(Peer.drive(service) { service.published == [token] })
    let second = Peer(try MQTTTransport(configuration: configuration))
    second.transport.connect()
    #expect(Peer.drive(second) { second.texts == ["restart"] })
    #expect(second.events.contains(.connected(sessionPresent: true)))
  }

  @Test func `a thousand messages arrive once each and in order`() throws {
    guard let broker = try TestBroker() else { return }
    let service = try broker.peer(TestBroker.service)
    let device = try broker.peer("kiosk-1")
    service.transport.subscribe("wherry/v1/devices/+/reported", qos: 1)
    service.transport.connect()
    device.transport.connect()
    #expect(Peer.drive(service, device) { service.connects == 1 && service.events.count >= 2 })
    let expected = (0..<1000).map { "report \($0)" }
    for text in expected { device.say(text, on: reported) }
    #expect(Peer.drive(service, device) { service.messages.count >= 1000 && device.published.count == 1000 })
    #expect(service.texts == expected)
    #expect(device.published == Array(1...1000))
  }
}
