import WherryModel

/// What agent.conf says of the bridge.
package struct NetworkSettings: Hashable, Sendable {
  package enum IPv6: Hashable, Sendable {
    /// With a subnet that follows from the agent's name, where the machine has IPv6.
    case auto
    case off
    case subnet(String)
  }

  /// `10.88.1.0/24`
  package var subnet: String
  package var ipv6: IPv6
  /// Where published ports answer; nil = every local address.
  package var publishAddress: String?
  /// The same of IPv6; nil = every local address, but none where `publishAddress` names one.
  package var publishAddress6: String?

  package init(subnet: String, ipv6: IPv6 = .off, publishAddress: String? = nil, publishAddress6: String? = nil) {
    self.subnet = subnet
    self.ipv6 = ipv6
    self.publishAddress = publishAddress
    self.publishAddress6 = publishAddress6
  }

  var isIPv6Must: Bool { if case .subnet = ipv6 { true } else { false } }

  func ipv4() throws(Failure) -> (subnet: Subnet, publication: Publication) {
    guard let parsed = Subnet(subnet), parsed.family == .v4 else {
      throw Failure(
        .internalError, code: "network.subnet", message: "the subnet \"\(subnet)\" is not one that workloads can use",
        remedy: "set subnet in agent.conf to a network such as 10.88.0.0/24, between /8 and /30")
    }
    return (parsed, try Self.address(publishAddress, .v4).map(Publication.at) ?? .everywhere)
  }

  /// Nil = none.
  func ipv6(_ agentID: String) throws(Failure) -> (subnet: Subnet, publication: Publication)? {
    let text: String
    switch ipv6 {
    case .off: return nil
    case .auto: text = Self.uniqueNetwork(agentID)
    case .subnet(let given): text = given
    }
    guard let parsed = Subnet(text), parsed.family == .v6 else {
      throw Failure(
        .internalError, code: "network.subnet", message: "the subnet \"\(text)\" is not one that workloads can use",
        remedy: "set subnet6 in agent.conf to a network such as fd12:3456:789a::/64, between /32 and /104, auto or off")
    }
    let address = try Self.address(publishAddress6, .v6)
    return (parsed, address.map(Publication.at) ?? (publishAddress == nil ? .everywhere : .nowhere))
  }

  private static func address(_ text: String?, _ family: IPFamily) throws(Failure) -> IPAddress? {
    guard let text else { return nil }
    if let address = IPAddress(text), address.family == family { return address }
    let (key, kind) = family == .v4 ? ("publish_address", "IPv4") : ("publish_address6", "IPv6")
    throw Failure(
      .internalError, code: "network.publishAddress",
      message: "the publish address \"\(text)\" is not an \(kind) address",
      remedy: "set \(key) in agent.conf to an address of this machine, or leave it out")
  }

  /// A unique local one (RFC 4193): the same on every start, another for each agent of a machine.
  static func uniqueNetwork(_ agentID: String) -> String {
    let hash = NetlinkMessage.big(StableHash.wide("wherry/" + agentID))
    return IPAddress(bytes: [0xfd] + hash[..<5] + [UInt8](repeating: 0, count: 10)).description + "/64"
  }
}
