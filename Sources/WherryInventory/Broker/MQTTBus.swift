import WherryMQTT
import WherryWire

/// The bus over mosquitto or any other MQTT 5 broker, on a thread of its own.
struct MQTTBus: MessageBus {
  func start(onEvent: @escaping @Sendable (TransportEvent) -> Void) throws {}
  func publish(_ message: BusMessage) -> Int { 0 }
  func subscribe(_ filter: String, qos: Int) {}
  func stop() {}
  init(host: String, port: Int, files: IdentityFiles) {}
}
