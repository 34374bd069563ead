import Glibc
import WherryModel

/// The agent's own nftables table, one for each family of addresses: translation for its subnet and its published
/// ports. Written as one transaction, so there is never half of it; a port is one element of a map, added and removed
/// without touching a rule.
final class NetfilterTable {
  private static let subsystem: UInt16 = 10
  private static let mapName = "ports"
  private static let mapIdentifier: UInt32 = 1

  enum Kind: UInt16 {
    case newTable = 0
    case deleteTable = 2
    case newChain = 3
    case deleteChain = 5
    case newRule = 6
    case deleteRule = 8
    case newSet = 9
    case newElement = 12
    case deleteElement = 14
  }

  let name: String
  let bridge: String
  let subnet: Subnet
  /// Where published ports answer.
  let publication: Publication
  /// Kept open: closing it after something was removed waits for a grace period of the kernel, several milliseconds.
  private var socket: NetlinkSocket?

  init(name: String, bridge: String, subnet: Subnet, publication: Publication) {
    self.name = name
    self.bridge = bridge
    self.subnet = subnet
    self.publication = publication
  }

  var family: IPFamily { subnet.family }

  /// Creates the table or replaces it. Connections that are under way keep their translation.
  func install(_ leases: [NetworkLease]) throws(NetlinkError) {
    var messages = [table(.newTable), table(.deleteTable), table(.newTable)]
    messages += [
      chain("guard", type: "filter", hook: 0, priority: -300),
      chain("prerouting", type: "nat", hook: 0, priority: -100),
      chain("output", type: "nat", hook: 3, priority: -100),
      chain("postrouting", type: "nat", hook: 4, priority: 100),
      ports(),
    ]
    messages += rules() + egressFrame
    for lease in leases { messages += publication(of: lease) }
    try commit(messages)
  }

  func remove() throws(NetlinkError) {
    // Creating it first makes removing it succeed whether it was there or not.
    try commit([table(.newTable), table(.deleteTable)])
  }

  func publish(_ lease: NetworkLease) throws(NetlinkError) {
    let messages = publication(of: lease)
    if !messages.isEmpty { try commit(messages) }
  }

  /// What a lease without an address of this family has: nothing.
  private func publication(of lease: NetworkLease) -> [NetlinkMessage] {
    egress(of: lease) + (isPublished(lease) ? elements(.newElement, lease).map { [$0] } ?? [] : [])
  }

  private func isPublished(_ lease: NetworkLease) -> Bool { !lease.ports.isEmpty && publication != .nowhere }

  func withdraw(_ lease: NetworkLease) throws(NetlinkError) {
    if isPublished(lease), let removal = elements(.deleteElement, lease) {
      try commit([removal], tolerating: [ENOENT])
    }
    let removal = egressRemoval(of: lease)
    if !removal.isEmpty { try commit(removal, tolerating: [ENOENT]) }
  }

  private func openSocket() throws(NetlinkError) -> NetlinkSocket {
    if let socket { return socket }
    let opened = try NetlinkSocket(.netfilter)
    socket = opened
    return opened
  }

  private func commit(_ messages: [NetlinkMessage], tolerating tolerated: Set<Int32> = []) throws(NetlinkError) {
    // struct nfgenmsg: family, version, subsystem in network order.
    let body: [UInt8] = [0, 0, 0, UInt8(Self.subsystem)]
    try openSocket().transaction(
      messages, begin: NetlinkMessage("begin", type: 16, flags: 0, body: body),
      end: NetlinkMessage("end", type: 17, flags: 0, body: body), tolerating: tolerated)
  }

  func message(_ kind: Kind, _ purpose: String, flags: UInt16) -> NetlinkMessage {
    NetlinkMessage(
      "\(purpose) in the nftables table \(name)", type: Self.subsystem << 8 | kind.rawValue, flags: flags,
      body: [family.number, 0, 0, 0])
  }

  private func table(_ kind: Kind) -> NetlinkMessage {
    var message = message(kind, "write", flags: kind == .newTable ? NetlinkFlag.create : 0)
    message.put(1, name)
    return message
  }

  func chain(_ chain: String, type: String, hook: UInt32, priority: Int32) -> NetlinkMessage {
    var message = message(.newChain, "write the chain \(chain)", flags: NetlinkFlag.create)
    message.put(1, name)
    message.put(3, chain)
    message.put(7, type)
    message.nest(4) {
      $0.putBig(1, hook)
      $0.putBig(2, UInt32(bitPattern: priority))
    }
    return message
  }

  /// Of `nft`: ipv4_addr or ipv6_addr.
  var addressType: UInt32 { family == .v4 ? 7 : 8 }

