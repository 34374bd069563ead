import WherryCrypto
import WherryMQTT
import WherryWire

/// The bus over mosquitto or any other MQTT 5 broker, on a thread of its own.
struct MQTTBus: MessageBus {
  private let thread: MQTTThread

  init(host: String, port: Int, files: IdentityFiles) throws {
    // Two services on one fleet would otherwise throw each other out.
    let suffix = randomBytes(4).map { String($0, radix: 16) }.joined()
    var configuration = MQTTConfiguration(
      host: host, port: port, clientID: "wherry-inventory-\(suffix)", caFile: files.authority,
      certificateFile: files.clientCertificate, keyFile: files.clientKey)
    configuration.keepAliveSeconds = 15
    configuration.reconnectMinimumMilliseconds = 50
    configuration.reconnectMaximumMilliseconds = 5_000
    configuration.inflightMaximum = 1_000
    // The database is the outbox; this one only has to hold a burst.
    configuration.outboxMaximum = 1_000_000
    configuration.jitterSeed = randomBytes(8).reduce(0) { $0 << 8 | UInt64($1) }
    thread = try MQTTThread(configuration: configuration)
  }

  func start(onEvent: @escaping @Sendable (TransportEvent) -> Void) throws { try thread.start(onEvent: onEvent) }

  func publish(_ message: BusMessage) -> Int {
    thread.publish(
      message.topic, payload: message.payload, qos: message.qos, retain: message.isRetained,
      expirySeconds: message.expirySeconds)
  }

  func subscribe(_ filter: String, qos: Int) { thread.subscribe(filter, qos: qos) }
  func stop() { thread.stop() }
}
