import Glibc
import WherryModel

/// Links, addresses and routes (rtnetlink(7)). Names of constants are those of linux/rtnetlink.h and if_link.h.
enum RouteRequest {
  private static let newLink: UInt16 = 16
  private static let deleteLink: UInt16 = 17
  private static let getLink: UInt16 = 18
  private static let newAddress: UInt16 = 20
  private static let getAddress: UInt16 = 22
  private static let newRoute: UInt16 = 24

  private enum LinkAttribute {
    static let address: UInt16 = 1
    static let name: UInt16 = 3
    static let master: UInt16 = 10
    static let operationState: UInt16 = 16
    static let info: UInt16 = 18
    static let families: UInt16 = 26
    static let addressMode: UInt16 = 8
    static let namespaceDescriptor: UInt16 = 28
    static let infoKind: UInt16 = 1
    static let infoData: UInt16 = 2
    static let vethPeer: UInt16 = 1
  }

  /// struct ifinfomsg
  private static func link(index: UInt32 = 0, isUp: Bool = false) -> [UInt8] {
    let up = UInt32(isUp ? IFF_UP : 0)
    return [0, 0, 0, 0] + NetlinkMessage.native(index) + NetlinkMessage.native(up) + NetlinkMessage.native(up)
  }

  static func createBridge(_ name: String, hardwareAddress: [UInt8]) -> NetlinkMessage {
    var message = NetlinkMessage(
      "create the bridge \(name)", type: newLink, flags: NetlinkFlag.create | NetlinkFlag.exclusive,
      body: link())
    message.put(LinkAttribute.name, name)
    // Fixed, because a bridge without an address of its own changes it whenever a port comes or goes.
    message.put(LinkAttribute.address, hardwareAddress)
    message.nest(LinkAttribute.info) { $0.put(LinkAttribute.infoKind, "bridge") }
    return message
  }

  /// A pair: `name` on the bridge here, `peerName` in the other namespace, which must be brought
  /// up there: at this moment the kernel refuses it, since the ends do not know each other yet.
  static func createPair(
    _ name: String, bridge: UInt32, peerName: String, peerHardwareAddress: [UInt8], namespace: Int32
  ) -> NetlinkMessage {
    var message = NetlinkMessage(
      "create the link \(name)", type: newLink, flags: NetlinkFlag.create | NetlinkFlag.exclusive,
      body: link(isUp: true))
    message.put(LinkAttribute.name, name)
    message.put(LinkAttribute.master, bridge)
    message.nest(LinkAttribute.info) {
      $0.put(LinkAttribute.infoKind, "veth")
      $0.nest(LinkAttribute.infoData) {
        $0.nest(LinkAttribute.vethPeer) {
          $0.append(link())
          $0.put(LinkAttribute.name, peerName)
          $0.put(LinkAttribute.address, peerHardwareAddress)
          $0.put(LinkAttribute.namespaceDescriptor, UInt32(bitPattern: namespace))
        }
      }
    }
    return message
  }

  static func delete(_ name: String) -> NetlinkMessage {
    var message = NetlinkMessage("delete the link \(name)", type: deleteLink, flags: 0, body: link())
    message.put(LinkAttribute.name, name)
    return message
  }

  static func setUp(_ index: UInt32) -> NetlinkMessage {
    NetlinkMessage("bring link \(index) up", type: newLink, flags: 0, body: link(index: index, isUp: true))
  }

  /// No address by itself: the one that IPv6 asks for is given like the others, and is used at once, too. To be asked
  /// before the link is up.
  static func leaveWithoutAddress(_ index: UInt32) -> NetlinkMessage {
    var message = NetlinkMessage("choose addresses of link \(index)", type: newLink, flags: 0, body: link(index: index))
    message.nest(LinkAttribute.families) {
      $0.nest(UInt16(AF_INET6)) { $0.put(LinkAttribute.addressMode, [1]) }  // IN6_ADDR_GEN_MODE_NONE
    }
    return message
  }

  /// IFA_F_NODAD: an address of IPv6 is used at once, without asking for a second whether somebody else has it.
  private static let isUnique: UInt8 = 2