  /// Protocol and port to address and port. How `nft list` shows it: types 12 (inet_proto) . 13 (inet_service) to
  /// the address . 13, six bits each.
  private func ports() -> NetlinkMessage {
    let length = UInt32(family.byteCount + 4)
    return map(Self.mapName, Self.mapIdentifier, key: (12 << 6 | 13, 8), value: (addressType << 6 | 13, length))
  }

  func map(
    _ map: String, _ identifier: UInt32, key: (type: UInt32, length: UInt32), value: (type: UInt32, length: UInt32?)
  ) -> NetlinkMessage {
    var message = message(.newSet, "write the map \(map)", flags: NetlinkFlag.create)
    message.put(1, name)
    message.put(2, map)
    message.putBig(3, 0x8)  // a map
    message.putBig(4, key.type)
    message.putBig(5, key.length)
    message.putBig(6, value.type)
    if let length = value.length { message.putBig(7, length) }
    message.putBig(10, identifier)
    return message
  }

  private func elements(_ kind: Kind, _ lease: NetworkLease) -> NetlinkMessage? {
    guard let address = lease.address(family) else { return nil }
    let isNew = kind == .newElement
    var message = message(
      kind, "\(isNew ? "publish" : "withdraw") ports of \(lease.workload)",
      flags: isNew ? NetlinkFlag.create | NetlinkFlag.exclusive : 0)
    message.put(1, name)
    message.put(2, Self.mapName)
    message.nest(3) {
      for port in lease.ports {
        let key = [port.transport.number, 0, 0, 0] + NetlinkMessage.big(port.host) + [0, 0]
        let value = address.bytes + NetlinkMessage.big(port.container) + [0, 0]
        $0.nest(1) {
          $0.nest(1) { $0.put(1, key) }
          if isNew { $0.nest(2) { $0.put(1, value) } }
        }
      }
    }
    return message
  }

  func rule(_ chain: String, _ parts: [NetfilterExpression.Part]) -> NetlinkMessage {
    var message = message(
      .newRule, "write a rule of the chain \(chain)", flags: NetlinkFlag.create | NetlinkFlag.append)
    message.put(1, name)
    message.put(2, chain)
    message.nest(4) { for part in parts { part(&$0) } }
    return message
  }

  private func rules() -> [NetlinkMessage] {
    typealias Match = NetfilterExpression
    let toBridge = Match.interface(.outputName, bridge)
    var rules = translations
    // Out into the world.
    rules.append(
      rule(
        "postrouting",
        Match.address(.source, in: subnet.network) + Match.interface(.outputName, bridge, isEqual: false)
          + [Match.masquerade()]))
    if let loopback = IPNetwork(family == .v4 ? "127.0.0.0/8" : "::1") {
      if family == .v4 {
        // `route_localnet` on the bridge lets answers back to 127.0.0.1; without this rule a workload could use it to
        // reach what listens on the host's loopback only.
        let fromBridge = Match.interface(.inputName, bridge)
        rules.append(rule("guard", fromBridge + Match.address(.destination, in: loopback) + [Match.drop()]))
      }
      // From the host's loopback to a published port: the workload could not answer to 127.0.0.1.
      rules.append(
        rule("postrouting", Match.address(.source, in: loopback) + toBridge + [Match.masquerade()]))
    }
    // From one workload to another by its published port: the answer must come back the same way.
    rules.append(
      rule(
        "postrouting",
        Match.address(.source, in: subnet.network) + toBridge + Match.isTranslated + [Match.masquerade()]))
    return rules
  }

  private var translations: [NetlinkMessage] {
    typealias Match = NetfilterExpression
    let published: [Match.Part]
    switch publication {
    case .nowhere: return []
    case .everywhere: published = [Match.destinationKind(), Match.compare(NetlinkMessage.native(UInt32(2)))]
    case .at(let address): published = Match.address(.destination, address)
    }
    let translate: [Match.Part] = [
      Match.meta(.transport), Match.payload(.transport, offset: 2, length: 2, into: Match.second),
      Match.lookup(map: Self.mapName, identifier: Self.mapIdentifier), Match.destinationTranslation(family),
    ]
    return ["prerouting", "output"].map { rule($0, published + translate) }
  }
}

/// Where published ports answer.
enum Publication: Hashable, Sendable {
  case everywhere
  case at(IPAddress)
  case nowhere
}

extension PublishedPort.Transport {
  /// As in the IP header.
  var number: UInt8 {
    switch self {
    case .tcp: UInt8(IPPROTO_TCP)
    case .udp: UInt8(IPPROTO_UDP)
    }
  }
}
