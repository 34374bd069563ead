import WherryModel

package struct TransportMessage: Hashable, Sendable {
  package var topic: String
  package var payload: [UInt8]
  package var isRetained: Bool
  package init(topic: String, payload: [UInt8], isRetained: Bool = false) {
    self.topic = topic
    self.payload = payload
    self.isRetained = isRetained
  }
}

package enum TransportEvent: Hashable, Sendable {
  /// Subscriptions are renewed by the transport itself.
  case connected(sessionPresent: Bool)
  case disconnected(reason: String)
  case received(TransportMessage)
  /// The broker took over the QoS 1 message that `publish` gave this token. It proves nothing about the receiver.
  case published(token: Int)
  case subscribed(topicFilter: String)
  /// The broker will not do something that was asked; one sentence.
  case refused(String)
}

/// A connection to the broker. Single-threaded: the owner polls `pollDescriptor` and pumps. Reconnecting, with jittered
/// backoff, is the transport's own affair; its timers show in `nextDeadline`.
package protocol Transport: AnyObject {
  /// -1 while there is nothing to poll.
  var pollDescriptor: Int32 { get }
  var wantsWrite: Bool { get }
  /// Boot clock, milliseconds.
  var nextDeadline: Instant? { get }

  func connect()
  func pump(readable: Bool, writable: Bool, now: Instant) -> [TransportEvent]
  func subscribe(_ filter: String, qos: Int)
  /// Returns a token that `published` will name for QoS 1. While disconnected a QoS 1 message is kept and sent later.
  @discardableResult
  func publish(_ topic: String, payload: [UInt8], qos: Int, retain: Bool, expirySeconds: UInt32?) -> Int
  func disconnect()
}
