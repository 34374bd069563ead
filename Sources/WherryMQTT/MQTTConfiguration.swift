/// Where the broker is, who we are, and the limits of the connection.
package struct MQTTConfiguration: Sendable {
  package struct Will: Sendable {
    package var topic: String
    package var payload: [UInt8]
    package var qos: Int
    package var retain: Bool
    package init(topic: String, payload: [UInt8], qos: Int = 1, retain: Bool = true) {
      self.topic = topic
      self.payload = payload
      self.qos = qos
      self.retain = retain
    }
  }

  /// A DNS name or an IP address; the broker's certificate must carry it.
  package var host: String
  package var port: Int
  package var clientID: String
  /// PEM files: the one authority that is trusted, and our own certificate with its unencrypted key.
  package var caFile: String
  package var certificateFile: String
  package var keyFile: String
  /// What the broker publishes for us when the connection is lost.
  package var will: Will?
  package var keepAliveSeconds: Int = 60
  /// Forget the session that the broker may still hold for this client.
  package var cleanStart: Bool = true
  /// How long the broker keeps our subscriptions and messages after a disconnect.
  package var sessionExpirySeconds: UInt32 = 0
  package var reconnectMinimumMilliseconds: Int64 = 500
  package var reconnectMaximumMilliseconds: Int64 = 60_000
  /// Different on each device, so that a fleet does not come back in step.
  package var jitterSeed: UInt64 = 0
  /// From the start of an attempt to the broker's CONNACK.
  package var connectTimeoutMilliseconds: Int64 = 20_000
  /// Larger messages are refused, in both directions.
  package var payloadBytesMaximum: Int = 1 << 20
  /// QoS 1 messages on their way at the same time, in each direction; the broker may allow fewer.
  package var inflightMaximum: Int = 20
  /// QoS 1 messages that wait for a connection or for their turn; more are refused.
  package var outboxMaximum: Int = 10_000

  package init(
    host: String, port: Int, clientID: String, caFile: String, certificateFile: String, keyFile: String,
    will: Will? = nil
  ) {
    self.host = host
    self.port = port
    self.clientID = clientID
    self.caFile = caFile
    self.certificateFile = certificateFile
    self.keyFile = keyFile
    self.will = will
  }
}

/// A configuration that cannot work, whatever the network does.
package struct MQTTError: Error, Hashable, Sendable, CustomStringConvertible {
  package let message: String
  package init(_ message: String) { self.message = message }
  package var description: String { message }
}
