import WherryModel

/// `10.88.1.0/24`, `fd00:1::/64`: the first host is the bridge, the others are for workloads. A workload has the same
/// number in both subnets of its agent.
package struct Subnet: Hashable, Sendable, CustomStringConvertible {
  /// Below this many bits nothing of an address differs between workloads: link names have room for no more.
  private static let hostBitsMaximum = 24

  package let network: IPNetwork

  /// nil unless it is a network address with room for a bridge and at least one workload; of IPv6 with room for as many
  /// as a subnet of IPv4 can have.
  package init?(_ text: String) {
    guard text.contains("/"), let network = IPNetwork(text) else { return nil }
    let lengths = network.family == .v4 ? 8...30 : 32...104
    guard lengths.contains(network.prefixLength) else { return nil }
    self.network = network
  }

  package var family: IPFamily { network.family }
  package var prefixLength: Int { network.prefixLength }
  package var description: String { network.description }
  private var hostBits: Int { min(Self.hostBitsMaximum, 8 * family.byteCount - prefixLength) }

  package var gateway: IPAddress { address(1) }
  /// Of IPv4 only.
  package var broadcast: IPAddress { address(1 << UInt32(hostBits) - 1) }
  /// How many workloads it has room for.
  package var capacity: Int { 1 << hostBits - 3 }

  /// The workload address with that number, from 0.
  package func host(_ number: Int) -> IPAddress { address(2 + UInt32(number)) }

  package func number(of address: IPAddress) -> Int? {
    guard network.contains(address) else { return nil }
    let number = Int(Self.last(address)) & (1 << hostBits - 1) - 2
    return (0..<capacity).contains(number) && host(number) == address ? number : nil
  }

  private func address(_ number: UInt32) -> IPAddress {
    let bytes = network.address.bytes
    return IPAddress(bytes: bytes.dropLast(4) + NetlinkMessage.big(Self.last(network.address) + number))
  }

  private static func last(_ address: IPAddress) -> UInt32 {
    address.bytes.suffix(4).reduce(0) { $0 << 8 | UInt32($1) }
  }
}

extension IPAddress {
  /// What a link with that hardware address calls itself among its neighbours (RFC 4291, appendix A).
  static func linkLocal(_ hardware: [UInt8]) -> IPAddress {
    let start: [UInt8] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, hardware[0] ^ 2]
    return IPAddress(bytes: start + [hardware[1], hardware[2], 0xff, 0xfe] + hardware[3...])
  }
}
