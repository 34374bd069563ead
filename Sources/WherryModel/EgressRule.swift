/// What a container may reach beyond its bridge: `10.0.0.0/8`, `192.0.2.7:443`, `*:443/tcp`, `10.1.0.0/16:53/udp`.
package struct EgressRule: Hashable, Sendable, CustomStringConvertible {
  package static let countMaximum = 64

  /// Of IPv4, the network's first; 0 with `prefixLength` 0 = everywhere.
  package var address: UInt32
  package var prefixLength: Int
  /// Nil = every port.
  package var port: UInt16?
  /// Nil = both, and without a port every other protocol, too.
  package var transport: PublishedPort.Transport?

  package init(address: UInt32, prefixLength: Int, port: UInt16? = nil, transport: PublishedPort.Transport? = nil) {
    self.address = address
    self.prefixLength = prefixLength
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
    if let colon = rest.lastIndex(of: ":") {
      guard let port = UInt16(rest[rest.index(after: colon)...]), port > 0 else { return nil }
      self.port = port
      rest = rest[..<colon]
    }
    if rest == "*" {
      (address, prefixLength) = (0, 0)
      return
    }
    let halves = rest.split(separator: "/", omittingEmptySubsequences: false)
    guard halves.count <= 2, let address = Self.address(halves[0]) else { return nil }
    var length = 32
    if halves.count == 2 {
      guard let number = Int(halves[1]), (0...32).contains(number) else { return nil }
      length = number
    }
    self.address = address
    prefixLength = length
    guard address & ~mask == 0 else { return nil }
  }

  /// Four decimal numbers without leading zeros.
  private static func address(_ text: Substring) -> UInt32? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var value: UInt32 = 0
    for part in parts {
      guard let byte = UInt8(part), "\(byte)" == part else { return nil }
      value = value << 8 | UInt32(byte)
    }
    return value
  }

  package var mask: UInt32 { prefixLength == 0 ? 0 : ~0 << UInt32(32 - prefixLength) }

  package var description: String {
    let bytes = [24, 16, 8, 0].map { "\(address >> UInt32($0) & 0xff)" }.joined(separator: ".")
    var text = prefixLength == 0 ? "*" : prefixLength == 32 ? bytes : "\(bytes)/\(prefixLength)"
    if let port { text += ":\(port)" }
    if let transport { text += "/" + transport.rawValue }
    return text
  }
}
