import WherryMQTT
import WherryModel
import WherryWire

/// The engine's way to the broker. The engine owns what must not be lost (its outbox); a bus may lose anything that
/// it has not reported as `published`.
package protocol MessageBus: Sendable {
  /// `onEvent` may block, which stops reading from the broker: that is the back pressure.
  func start(onEvent: @escaping @Sendable (TransportEvent) -> Void) throws
  /// The token comes back in `.published` once the broker has acknowledged; only called while connected.
  func publish(_ message: BusMessage) -> Int
  func subscribe(_ filter: String, qos: Int)
  func stop()
}

package struct BusMessage: Hashable, Sendable {
  package var topic: String
  package var payload: [UInt8]
  package var qos: Int
  package var isRetained: Bool
  package var expirySeconds: UInt32?
  package init(
    topic: String, payload: [UInt8], qos: Int = 1, isRetained: Bool = false, expirySeconds: UInt32? = nil
  ) {
    self.topic = topic
    self.payload = payload
    self.qos = qos
    self.isRetained = isRetained
    self.expirySeconds = expirySeconds
  }
}
