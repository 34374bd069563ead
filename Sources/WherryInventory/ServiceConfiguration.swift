/// Where the service listens: `127.0.0.1:8443`, `[::1]:8443`, `0.0.0.0:8443`.
package struct ListenAddress: Hashable, Sendable, CustomStringConvertible {
  package var host: String
  package var port: Int

  package init(host: String, port: Int) {
    self.host = host
    self.port = port
  }

  package init?(_ text: String) {
    guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
      (0...65_535).contains(port)
    else { return nil }
    var host = String(text[..<colon])
    if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
    guard !host.isEmpty, !host.contains(" "), !host.contains("/") else { return nil }
    self.init(host: host, port: port)
  }

  package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

  /// Every address of the machine: no name that a device could connect to.
  package var isWildcard: Bool { host == "0.0.0.0" || host == "::" }

  /// Where this machine itself reaches what listens there.
  package var local: ListenAddress {
    switch host {
    case "0.0.0.0": ListenAddress(host: "127.0.0.1", port: port)
    case "::": ListenAddress(host: "::1", port: port)
    default: self
    }
  }
}

/// A broker that somebody else runs: `mqtts://broker.example.com:8883`.
package struct ExternalBroker: Hashable, Sendable {
  package var host: String
  package var port: Int

  package init?(_ text: String) {
    guard text.hasPrefix("mqtts://") else { return nil }
    let authority = String(text.dropFirst(8).prefix { $0 != "/" })
    guard let address = ListenAddress(authority.contains(":") ? authority : authority + ":8883") else { return nil }
    host = address.host
    port = address.port
  }
}

/// What `wherry-inventory serve` was asked to do.
package struct ServiceConfiguration: Sendable {
  package var dataDirectory: String
  package var listen = ListenAddress(host: "127.0.0.1", port: 8443)
  package var deviceListen = ListenAddress(host: "127.0.0.1", port: 8444)
  package var brokerListen = ListenAddress(host: "127.0.0.1", port: 8883)
  /// nil = mosquitto runs as the service's own child.
  package var externalBroker: ExternalBroker?
  /// Names and addresses that devices and operators reach the service by; the first is used in URLs. The service
  /// itself never dials them: they may lead through a router, or lead nowhere from this machine.
  package var publicHosts: [String] = []
  /// `host:port` of registries that may be asked over plain HTTP.
  package var insecureRegistries: Set<String> = []
  /// Looked up in PATH and the system directories.
  package var mosquitto: String = "mosquitto"
  /// Connections that have something under way at a shutdown are cut after so long.
  package var shutdownMaximum: Duration = .seconds(5)

  package init(dataDirectory: String) { self.dataDirectory = dataDirectory }

  /// The name that is handed out for what listens at `address`.
  package func publicHost(of address: ListenAddress) -> String {
    publicHosts.first ?? (address.isWildcard ? "localhost" : address.host)
  }

  /// Where the service finds its broker.
  package var brokerAddress: ListenAddress {
    externalBroker.map { ListenAddress(host: $0.host, port: $0.port) } ?? brokerListen.local
  }
}
