import CMosquitto
import Glibc
import WherryWire

/// libmosquitto's client object and our TLS context. Its callbacks run only inside the calls below, on the caller's
/// thread; what they tell is collected and taken with `takeHappenings`.
final class MosquittoClient {
  enum Happening {
    /// CONNACK. `receiveMaximum`: QoS 1 messages that the broker takes at a time. `keepAliveSeconds`: when the broker
    /// insists on its own.
    case accepted(sessionPresent: Bool, receiveMaximum: Int, keepAliveSeconds: Int?)
    case connectionRefused(String)
    case lost(String)
    case message(TransportMessage)
    case acknowledged(messageID: Int32, refusal: String?)
    case granted(messageID: Int32, refusal: String?)
  }

  /// libmosquitto's result codes, those that need telling apart.
  enum Outcome: Equatable {
    case done(messageID: Int32)
    /// Not sent and not kept.
    case refused(String)
    /// The connection is gone or going; a QoS 1 message is kept for the next one.
    case broken(messageID: Int32)
  }

  private let client: OpaquePointer
  private let tls: OpaquePointer
  private var happenings: [Happening] = []
  /// libmosquitto tells the cause of a TLS failure to its log only.
  private var lastErrorLine: String?

  private static let isLibraryReady = {
    // OpenSSL writes without MSG_NOSIGNAL: a broker that closed the connection would end the whole process.
    signal(SIGPIPE, SIG_IGN)
    return mosquitto_lib_init() == Int32(MOSQ_ERR_SUCCESS.rawValue)
  }()

  init(configuration: MQTTConfiguration) throws(MQTTError) {
    tls = try Self.makeTLS(configuration)
    guard Self.isLibraryReady, let client = mosquitto_new(configuration.clientID, configuration.cleanStart, nil) else {
      wherry_tls_context_free(tls)
      throw MQTTError("the MQTT client identifier \"\(configuration.clientID.prefix(80))\" is not valid")
    }
    self.client = client
    // From here on `deinit` frees both.
    mosquitto_user_data_set(client, Unmanaged.passUnretained(self).toOpaque())
    mosquitto_int_option(client, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5)
    mosquitto_int_option(client, MOSQ_OPT_TCP_NODELAY, 1)
    let inflightMaximum = Int32(min(max(configuration.inflightMaximum, 1), 65_535))
    mosquitto_int_option(client, MOSQ_OPT_SEND_MAXIMUM, inflightMaximum)
    mosquitto_int_option(client, MOSQ_OPT_RECEIVE_MAXIMUM, inflightMaximum)
    mosquitto_int_option(client, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0)
    mosquitto_void_option(client, MOSQ_OPT_SSL_CTX, UnsafeMutableRawPointer(tls))
    setCallbacks()
    try setWill(configuration.will)
    try setConnectProperties(configuration)
  }

  deinit {
    mosquitto_destroy(client)
    wherry_tls_context_free(tls)
  }

  // MARK: - Configuration

  private static func makeTLS(_ configuration: MQTTConfiguration) throws(MQTTError) -> OpaquePointer {
    let isAddress: Int32 = NameResolution.literal(configuration.host) ? 1 : 0
    guard let tls = wherry_tls_context_new(configuration.host, isAddress) else {
      throw MQTTError("the broker's name \"\(configuration.host.prefix(80))\" is not a DNS name or IP address")
    }
    let problem: String? =
      if SSL_CTX_load_verify_file(tls, configuration.caFile) != 1 {
        "the authority's certificate \(configuration.caFile)"
      } else if SSL_CTX_use_certificate_chain_file(tls, configuration.certificateFile) != 1 {
        "the certificate \(configuration.certificateFile)"
      } else if wherry_tls_use_key_file(tls, configuration.keyFile) != 1 {
        "the private key \(configuration.keyFile)"
      } else { nil }
    guard let problem else { return tls }
    let reason = ERR_reason_error_string(ERR_peek_last_error()).map { String(cString: $0) } ?? "unknown cause"
    ERR_clear_error()
    wherry_tls_context_free(tls)
    throw MQTTError("\(problem) cannot be used: \(reason); provision the device again or restore the file")
  }

