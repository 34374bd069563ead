import Glibc
import WherryModel

/// What restricted workloads may reach beyond the bridge. Each has a chain of its own, to which a map leads from its
/// address, so that coming and going touches nobody else's rules. Neighbours on the bridge are not filtered: their
/// packets never come as far as this.
extension NetfilterTable {
  private static let egressMap = "egress"
  private static let egressIdentifier: UInt32 = 2
  /// NF_CT_STATE_BIT of established and related connections (linux/netfilter/nf_conntrack_common.h).
  private static let knownConnections: UInt32 = 0x6

  /// With the tables' other chains; empty until somebody is restricted.
  var egressFrame: [NetlinkMessage] {
    typealias Match = NetfilterExpression
    var messages = [
      chain("egress-forward", type: "filter", hook: 2, priority: 0),
      chain("egress-input", type: "filter", hook: 1, priority: 0), egressVerdicts(),
    ]
    for name in ["egress-forward", "egress-input"] {
      // Answers of published ports, too.
      messages.append(
        rule(
          name,
          Match.interface(.inputName, bridge) + [
            Match.connection(.state), Match.mask(NetlinkMessage.native(Self.knownConnections)),
            Match.compare([0, 0, 0, 0], isEqual: false), Match.accept(),
          ]))
    }
    // A neighbour by its published port is a neighbour still.
    messages.append(
      rule(
        "egress-forward",
        Match.interface(.inputName, bridge) + Match.interface(.outputName, bridge) + [Match.accept()]))
    for name in ["egress-forward", "egress-input"] {
      messages.append(
        rule(
          name,
          Match.interface(.inputName, bridge) + [
            Match.payload(.network, offset: Match.Side.source.rawValue, length: 4),
            Match.lookup(map: Self.egressMap, identifier: Self.egressIdentifier, into: Match.verdict),
          ]))
    }
    return messages
  }

  func egress(of lease: NetworkLease) -> [NetlinkMessage] {
    guard let rules = lease.egress else { return [] }
    var messages = [plainChain(lease.link)]
    for allowed in rules {
      for transport in Self.transports(allowed) {
        messages.append(rule(lease.link, Self.match(allowed, transport) + [NetfilterExpression.accept()]))
      }
    }
    messages.append(rule(lease.link, [NetfilterExpression.drop()]))
    messages.append(egressElement(.newElement, lease))
    return messages
  }

  func egressRemoval(of lease: NetworkLease) -> [NetlinkMessage] {
    guard lease.egress != nil else { return [] }
    return [egressElement(.deleteElement, lease), emptyChain(lease.link), removedChain(lease.link)]
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
    if rule.prefixLength > 0 {
      parts += [
        Match.payload(.network, offset: Match.Side.destination.rawValue, length: 4),
        Match.mask(NetlinkMessage.big(rule.mask)), Match.compare(NetlinkMessage.big(rule.address)),
      ]
    }
    if let transport { parts += [Match.meta(.transport), Match.compare([transport.number])] }
    if let port = rule.port {
      parts += [Match.payload(.transport, offset: 2, length: 2), Match.compare(NetlinkMessage.big(port))]
    }
    return parts
  }

  /// Source address (ipv4_addr) to verdict (NFT_DATA_VERDICT), which has no length.
  private func egressVerdicts() -> NetlinkMessage {
    map(Self.egressMap, Self.egressIdentifier, key: (7, 4), value: (0xffff_ff00, nil))
  }

  private func egressElement(_ kind: Kind, _ lease: NetworkLease) -> NetlinkMessage {
    let isNew = kind == .newElement
    var message = message(
      kind, "\(isNew ? "restrict" : "release") \(lease.workload)", flags: isNew ? NetlinkFlag.create : 0)
    message.put(1, name)
    message.put(2, Self.egressMap)
    message.nest(3) {
      $0.nest(1) {
        $0.nest(1) { $0.put(1, lease.ipv4.bytes) }
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
