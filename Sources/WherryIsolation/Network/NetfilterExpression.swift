import Glibc
import WherryModel

/// The parts of a rule (linux/netfilter/nf_tables.h), as the `nft` program would compile them. All of them work on
/// the 16-byte registers 1 and 2, which are also 8 to 15 in words of four bytes.
enum NetfilterExpression {
  static let verdict: UInt32 = 0
  static let first: UInt32 = 1
  static let second: UInt32 = 9

  /// What follows an address in the first register.
  static func after(_ family: IPFamily) -> UInt32 { 8 + UInt32(family.byteCount / 4) }

  enum Meta: UInt32 {
    case inputName = 6
    case outputName = 7
    case transport = 16
  }

  enum Base: UInt32 {
    case network = 1
    case transport = 2
  }

  typealias Part = (inout NetlinkMessage) -> Void

  private static func expression(_ name: String, _ data: @escaping Part) -> Part {
    { message in
      message.nest(1) {  // NFTA_LIST_ELEM
        $0.put(1, name)
        $0.nest(2, data)
      }
    }
  }

  private static func value(_ type: UInt16, _ bytes: [UInt8]) -> Part {
    { message in message.nest(type) { $0.put(1, bytes) } }  // NFTA_DATA_VALUE
  }

  static func meta(_ key: Meta) -> Part {
    expression("meta") {
      $0.putBig(2, key.rawValue)
      $0.putBig(1, first)
    }
  }

  static func payload(_ base: Base, offset: UInt32, length: UInt32, into register: UInt32 = first) -> Part {
    expression("payload") {
      $0.putBig(1, register)
      $0.putBig(2, base.rawValue)
      $0.putBig(3, offset)
      $0.putBig(4, length)
    }
  }

  static func compare(_ bytes: [UInt8], isEqual: Bool = true) -> Part {
    expression("cmp") {
      $0.putBig(1, first)
      $0.putBig(2, isEqual ? 0 : 1)
      value(3, bytes)(&$0)
    }
  }

  static func mask(_ bits: [UInt8]) -> Part {
    expression("bitwise") {
      $0.putBig(1, first)
      $0.putBig(2, first)
      $0.putBig(3, UInt32(bits.count))
      value(4, bits)(&$0)
      value(5, [UInt8](repeating: 0, count: bits.count))(&$0)
    }
  }

  enum Connection: UInt32 {
    case state = 0
    case status = 2
  }

  /// `ct state`, `ct status`
  static func connection(_ key: Connection) -> Part {
    expression("ct") {
      $0.putBig(2, key.rawValue)
      $0.putBig(1, first)
    }
  }

  /// `fib daddr type`
  static func destinationKind() -> Part {
    expression("fib") {
      $0.putBig(3, 2)
      $0.putBig(2, 3)
      $0.putBig(1, first)
    }
  }

  /// What the map holds goes into a register, or as a verdict into effect. What it does not hold ends the rule.
  static func lookup(map: String, identifier: UInt32, into register: UInt32 = first) -> Part {
    expression("lookup") {
      $0.put(1, map)
      $0.putBig(2, first)
      $0.putBig(3, register)
      $0.putBig(4, identifier)
    }
  }

  static func destinationTranslation(_ family: IPFamily) -> Part {
    expression("nat") {
      $0.putBig(1, 1)
      $0.putBig(2, UInt32(family.number))
      $0.putBig(3, first)
      $0.putBig(5, after(family))
    }
  }

  static func masquerade() -> Part { expression("masq") { _ in } }

  static func drop() -> Part { immediate(0) }
  static func accept() -> Part { immediate(1) }

  private static func immediate(_ code: UInt32) -> Part {
    expression("immediate") {
      $0.putBig(1, verdict)
      $0.nest(2) { $0.nest(2) { $0.putBig(1, code) } }
    }
  }

  // MARK: Matches made of several

  /// `ct status dnat` (IPS_DST_NAT, linux/netfilter/nf_conntrack_common.h)
  static var isTranslated: [Part] {
    [
      connection(.status), mask(NetlinkMessage.native(UInt32(0x20))), compare([0, 0, 0, 0], isEqual: false),
    ]
  }

  /// `ct state established,related`
  static var isKnown: [Part] {
    [
      connection(.state), mask(NetlinkMessage.native(UInt32(0x6))), compare([0, 0, 0, 0], isEqual: false),
    ]
  }

  /// `iifname` or `oifname`: names are compared as 16 bytes.
  static func interface(_ key: Meta, _ name: String, isEqual: Bool = true) -> [Part] {
    let bytes = Array(name.utf8)
    return [meta(key), compare(bytes + [UInt8](repeating: 0, count: 16 - bytes.count), isEqual: isEqual)]
  }

  enum Side { case source, destination }

  /// The whole address, from the header of RFC 791 or RFC 8200.
  static func load(_ side: Side, _ family: IPFamily) -> Part {
    let source: UInt32 = family == .v4 ? 12 : 8
    let length = UInt32(family.byteCount)
    return payload(.network, offset: side == .source ? source : source + length, length: length)
  }

  static func address(_ side: Side, in network: IPNetwork) -> [Part] {
    [load(side, network.family), mask(network.mask), compare(network.address.bytes)]
  }

  static func address(_ side: Side, _ address: IPAddress) -> [Part] {
    [load(side, address.family), compare(address.bytes)]
  }
}

extension IPFamily {
  /// As sockets, netlink and netfilter number it.
  var number: UInt8 { UInt8(self == .v4 ? AF_INET : AF_INET6) }
}
