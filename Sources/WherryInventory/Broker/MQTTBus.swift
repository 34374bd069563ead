import Synchronization
import WherryCrypto
import WherryMQTT
import WherryWire

/// The bus over mosquitto or any other MQTT 5 broker, on a thread of its own.
struct MQTTBus: MessageBus {
  private let thread: MQTTThread
  private let attempts: ConnectionAttempts

  /// - Parameter note: gets one line when the broker cannot be reached, and one for each other reason after that.
  init(broker: ListenAddress, files: IdentityFiles, note: @escaping @Sendable (String) -> Void) throws {
    // Two services on one fleet would otherwise throw each other out.
    let suffix = randomBytes(4).map { String($0, radix: 16) }.joined()
    var configuration = MQTTConfiguration(
      host: broker.host, port: broker.port, clientID: "wherry-inventory-\(suffix)", caFile: files.authority,
      certificateFile: files.clientCertificate, keyFile: files.clientKey)
    configuration.keepAliveSeconds = 15
    configuration.reconnectMinimumMilliseconds = 50
    configuration.reconnectMaximumMilliseconds = 5_000
    configuration.inflightMaximum = 1_000
    // The database is the outbox; this one only has to hold a burst.
    configuration.outboxMaximum = 1_000_000
    configuration.jitterSeed = randomBytes(8).reduce(0) { $0 << 8 | UInt64($1) }
    thread = try MQTTThread(configuration: configuration)
    attempts = ConnectionAttempts(note: note)
  }

  func start(onEvent: @escaping @Sendable (TransportEvent) -> Void) throws {
    try thread.start { [attempts] event in
      attempts.take(event)
      onEvent(event)
    }
  }

  func publish(_ message: BusMessage) -> Int {
    thread.publish(
      message.topic, payload: message.payload, qos: message.qos, retain: message.isRetained,
      expirySeconds: message.expirySeconds)
  }

  func subscribe(_ filter: String, qos: Int) { thread.subscribe(filter, qos: qos) }
  func stop() { thread.stop() }
}

/// Says why no connection to the broker comes about, once for each reason: attempts go on every few seconds for as long
/// as it takes, and a person who waits for the service wants to know what it waits for. The end of a connection that
/// stood is the engine's to tell.
final class ConnectionAttempts: Sendable {
  private struct State {
    var isConnected = false
    /// Noted last, since the last connection.
    var cause = ""
  }

  private let state = Mutex(State())
  private let note: @Sendable (String) -> Void

  init(note: @escaping @Sendable (String) -> Void) { self.note = note }

  func take(_ event: TransportEvent) {
    let cause: String? = state.withLock { state in
      switch event {
      case .connected:
        state = State(isConnected: true)
        return nil
      case .disconnected(let reason):
        // The time to the next attempt is another one each time.
        let cause = reason.firstRange(of: "; next attempt").map { String(reason[..<$0.lowerBound]) } ?? reason
        defer { state.isConnected = false }
        guard !state.isConnected, cause != state.cause else { return nil }
        state.cause = cause
        return cause
      case .received, .published, .subscribed, .refused: return nil
      }
    }
    if let cause { note("\(cause); it is tried again until it stands") }
  }
}
