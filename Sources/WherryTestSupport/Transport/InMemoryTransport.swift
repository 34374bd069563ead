import WherryModel
import WherryWire

/// A client of `InMemoryBroker`. There is no descriptor to poll: what happened comes out of the next `pump`.
package final class InMemoryTransport: Transport {
  private struct Outgoing {
    var token: Int
    var message: TransportMessage
    var qos: Int
    var expirySeconds: UInt32?
  }

  package let options: ClientOptions
  /// Fixed, so that tests can count on it.
  package var reconnectMilliseconds: Int64 = 20
  package private(set) var isConnected = false

  private let broker: InMemoryBroker
  private var isWanted = false
  private var retryAt: Instant?
  private var filters: [String] = []
  private var unsubscribed: [String] = []
  private var outgoing: [Outgoing] = []
  private var events: [TransportEvent] = []
  private var lastToken = 0
  private var now = Instant.zero

  init(_ broker: InMemoryBroker, _ options: ClientOptions) {
    self.broker = broker
    self.options = options
  }

  package var pollDescriptor: Int32 { -1 }
  package var wantsWrite: Bool { isConnected && !(outgoing.isEmpty && unsubscribed.isEmpty) }
  /// Zero, that is at once, while something waits to be told.
  package var nextDeadline: Instant? { events.isEmpty && !wantsWrite ? retryAt : .zero }

  package func connect() {
    isWanted = true
    retryAt = now
  }

  package func disconnect() {
    guard isWanted else { return }
    isWanted = false
    retryAt = nil
    // What was published before goes out first, as over a real connection.
    send()
    if isConnected { broker.leave(options.clientID, isOrderly: true) }
    isConnected = false
  }

  package func subscribe(_ filter: String, qos: Int) {
    if !filters.contains(filter) { filters.append(filter) }
    unsubscribed.append(filter)
  }

  package func publish(
    _ topic: String, payload: [UInt8], qos: Int, retain: Bool, expirySeconds: UInt32?
  ) -> Int {
    lastToken += 1
    // Without a connection QoS 0 is nothing that anybody would keep.
    guard qos > 0 || isConnected else { return lastToken }
    outgoing.append(
      Outgoing(
        token: lastToken, message: TransportMessage(topic: topic, payload: payload, isRetained: retain), qos: qos,
        expirySeconds: expirySeconds))
    return lastToken
  }

  package func pump(readable: Bool, writable: Bool, now: Instant) -> [TransportEvent] {
    self.now = now
    broker.advance(to: now)
    if let retryAt, retryAt <= now { join() }
    send()
    defer { events = [] }
    return events
  }

  private func join() {
    retryAt = nil
    guard let (isPresent, waiting) = broker.join(self) else {
      events.append(.disconnected(reason: "the broker is down"))
      retryAt = now.advanced(byMilliseconds: reconnectMilliseconds)
      return
    }
    isConnected = true
    events.append(.connected(sessionPresent: isPresent))
    unsubscribed = filters
    for message in waiting { take(message) }
  }

  private func send() {
    guard isConnected else { return }
    let subscriptions = unsubscribed
    unsubscribed = []
    for filter in subscriptions {
      let messages = broker.subscribe(options.clientID, filter)
      events.append(.subscribed(topicFilter: filter))
      for message in messages { take(message) }
    }
    while isConnected, let next = outgoing.first {
      broker.route(next.message, retain: next.message.isRetained, qos: next.qos, expirySeconds: next.expirySeconds)
      if next.qos > 0, broker.acknowledgementsToLose > 0 {
        broker.acknowledgementsToLose -= 1
        broker.cut(options.clientID)
        return
      }
      outgoing.removeFirst()
      if next.qos > 0 { events.append(.published(token: next.token)) }
    }
  }

  // MARK: For the broker

  func take(_ message: TransportMessage) { events.append(.received(message)) }

  func lose(_ reason: String) {
    isConnected = false
    outgoing.removeAll { $0.qos == 0 }
    events.append(.disconnected(reason: reason))
    if isWanted { retryAt = now.advanced(byMilliseconds: reconnectMilliseconds) }
  }
}
