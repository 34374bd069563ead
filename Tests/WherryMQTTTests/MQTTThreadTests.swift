import Glibc
import Synchronization
import Testing
import WherryMQTT
import WherryTestSupport
import WherryWire

/// Events of a thread, and a way to wait for a condition on them.
private final class Record: Sendable {
  private let events = Mutex<[TransportEvent]>([])
  private let signal: (read: Int32, write: Int32)

  init() {
    var pair: [Int32] = [0, 0]
    precondition(pipe(&pair) == 0, "no pipe")
    signal = (pair[0], pair[1])
  }

  deinit {
    close(signal.read)
    close(signal.write)
  }

  func add(_ event: TransportEvent) {
    events.withLock { $0.append(event) }
    var byte: UInt8 = 1
    _ = write(signal.write, &byte, 1)
  }

  func wait(until isMet: ([TransportEvent]) -> Bool) -> Bool {
    let limit = Peer.now().advanced(bySeconds: 30)
    while !events.withLock({ isMet($0) }) {
      let left = limit.milliseconds(since: Peer.now())
      var entry = pollfd(fd: signal.read, events: Int16(POLLIN), revents: 0)
      guard left > 0, poll(&entry, 1, Int32(left)) > 0 else { return false }
      var bytes = [UInt8](repeating: 0, count: 4096)
      _ = read(signal.read, &bytes, bytes.count)
    }
    return true
  }

  var all: [TransportEvent] { events.withLock { $0 } }
}

@Suite struct MQTTThreadTests {
  @Test func `publishes from many threads all arrive and are acknowledged by their tokens`() async throws {
    guard let broker = try TestBroker() else { return }
    var configuration = try broker.configuration(TestBroker.service)
    configuration.inflightMaximum = 1000
    let thread = try MQTTThread(configuration: configuration)
    let record = Record()
    thread.subscribe("wherry/v1/devices/+/desired")
    try thread.start { record.add($0) }
    #expect(record.wait { $0.contains(.subscribed(topicFilter: "wherry/v1/devices/+/desired")) })
    let tokens = await withTaskGroup(of: [Int].self) { group in
      for device in 0..<4 {
        group.addTask {
          (0..<1000).map { index in
            thread.publish("wherry/v1/devices/kiosk-\(device)/desired", payload: Array("\(index)".utf8))
          }
        }
      }
      return await group.reduce(into: []) { $0 += $1 }
    }
    #expect(Set(tokens) == Set(1...4000))
    let isComplete = record.wait { events in events.count >= 2 + 8000 }
    #expect(isComplete, "\(record.all.count)")
    thread.stop()
    var received: [String: [String]] = [:]
    var published: Set<Int> = []
    for event in record.all {
      switch event {
      case .received(let message):
        received[message.topic, default: []].append(String(decoding: message.payload, as: UTF8.self))
      case .published(let token): published.insert(token)
      case .connected, .disconnected, .subscribed, .refused: continue
      }
    }
    #expect(published == Set(tokens))
    #expect(received.count == 4)
    for texts in received.values { #expect(texts == (0..<1000).map { "\($0)" }) }
    #expect(!record.all.contains { if case .disconnected = $0 { true } else { false } })
  }

  @Test func `stopping sends what was given before, and needs no broker to end`() throws {
    guard let broker = try TestBroker() else { return }
    let listener = try broker.peer("kiosk-1")
    let topic = "wherry/v1/devices/kiosk-1/desired"
    listener.transport.subscribe(topic, qos: 1)
    listener.transport.connect()
    #expect(Peer.drive(listener) { listener.subscriptions(topic) == 1 })
    let record = Record()
    let thread = try MQTTThread(configuration: broker.configuration(TestBroker.service))
    try thread.start { record.add($0) }
    #expect(record.wait { $0.contains { if case .connected = $0 { true } else { false } } })
    thread.publish(topic, payload: Array("last words".utf8))
    thread.stop()
    #expect(Peer.drive(listener) { listener.texts == ["last words"] })
    broker.kill()
    let alone = try MQTTThread(configuration: broker.configuration(TestBroker.service))
    try alone.start { record.add($0) }
    alone.stop()
  }
}
