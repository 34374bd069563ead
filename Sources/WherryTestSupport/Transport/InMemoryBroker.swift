import WherryModel
import WherryWire

/// What a client tells the broker of itself.
package struct ClientOptions: Hashable, Sendable {
  package var clientID: String
  package var will: TransportMessage?
  package var cleanStart: Bool
  /// 0 = the session ends with the connection.
  package var sessionExpirySeconds: UInt32

  package init(
    _ clientID: String, will: TransportMessage? = nil, cleanStart: Bool = true, sessionExpirySeconds: UInt32 = 0
  ) {
    self.clientID = clientID
    self.will = will
    self.cleanStart = cleanStart
    self.sessionExpirySeconds = sessionExpirySeconds
  }
}

/// An MQTT 5 broker's behaviour, as far as Wherry relies on it, without a network: retained messages, QoS 1, sessions,
/// last wills, message expiry. Single-threaded. A test breaks it at will.
package final class InMemoryBroker {
  struct Session {
    var subscriptions: [String] = []
    /// QoS 1 messages that the client has not taken.
    var waiting: [Delivery] = []
    var outlivesConnection = false
    var client: InMemoryTransport?
    var will: TransportMessage?
  }

  struct Delivery {
    var message: TransportMessage
    /// On the clock of `now`.
    var expires: Instant?
  }

  /// While true, no connection is accepted and those that were there are broken.
  package var isDown = false {
    didSet { if isDown { interrupt(keepingSessions: false) } }
  }
  /// The next so many PUBACKs get lost with the connection that they should have travelled on: the client sends again.
  package var acknowledgementsToLose = 0
  /// Moves with the latest `pump`.
  private(set) var now = Instant.zero
  private var sessions: [String: Session] = [:]
  private var retained: [String: Delivery] = [:]

  package init() {}

  package func client(_ options: ClientOptions) -> InMemoryTransport { InMemoryTransport(self, options) }

  /// Breaks every connection; the broker is back at once.
  package func interrupt(keepingSessions: Bool = true) {
    for clientID in sessions.keys.sorted() { cut(clientID) }
    if !keepingSessions { sessions = [:] }
  }

  /// Breaks one connection as a pulled plug does: the last will is published.
  package func cut(_ clientID: String) {
    guard let client = sessions[clientID]?.client else { return }
    client.lose("the connection was cut")
    leave(clientID, isOrderly: false)
  }

  package func retainedMessage(_ topic: String) -> TransportMessage? { retained[topic]?.message }

  // MARK: For the clients

  func advance(to instant: Instant) { now = max(now, instant) }

  func join(_ client: InMemoryTransport) -> (sessionPresent: Bool, waiting: [TransportMessage])? {
    guard !isDown else { return nil }
    let options = client.options
    if let other = sessions[options.clientID]?.client, other !== client {
      other.lose("another client of the same name took over")
      leave(options.clientID, isOrderly: false)
    }
    if options.cleanStart { sessions[options.clientID] = nil }
    let isPresent = sessions[options.clientID] != nil
    var session = sessions[options.clientID] ?? Session()
    let waiting = alive(session.waiting)
    session.waiting = []
    session.client = client
    session.will = options.will
    session.outlivesConnection = options.sessionExpirySeconds > 0
    sessions[options.clientID] = session
    return (isPresent, waiting)
  }

  func leave(_ clientID: String, isOrderly: Bool) {
    guard var session = sessions[clientID] else { return }
    let will = isOrderly ? nil : session.will
    session.client = nil
    session.will = nil
    sessions[clientID] = session.outlivesConnection ? session : nil
    if let will { route(will, retain: will.isRetained, qos: 1, expirySeconds: nil) }
  }

  /// The retained messages that the subscription brings.
  func subscribe(_ clientID: String, _ filter: String) -> [TransportMessage] {
    if sessions[clientID]?.subscriptions.contains(filter) == false {
      sessions[clientID]?.subscriptions.append(filter)
    }
    return retained.keys.sorted().filter { Self.matches(filter, $0) }.compactMap { topic in
      guard let delivery = retained[topic], !isExpired(delivery) else { return nil }
      return TransportMessage(topic: topic, payload: delivery.message.payload, isRetained: true)
    }
  }

  func route(_ message: TransportMessage, retain: Bool, qos: Int, expirySeconds: UInt32?) {
    let delivery = Delivery(
      message: TransportMessage(topic: message.topic, payload: message.payload),
      expires: expirySeconds.map { now.advanced(bySeconds: Int($0)) })
    if retain { retained[message.topic] = message.payload.isEmpty ? nil : delivery }
    for clientID in sessions.keys.sorted() {
      guard let session = sessions[clientID], session.subscriptions.contains(where: { Self.matches($0, message.topic) })
      else { continue }
      if let client = session.client {
        client.take(delivery.message)
      } else if qos > 0 {
        sessions[clientID]?.waiting.append(delivery)
      }
    }
  }

  private func isExpired(_ delivery: Delivery) -> Bool { delivery.expires.map { $0 <= now } ?? false }
  private func alive(_ deliveries: [Delivery]) -> [TransportMessage] {
    deliveries.filter { !isExpired($0) }.map(\.message)
  }

  /// MQTT 5 §4.7.
  static func matches(_ filter: String, _ topic: String) -> Bool {
    let filters = filter.split(separator: "/", omittingEmptySubsequences: false)
    let segments = topic.split(separator: "/", omittingEmptySubsequences: false)
    for (index, part) in filters.enumerated() {
      if part == "#" { return true }
      guard index < segments.count, part == "+" || part == segments[index] else { return false }
    }
    return filters.count == segments.count
  }
}
