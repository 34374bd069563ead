import Glibc
import WherryModel

/// What comes to workloads from beyond the bridge, and what restricted ones may reach there. Each of these has a chain
/// of its own, to which a map leads from its address, so that coming and going touches nobody else's rules. Neighbours
/// on the bridge are not filtered: their packets never come as far as this.
extension NetfilterTable {
  private static let egressMap = "egress"
  private static let egressIdentifier: UInt32 = 2
  /// Who has that address, and: I have it (RFC 4861, 4.3 and 4.4).
  private static let neighbourMessages: [UInt8] = [135, 136]

  /// With the tables' other chains; empty until somebody is restricted.
  var egressFrame: [NetlinkMessage] {
    typealias Match = NetfilterExpression
    let fromBridge = Match.interface(.inputName, bridge)
    let toBridge = Match.interface(.outputName, bridge)
    let fromElsewhere = Match.interface(.inputName, bridge, isEqual: false)
    var messages = [
      chain("forward", type: "filter", hook: 2, priority: 0), chain("input", type: "filter", hook: 1, priority: 0),
      egressVerdicts(),
      // Whoever sends this machine packets for the subnet comes no further than published ports.
      rule("forward", fromElsewhere + toBridge + Match.isKnown + [Match.accept()]),
      rule("forward", fromElsewhere + toBridge + Match.isTranslated + [Match.accept()]),
      rule("forward", fromElsewhere + toBridge + [Match.drop()]),
      // A neighbour by its published port is a neighbour still.
      rule("forward", fromBridge + toBridge + [Match.accept()]),
    ]
    if family == .v6 {
      // Whom a workload cannot ask for an address it reaches nobody through.
      for type in Self.neighbourMessages {
        messages.append(
          rule(
            "input",
            fromBridge + [
              Match.meta(.transport), Match.compare([UInt8(IPPROTO_ICMPV6)]),
              Match.payload(.transport, offset: 0, length: 1), Match.compare([type]), Match.accept(),
            ]))
      }
    }
    for name in ["forward", "input"] {
      // Answers of published ports, too.
      messages.append(rule(name, fromBridge + Match.isKnown + [Match.accept()]))
      messages.append(
        rule(
          name,
          fromBridge + [
            Match.load(.source, family),
            Match.lookup(map: Self.egressMap, identifier: Self.egressIdentifier, into: Match.verdict),
          ]))
    }
    return messages
  }

  func egress(of lease: NetworkLease) -> [NetlinkMessage] {
    guard let rules = lease.egress, lease.address(family) != nil else { return [] }
    var messages = [plainChain(lease.link)]
    for allowed in rules where allowed.network.map({ $0.family == family }) ?? true {
      for transport in Self.transports(allowed) {
        messages.append(rule(lease.link, Self.match(allowed, transport) + [NetfilterExpression.accept()]))
      }
    }
    messages.append(rule(lease.link, [NetfilterExpression.drop()]))
    return messages + egressElements(.newElement, lease)
  }

  func egressRemoval(of lease: NetworkLease) -> [NetlinkMessage] {
    guard lease.egress != nil, lease.address(family) != nil else { return [] }
    return egressElements(.deleteElement, lease) + [emptyChain(lease.link), removedChain(lease.link)]
  }

  /// A port of neither is one of both.
  private static func transports(_ rule: EgressRule) -> [PublishedPort.Transport?] {
    rule.port != nil && rule.transport == nil ? [.tcp, .udp] : [rule.transport]
  }

  private static func match(
    _ rule: EgressRule, _ transport: PublishedPort.Transport?
  ) -> [NetfilterExpression.Part] {
    typealias Match = NetfilterExpression
    var parts: [Match.Part] = []
    if let network = rule.network, network.prefixLength > 0 { parts += Match.address(.destination, in: network) }
    if let transport { parts += [Match.meta(.transport), Match.compare([transport.number])] }
    if let port = rule.port {
      parts += [Match.payload(.transport, offset: 2, length: 2), Match.compare(NetlinkMessage.big(port))]
    }
    return parts
  }

  /// Source address to verdict (NFT_DATA_VERDICT), which has no length.
  private func egressVerdicts() -> NetlinkMessage {
    let key = (type: addressType, length: UInt32(family.byteCount))
    return map(Self.egressMap, Self.egressIdentifier, key: key, value: (0xffff_ff00, nil))
  }

  /// Of IPv6 a workload also has the address that its link gives itself, by which it reaches this machine.
  private func egressElements(_ kind: Kind, _ lease: NetworkLease) -> [NetlinkMessage] {
    let addresses = [lease.address(family), family == .v6 ? IPAddress.linkLocal(lease.hardwareAddress) : nil]
    return addresses.compactMap { $0.map { egressElement(kind, lease, $0) } }
  }

  private func egressElement(_ kind: Kind, _ lease: NetworkLease, _ address: IPAddress) -> NetlinkMessage {
    let isNew = kind == .newElement
    var message = message(
      kind, "\(isNew ? "restrict" : "release") \(lease.workload)", flags: isNew ? NetlinkFlag.create : 0)
    message.put(1, name)
    message.put(2, Self.egressMap)
    message.nest(3) {
      $0.nest(1) {
        $0.nest(1) { $0.put(1, address.bytes) }
        guard isNew else { return }
        $0.nest(2) {
          $0.nest(2) {
            $0.putBig(1, UInt32(bitPattern: -3))  // NFT_JUMP
            $0.put(2, lease.link)
          }
        }
      }
    }
    return message
  }

  private func plainChain(_ chain: String) -> NetlinkMessage {
    var message = message(.newChain, "write the chain \(chain)", flags: NetlinkFlag.create)
    message.put(1, name)
    message.put(3, chain)
    return message
  }

  private func emptyChain(_ chain: String) -> NetlinkMessage {
    var message = message(.deleteRule, "empty the chain \(chain)", flags: 0)
    message.put(1, name)
    message.put(2, chain)
    return message
  }

  private func removedChain(_ chain: String) -> NetlinkMessage {
    var message = message(.deleteChain, "remove the chain \(chain)", flags: 0)
    message.put(1, name)
    message.put(3, chain)
    return message
  }
}
