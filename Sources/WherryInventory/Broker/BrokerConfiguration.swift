import WherryWire

/// mosquitto.conf and its ACL, generated at every start: nobody edits them.
struct BrokerConfiguration {
  let listen: ListenAddress
  let files: IdentityFiles
  let directory: String
  /// The service's own user name: nil lets mosquitto change to its own when it was started by root.
  let user: String?

  var path: String { "\(directory)/mosquitto.conf" }
  private var accessPath: String { "\(directory)/acl" }

  func write(revoked: [String]) throws(Refusal) {
    try writeAccess(revoked: revoked)
    try SmallFile.write(Array(text.utf8), to: path, mode: 0o600)
  }

  /// A name that was removed loses its rights at once, whatever its certificate says: mosquitto reads this file
  /// again on SIGHUP.
  func writeAccess(revoked: [String]) throws(Refusal) {
    try SmallFile.write(Array(Self.access(revoked: revoked).utf8), to: accessPath, mode: 0o600)
  }

  private var text: String {
    var lines = ["# Written by wherry-inventory at each start.", "listener \(listen.port) \(listen.host)"]
    lines += Self.rules(
      authority: files.authority, certificate: files.serverCertificate, key: files.serverKey, access: accessPath)
    lines += [
      "persistence true",
      "persistence_location \(directory)/",
      "autosave_interval 60",
      "log_type error",
      "log_type warning",
      "log_dest stderr",
    ]
    if let user { lines.append("user \(user)") }
    return lines.joined(separator: "\n") + "\n"
  }
}

// MARK: - What every broker of the fleet needs, whoever runs it

extension BrokerConfiguration {
  /// The access file: a device speaks and reads under its own name alone.
  static func access(revoked: [String]) -> String {
    var lines = ["user \(Identity.serviceName)", "topic readwrite wherry/v1/#", ""]
    for name in revoked { lines += ["user \(name)", "topic deny #", ""] }
    lines += ["pattern readwrite \(Topic.root)%u/#", ""]
    return lines.joined(separator: "\n")
  }

  /// The settings behind the `listener` line; the arguments are absolute paths.
  static func rules(authority: String, certificate: String, key: String, access: String) -> [String] {
    [
      "cafile \(authority)",
      "certfile \(certificate)",
      "keyfile \(key)",
      "tls_version tlsv1.2",
      "require_certificate true",
      "use_identity_as_username true",
      "allow_anonymous false",
      "acl_file \(access)",
      // Nagle's algorithm costs every TLS connection 45 ms of delayed acknowledgement.
      "set_tcp_nodelay true",
      // The default of 1000 was seen to lose acknowledged QoS 1 messages (reference: 17 of 19 runs).
      "max_queued_messages 0",
      // The largest payload, 1 MiB, and its headers.
      "max_packet_size 1114112",
      "persistent_client_expiration 60d",
    ]
  }
}
