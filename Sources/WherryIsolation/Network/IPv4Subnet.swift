package struct IPv4Address: Hashable, Sendable, CustomStringConvertible {
  package let rawValue: UInt32

  package init(rawValue: UInt32) { self.rawValue = rawValue }

  /// Four decimal numbers; nothing else that inet_aton would take.
  package init?(_ text: String) {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var value: UInt32 = 0
    for part in parts {
      guard (1...3).contains(part.utf8.count), part.utf8.allSatisfy({ (48...57).contains($0) }), let byte = UInt8(part),
        part.utf8.count == 1 || part.utf8.first != 48
      else { return nil }
      value = value << 8 | UInt32(byte)
    }
    rawValue = value
  }

  /// In the order of the network.
  package var bytes: [UInt8] { NetlinkMessage.big(rawValue) }
  package var description: String { bytes.map(String.init).joined(separator: ".") }
}

/// `10.88.1.0/24`: the first host is the bridge, the others are for workloads.
package struct IPv4Subnet: Hashable, Sendable, CustomStringConvertible {
  package let network: IPv4Address
  package let prefixLength: Int

  init(network: IPv4Address, prefixLength: Int) {
    self.network = network
    self.prefixLength = prefixLength
  }

  /// nil unless it is a network address with room for a bridge and at least one workload.
  package init?(_ text: String) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, let network = IPv4Address(String(parts[0])), let length = Int(parts[1]),
      (8...30).contains(length)
    else { return nil }
    self.network = network
    prefixLength = length
    guard network.rawValue & ~mask == 0 else { return nil }
  }

  package var mask: UInt32 { ~0 << UInt32(32 - prefixLength) }
  package var gateway: IPv4Address { IPv4Address(rawValue: network.rawValue + 1) }
  package var broadcast: IPv4Address { IPv4Address(rawValue: network.rawValue | ~mask) }
  /// How many workloads it has room for.
  package var capacity: Int { Int(~mask) - 2 }
  package var description: String { "\(network)/\(prefixLength)" }

  /// The workload address with that number, from 0.
  package func host(_ number: Int) -> IPv4Address { IPv4Address(rawValue: network.rawValue + 2 + UInt32(number)) }

  package func number(of address: IPv4Address) -> Int? {
    let number = Int(address.rawValue) - Int(network.rawValue) - 2
    return (0..<capacity).contains(number) ? number : nil
  }
}
