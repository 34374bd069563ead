import WherryModel
import WherryOCI
import WherryWire

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
  /// Credentials, mirrors and token servers of registries.
  package private(set) var registries = RegistrySettings()
  /// Of images that name none.
  package private(set) var defaultRegistry = ImageReference.defaultRegistry
  /// Looked up in PATH and the system directories.
  package var mosquitto: String = "mosquitto"
  /// Connections that have something under way at a shutdown are cut after so long.
  package var shutdownMaximum: Duration = .seconds(5)

  package init(dataDirectory: String) { self.dataDirectory = dataDirectory }

  /// The name that is handed out for what listens at `address`.
  package func publicHost(of address: ListenAddress) -> String {
    publicHosts.first ?? (address.isWildcard ? "localhost" : address.host)
  }

  /// How image references may name the service's own registry. On a loopback or wildcard address it is this machine's,
  /// so its usual names are the service's, too.
  package var registryHosts: Set<String> {
    var hosts = publicHosts + [publicHost(of: listen), listen.host]
    if listen.isWildcard || ["localhost", "127.0.0.1"].contains(listen.host) { hosts += ["localhost", "127.0.0.1"] }
    let names = hosts.map { $0.lowercased() }.filter { $0 != "0.0.0.0" && !$0.contains(":") }
    return Set(names.map { "\($0):\(listen.port)" } + (listen.port == 443 ? names : []))
  }

  /// Where the service finds its broker.
  package var brokerAddress: ListenAddress {
    externalBroker.map { ListenAddress(host: $0.host, port: $0.port) } ?? brokerListen.local
  }
}

/// The words of `--registry-…`. Refusals say what is wrong with them and not where they stood.
extension ServiceConfiguration {
  /// A file in Docker's form, which is read now to see that it can be.
  package mutating func setRegistryAuth(_ path: String) throws(Failure) {
    _ = try RegistryCredentialSource.file(path)
    registries.authFile = path
  }

  /// `[USER@]HOST=COMMAND`.
  package mutating func addRegistryCredential(_ text: String) throws(Failure) {
    let (name, command) = try Self.assignment(text)
    try registries.addCommand(command, for: name)
  }

  /// `HOST=MIRROR`.
  package mutating func addRegistryMirror(_ text: String) throws(Failure) {
    let (name, mirror) = try Self.assignment(text)
    try registries.addMirrors(mirror, for: name)
  }

  /// `HOST=TOKENHOST`.
  package mutating func addRegistryTokenServer(_ text: String) throws(Failure) {
    let (name, server) = try Self.assignment(text)
    try registries.addTokenServers(server, for: name)
  }

  package mutating func setDefaultRegistry(_ text: String) throws(Failure) {
    guard let host = RegistryHost(text) else {
      throw Self.refusal("it is not a registry's host with optional port", "write registry.example.com")
    }
    defaultRegistry = host.authority
  }

  private static func assignment(_ text: String) throws(Failure) -> (String, String) {
    guard let equals = text.firstIndex(of: "=") else {
      throw refusal("it has no equals sign", "write the registry's host, =, and what belongs to it")
    }
    return (String(text[..<equals]), String(text[text.index(after: equals)...]))
  }

  private static func refusal(_ message: String, _ remedy: String) -> Failure {
    Failure(.internalError, code: "configuration.invalid", message: message, remedy: remedy)
  }
}
