/// What a container may reach beyond its bridge: `10.0.0.0/8`, `192.0.2.7:443`, `*:443/tcp`, `10.1.0.0/16:53/udp`,
/// `2001:db8::/32`, `[2001:db8::/32]:443/tcp`.
package struct EgressRule: Hashable, Sendable, CustomStringConvertible {
  package static let countMaximum = 64

  /// Nil = everywhere.
  package var network: IPNetwork?
  /// Nil = every port.
  package var port: UInt16?
  /// Nil = both, and without a port every other protocol, too.
  package var transport: PublishedPort.Transport?

  package init(network: IPNetwork?, port: UInt16? = nil, transport: PublishedPort.Transport? = nil) {
    self.network = network
    self.port = port
    self.transport = transport
  }

  /// Nil when it is not spelt like that, or the address has bits set beyond the prefix.
  package init?(_ text: String) {
    var rest = text.lowercased()[...]
    for transport in [PublishedPort.Transport.tcp, .udp] where rest.hasSuffix("/" + transport.rawValue) {
      self.transport = transport
      rest = rest.dropLast(4)
      break
    }
    var place = rest
    if rest.hasPrefix("["), let end = rest.firstIndex(of: "]") {
      place = rest[rest.index(after: rest.startIndex)..<end]
      rest = rest[rest.index(after: end)...]
      guard rest.isEmpty || rest.hasPrefix(":"), place.contains(":") else { return nil }
    } else if rest.firstIndex(of: ":") == rest.lastIndex(of: ":"), let colon = rest.firstIndex(of: ":") {
      place = rest[..<colon]
      rest = rest[colon...]
    } else {
      rest = ""
    }
    if !rest.isEmpty {
      guard let port = UInt16(rest.dropFirst()), port > 0 else { return nil }
      self.port = port
    }
    guard place != "*" else { return }
    guard let network = IPNetwork(place) else { return nil }
    self.network = network
  }

  package var description: String {
    var text = network?.description ?? "*"
    if let port { text = network?.family == .v6 ? "[\(text)]:\(port)" : "\(text):\(port)" }
    if let transport { text += "/" + transport.rawValue }
    return text
  }
}
