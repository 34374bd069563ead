import Glibc
import WherryModel
import WherryWire

/// MQTT 5 over mutual TLS by libmosquitto, driven by its owner's poll loop: no call in here waits. Name look-ups run on
/// a short-lived thread, TCP connects and TLS handshakes go on whenever the descriptor is ready. What takes time on
/// the owner's thread is arithmetic: about a millisecond for the signatures of a handshake.
///
/// Messages are handed to libmosquitto only while connected and within the broker's limit in flight. The ones in flight
/// when a connection breaks are sent again by libmosquitto on the next one, in order; the others wait in `outbox`.
package final class MQTTTransport: Transport {
  enum Phase {
    case idle
    case waiting(until: Instant)
    case resolving(NameResolution, until: Instant)
    /// TCP, TLS, CONNECT and CONNACK; `others` are addresses to try when this one fails.
    case opening(until: Instant, others: [String])
    /// From CONNACK on.
    case open(since: Instant, keepAliveAt: Instant)
  }

  let configuration: MQTTConfiguration
  let client: MosquittoClient
  var phase = Phase.idle
  var backoff: MQTTBackoff
  var events: [TransportEvent] = []
  var outbox = Outbox()
  /// QoS 1 messages that libmosquitto holds, by its message identifier.
  var inflight: [Int32: (token: Int, topic: String)] = [:]
  var inflightMaximum: Int
  var keepAliveSeconds: Int
  var filters: [(filter: String, qos: Int)] = []
  /// Filters that the present connection has not been asked for: the last ones of `filters`.
  var unsubscribedCount = 0
  var pendingSubscriptions: [Int32: String] = [:]
  private var lastToken = 0

  package init(configuration: MQTTConfiguration) throws(MQTTError) {
    self.configuration = configuration
    client = try MosquittoClient(configuration: configuration)
    inflightMaximum = configuration.inflightMaximum
    keepAliveSeconds = configuration.keepAliveSeconds
    backoff = MQTTBackoff(
      minimumMilliseconds: configuration.reconnectMinimumMilliseconds,
      maximumMilliseconds: configuration.reconnectMaximumMilliseconds, seed: configuration.jitterSeed)
  }

  // MARK: - What to poll for

  package var pollDescriptor: Int32 {
    switch phase {
    case .idle, .waiting: -1
    case .resolving(let resolution, _): resolution.descriptor
    case .opening, .open: client.socket
    }
  }

  package var wantsWrite: Bool {
    switch phase {
    case .idle, .waiting, .resolving: false
    case .opening: client.wantsWrite
    case .open: client.wantsWrite || hasSomethingToSend
    }
  }

  package var nextDeadline: Instant? {
    if !events.isEmpty { return .zero }
    switch phase {
    case .idle: return nil
    case .waiting(let until), .resolving(_, let until), .opening(let until, _), .open(_, let until): return until
    }
  }

  // MARK: - Requests

  /// The attempt itself is made by the next `pump`, which is due at once.
  package func connect() {
    guard case .idle = phase else { return }
    phase = .waiting(until: .zero)
  }

  package func disconnect() {
    switch phase {
    case .idle: return
    case .waiting, .resolving: break
    case .opening: abandonSocket()
    case .open:
      flush()
      client.disconnect()
      abandonSocket()
    }
    phase = .idle
    // The acknowledgements that came in time; the end itself was asked for and is not told.
    takeHappenings(now: .zero)
    backoff.reset()
  }

  package func subscribe(_ filter: String, qos: Int) {
    guard !filters.contains(where: { $0.filter == filter }) else { return }
    filters.append((filter, qos))
    unsubscribedCount += 1
  }

  @discardableResult
  package func publish(_ topic: String, payload: [UInt8], qos: Int, retain: Bool, expirySeconds: UInt32?) -> Int {
    lastToken += 1
    publish(
      OutgoingMessage(
        token: lastToken, topic: topic, payload: payload, qos: qos, retain: retain, expirySeconds: expirySeconds))
    return lastToken
  }

  func publish(_ message: OutgoingMessage) {
    let size = message.payload.count
    if size > configuration.payloadBytesMaximum {
      refuse(message.topic, "\(size) bytes are more than the \(configuration.payloadBytesMaximum) that are allowed")
    } else if message.qos == 0, !isOpen {
      return  // At most once: without a connection, not at all.
    } else if outbox.count >= configuration.outboxMaximum {
      refuse(message.topic, "\(outbox.count) messages wait already")
    } else {
      outbox.append(message)
    }
  }

  private func refuse(_ topic: String, _ reason: String) {
    events.append(.refused("a message to \(topic) was not sent: \(reason)"))
  }

  private var isOpen: Bool {
    if case .open = phase { true } else { false }
  }

  // MARK: - Sending

  private var hasSomethingToSend: Bool {
    if unsubscribedCount > 0 { return true }
    guard let first = outbox.first else { return false }
    return first.qos == 0 || inflight.count < inflightMaximum
  }

  /// Hands on what may go now. Stops when the socket takes no more, so that waiting messages stay in our outbox, where
  /// they are counted.
  func flush() {
    while unsubscribedCount > 0 {
      let (filter, qos) = filters[filters.count - unsubscribedCount]
      unsubscribedCount -= 1
      switch client.subscribe(filter, qos: qos) {
      case .done(let messageID): pendingSubscriptions[messageID] = filter
      case .refused(let reason): events.append(.refused("a subscription to \(filter) was not sent: \(reason)"))
      case .broken: return
      }
    }
    while hasSomethingToSend, !client.wantsWrite, let message = outbox.first {
      outbox.removeFirst()
      switch client.publish(message) {
      case .done(let messageID):
        if message.qos > 0 { inflight[messageID] = (message.token, message.topic) }
      case .refused(let reason): refuse(message.topic, reason)
      case .broken(let messageID):
        if message.qos > 0 { inflight[messageID] = (message.token, message.topic) }
        return
      }
    }
  }
}