  private func setWill(_ will: MQTTConfiguration.Will?) throws(MQTTError) {
    guard let will else { return }
    let code = mosquitto_will_set_v5(
      client, will.topic, Int32(will.payload.count), will.payload, Int32(will.qos), will.retain, nil)
    guard code == Self.success else {
      throw MQTTError("the last will for \(will.topic) is not valid: \(Self.text(code))")
    }
  }

  private func setConnectProperties(_ configuration: MQTTConfiguration) throws(MQTTError) {
    var properties: OpaquePointer?
    defer { mosquitto_property_free_all(&properties) }
    let topicBytesMaximum = 1024
    mosquitto_property_add_int32(
      &properties, Int32(MQTT_PROP_SESSION_EXPIRY_INTERVAL.rawValue), configuration.sessionExpirySeconds)
    mosquitto_property_add_int32(
      &properties, Int32(MQTT_PROP_MAXIMUM_PACKET_SIZE.rawValue),
      UInt32(configuration.payloadBytesMaximum + topicBytesMaximum))
    guard (1...65_535).contains(configuration.port), (5...65_535).contains(configuration.keepAliveSeconds) else {
      throw MQTTError(
        "port \(configuration.port) or keep-alive \(configuration.keepAliveSeconds) s is out of range "
          + "(1 to 65535, 5 to 65535)")
    }
    // libmosquitto 2.0 takes connect properties only in its blocking connect. It stores them before it looks at the
    // port, so this stores them and does nothing else.
    mosquitto_connect_bind_v5(client, configuration.host, -1, Int32(configuration.keepAliveSeconds), nil, properties)
  }

  // MARK: - Connection

  var socket: Int32 { mosquitto_socket(client) }
  var wantsWrite: Bool { wherry_wants_write(client) != 0 }
  var isInHandshake: Bool { wherry_tls_in_handshake(client) != 0 }

  /// Begins a connection to a numeric address; nothing in here waits. nil on success.
  func open(address: String, port: Int, keepAliveSeconds: Int) -> String? {
    lastErrorLine = nil
    mosquitto_log_callback_set(client) { _, object, level, line in
      guard level == MOSQ_LOG_ERR, let line else { return }
      MosquittoClient.from(object)?.lastErrorLine = String(cString: line)
    }
    let code = mosquitto_connect_async(client, address, Int32(port), Int32(keepAliveSeconds))
    return code > Self.success ? failure(code) : nil
  }

  /// Each gives nil or the reason for which the connection cannot go on.
  func read() -> String? { outcome(mosquitto_loop_read(client, 1)) }
  func write() -> String? { outcome(mosquitto_loop_write(client, 1)) }
  func keepAlive() -> String? { outcome(mosquitto_loop_misc(client)) }

  /// Sends DISCONNECT, so that the broker does not publish the last will.
  func disconnect() { mosquitto_disconnect_v5(client, 0, nil) }

  func takeHappenings() -> [Happening] {
    defer { happenings.removeAll(keepingCapacity: happenings.capacity <= 64) }
    return happenings
  }

  // MARK: - Requests

  func publish(_ message: OutgoingMessage) -> Outcome {
    var properties: OpaquePointer?
    defer { mosquitto_property_free_all(&properties) }
    if let seconds = message.expirySeconds {
      mosquitto_property_add_int32(&properties, Int32(MQTT_PROP_MESSAGE_EXPIRY_INTERVAL.rawValue), seconds)
    }
    var messageID: Int32 = 0
    let code = mosquitto_publish_v5(
      client, &messageID, message.topic, Int32(message.payload.count), message.payload, Int32(message.qos),
      message.retain, properties)
    return outcome(code, messageID: messageID)
  }

  func subscribe(_ filter: String, qos: Int) -> Outcome {
    var messageID: Int32 = 0
    return outcome(mosquitto_subscribe_v5(client, &messageID, filter, Int32(qos), 0, nil), messageID: messageID)
  }

  private func outcome(_ code: Int32, messageID: Int32) -> Outcome {
    switch code {
    case Self.success: return .done(messageID: messageID)
    case Int32(MOSQ_ERR_INVAL.rawValue), Int32(MOSQ_ERR_MALFORMED_UTF8.rawValue),
      Int32(MOSQ_ERR_PAYLOAD_SIZE.rawValue), Int32(MOSQ_ERR_OVERSIZE_PACKET.rawValue),
      Int32(MOSQ_ERR_QOS_NOT_SUPPORTED.rawValue), Int32(MOSQ_ERR_NOMEM.rawValue):
      return .refused(Self.text(code))
    default: return messageID == 0 ? .refused(Self.text(code)) : .broken(messageID: messageID)
    }
  }

