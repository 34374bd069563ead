import Testing
import WherryModel
import WherryTestSupport
import WherryWire

private final class MemoryLaboratory: TransportLaboratory {
  let broker = InMemoryBroker()

  func makeTransport(_ options: ClientOptions) throws -> any Transport { broker.client(options) }
  func interrupt() throws { broker.interrupt(keepingSessions: false) }
  func pullPlug(_ transport: any Transport, _ options: ClientOptions) throws { broker.cut(options.clientID) }
}

@Suite struct InMemoryTransportTests {
  @Test("the broker in memory keeps the transport's contract", arguments: TransportContract.Case.allCases)
  func contract(contractCase: TransportContract.Case) throws {
    try TransportContract(MemoryLaboratory()).check(contractCase)
  }

  @Test("a lost acknowledgement makes the client send again: the receiver sees it twice")
  func lostAcknowledgement() throws {
    let broker = InMemoryBroker()
    let service = DrivenTransport(broker.client(ClientOptions("inventory")))
    let device = DrivenTransport(broker.client(ClientOptions("kiosk-1")))
    service.transport.subscribe(Topic.allReported, qos: 1)
    for peer in [service, device] { peer.transport.connect() }
    #expect(DrivenTransport.drive([service, device]) { !service.connections.isEmpty && !device.connections.isEmpty })
    broker.acknowledgementsToLose = 1
    let token = device.say("report", on: "wherry/v1/devices/kiosk-1/reported")
    #expect(DrivenTransport.drive([service, device]) { device.published == [token] && service.texts.count == 2 })
  }

  @Test("while the broker is down clients try again and again")
  func down() {
    let broker = InMemoryBroker()
    broker.isDown = true
    let device = DrivenTransport(broker.client(ClientOptions("kiosk-1")))
    device.transport.connect()
    #expect(DrivenTransport.drive([device]) { device.disconnections == 3 })
    broker.isDown = false
    #expect(DrivenTransport.drive([device]) { device.connections == [false] })
  }

  @Test("a message that has expired is not delivered to a session that comes back")
  func expiry() {
    let broker = InMemoryBroker()
    let options = ClientOptions("kiosk-1", cleanStart: false, sessionExpirySeconds: 3_600)
    let commands = "wherry/v1/devices/kiosk-1/commands"
    let device = broker.client(options)
    let service = broker.client(ClientOptions("inventory"))
    device.subscribe(commands, qos: 1)
    device.connect()
    service.connect()
    _ = device.pump(readable: false, writable: false, now: Instant(milliseconds: 1))
    device.disconnect()
    _ = service.publish(commands, payload: [1], qos: 1, retain: false, expirySeconds: 60)
    _ = service.publish(commands, payload: [2], qos: 1, retain: false, expirySeconds: nil)
    _ = service.pump(readable: false, writable: false, now: Instant(milliseconds: 2))
    let back = broker.client(options)
    back.connect()
    let events = back.pump(readable: false, writable: false, now: Instant(milliseconds: 61_000))
    #expect(events == [.connected(sessionPresent: true), .received(TransportMessage(topic: commands, payload: [2]))])
  }
}