  static func addAddress(_ address: IPAddress, subnet: Subnet, to index: UInt32) -> NetlinkMessage {
    var message = addAddress(address, prefixLength: subnet.prefixLength, to: index)
    if subnet.family == .v4 { message.put(4, subnet.broadcast.bytes) }  // IFA_BROADCAST
    return message
  }

  /// By which its neighbours know the link; without it the kernel asks for nobody's whereabouts.
  static func addLinkLocal(_ hardwareAddress: [UInt8], to index: UInt32) -> NetlinkMessage {
    addAddress(.linkLocal(hardwareAddress), prefixLength: 64, to: index)
  }

  private static func addAddress(_ address: IPAddress, prefixLength: Int, to index: UInt32) -> NetlinkMessage {
    // struct ifaddrmsg: family, prefix length, flags, scope (the kernel knows better), index.
    let flags = address.family == .v6 ? isUnique : 0
    var message = NetlinkMessage(
      "give \(address) to link \(index)", type: newAddress, flags: NetlinkFlag.create | NetlinkFlag.replace,
      body: [address.family.number, UInt8(prefixLength), flags, 0] + NetlinkMessage.native(index))
    message.put(2, address.bytes)  // IFA_LOCAL
    message.put(1, address.bytes)  // IFA_ADDRESS
    return message
  }

  static func addDefaultRoute(gateway: IPAddress) -> NetlinkMessage {
    // struct rtmsg: family, destination and source length, tos, table main, protocol static, scope universe, unicast.
    var message = NetlinkMessage(
      "route through \(gateway)", type: newRoute, flags: NetlinkFlag.create | NetlinkFlag.exclusive,
      body: [gateway.family.number, 0, 0, 0, 254, 4, 0, 1] + NetlinkMessage.native(UInt32(0)))
    message.put(5, gateway.bytes)  // RTA_GATEWAY
    return message
  }

  static func listLinks() -> NetlinkMessage {
    NetlinkMessage("list links", type: getLink, flags: NetlinkFlag.dump, body: link())
  }

  static func listAddresses(_ family: IPFamily) -> NetlinkMessage {
    NetlinkMessage(
      "list addresses", type: getAddress, flags: NetlinkFlag.dump,
      body: [family.number, 0, 0, 0] + NetlinkMessage.native(UInt32(0)))
  }

  /// Addresses and the indices of the links that have them.
  static func addresses(_ answers: [ArraySlice<UInt8>]) -> [(link: UInt32, address: IPAddress)] {
    answers.compactMap { answer in
      let reader = NetlinkReader(answer)
      let attributes = reader.attributes(after: 8)
      // IFA_LOCAL; on links with two ends IFA_ADDRESS is the other's.
      guard let link = reader.integer(UInt32.self, at: 4), let bytes = attributes[2] ?? attributes[1],
        bytes.count == 4 || bytes.count == 16
      else { return nil }
      return (link, IPAddress(bytes: Array(bytes)))
    }
  }

  static func getLink(_ index: UInt32) -> NetlinkMessage {
    NetlinkMessage("look at link \(index)", type: getLink, flags: 0, body: link(index: index))
  }

  struct Link {
    var index: UInt32
    var name: String
    var master: UInt32?
    /// Packets pass (RFC 2863, ifOperStatus).
    var isOperating: Bool
  }

  static func links(_ answers: [ArraySlice<UInt8>]) -> [Link] {
    answers.compactMap { answer in
      let reader = NetlinkReader(answer)
      let attributes = reader.attributes(after: 16)
      guard let index = reader.integer(UInt32.self, at: 4), let name = attributes[LinkAttribute.name] else {
        return nil
      }
      return Link(
        index: index, name: String(decoding: name.prefix { $0 != 0 }, as: UTF8.self),
        master: attributes[LinkAttribute.master].flatMap { NetlinkReader($0).integer(UInt32.self, at: 0) },
        isOperating: attributes[LinkAttribute.operationState]?.first == 6)
    }
  }
}