  // MARK: - Texts

  private static let success = Int32(MOSQ_ERR_SUCCESS.rawValue)

  private func outcome(_ code: Int32) -> String? { code == Self.success ? nil : failure(code) }

  /// With the cause from the log, where OpenSSL's own words end up: `…:certificate verify failed`.
  private func failure(_ code: Int32) -> String {
    guard let line = lastErrorLine, let reason = line.split(separator: ":").last else { return Self.text(code) }
    let certificate = wherry_tls_certificate_problem(tls).map { " (\(String(cString: $0)))" } ?? ""
    return "\(reason)\(certificate)"
  }

  private static func text(_ code: Int32) -> String {
    switch code {
    // libmosquitto's word for anything that TLS found wrong; without a line in its log, the connection had ended.
    case Int32(MOSQ_ERR_ERRNO.rawValue) where errno == EPROTO: "the broker closed the connection"
    case Int32(MOSQ_ERR_ERRNO.rawValue): String(cString: strerror(errno))
    case Int32(MOSQ_ERR_TLS.rawValue): "the TLS handshake failed"
    case 128...255: String(cString: mosquitto_reason_string(code))
    default: String(cString: mosquitto_strerror(code))
    }
  }

  // MARK: - Callbacks

  private static func from(_ object: UnsafeMutableRawPointer?) -> MosquittoClient? {
    object.map { Unmanaged<MosquittoClient>.fromOpaque($0).takeUnretainedValue() }
  }

  private func setCallbacks() {
    mosquitto_connect_v5_callback_set(client) { client, object, code, flags, properties in
      guard let self = MosquittoClient.from(object) else { return }
      guard code == 0 else {
        self.happenings.append(.connectionRefused(MosquittoClient.text(code)))
        return
      }
      var maximum: UInt16 = 65_535
      mosquitto_property_read_int16(properties, Int32(MQTT_PROP_RECEIVE_MAXIMUM.rawValue), &maximum, false)
      var seconds: UInt16 = 0
      mosquitto_property_read_int16(properties, Int32(MQTT_PROP_SERVER_KEEP_ALIVE.rawValue), &seconds, false)
      // From now on its log would only be formatted to be thrown away, several lines for each message.
      mosquitto_log_callback_set(client, nil)
      self.happenings.append(
        .accepted(
          sessionPresent: flags & 1 == 1, receiveMaximum: Int(maximum),
          keepAliveSeconds: seconds == 0 ? nil : Int(seconds)))
    }
    mosquitto_disconnect_v5_callback_set(client) { _, object, code, _ in
      guard let self = MosquittoClient.from(object) else { return }
      self.happenings.append(.lost(code == 0 ? "closed" : self.failure(code)))
    }
    mosquitto_message_v5_callback_set(client) { _, object, message, _ in
      guard let self = MosquittoClient.from(object), let message, let topic = message.pointee.topic else { return }
      let bytes = UnsafeRawBufferPointer(start: message.pointee.payload, count: Int(message.pointee.payloadlen))
      self.happenings.append(
        .message(
          TransportMessage(
            topic: String(cString: topic), payload: Array(bytes), isRetained: message.pointee.retain)))
    }
    mosquitto_publish_v5_callback_set(client) { _, object, messageID, code, _ in
      // A code below 128 is a success, among them "no matching subscribers".
      let refusal = code >= 128 ? MosquittoClient.text(code) : nil
      MosquittoClient.from(object)?.happenings.append(.acknowledged(messageID: messageID, refusal: refusal))
    }
    mosquitto_subscribe_v5_callback_set(client) { _, object, messageID, count, granted, _ in
      let code = count > 0 ? granted?.pointee ?? 128 : 128
      let refusal = code >= 128 ? MosquittoClient.text(code) : nil
      MosquittoClient.from(object)?.happenings.append(.granted(messageID: messageID, refusal: refusal))
    }
  }
}

struct OutgoingMessage {
  var token: Int
  var topic: String
  var payload: [UInt8]
  var qos: Int
  var retain: Bool
  var expirySeconds: UInt32?
}
