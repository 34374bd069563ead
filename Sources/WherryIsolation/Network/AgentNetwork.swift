import Glibc
import WherryModel

/// The network of one agent's workloads: a bridge `wh-<agentID>` with the subnets' first addresses, a veth pair per
/// workload, translation and published ports in the nftables tables `wherry_<agentID>`, one for each family. Made when
/// the first workload needs it. Single-threaded; every change is undone if a later step fails.
package final class AgentNetwork {
  private static let peerName = "eth0"
  /// The kernel's limit is 15; "wh-" takes 3.
  private static let agentIDLengthMaximum = 12

  private struct Attachment {
    var lease: NetworkLease
    var namespace: NetworkNamespace?
    var holds: [PortHold] = []
  }

  let bridge: String
  private let agentID: String
  private let subnet: Subnet
  private let leases: LeaseDirectory
  private let table: NetfilterTable
  /// Of IPv6; nil = workloads shall have none.
  let table6: NetfilterTable?
  let isIPv6Must: Bool
  /// Why they have none although they should.
  package internal(set) var ipv6Obstacle: String?
  private var attachments: [String: Attachment] = [:]
  private var bridgeIndex: UInt32 = 0
  private var route: NetlinkSocket?
  /// Addresses are given out in turn, so that a neighbour's memory of a former owner does not matter.
  private var nextHost = 0

  /// Reads the leases; changes nothing.
  package init(agentID: String, stateDirectory: String, _ settings: NetworkSettings) throws(Failure) {
    guard (1...Self.agentIDLengthMaximum).contains(agentID.utf8.count), DeviceName.isValid(agentID) else {
      throw Failure(
        .internalError, code: "network.agentID", message: "the agent ID \"\(agentID)\" cannot name a network bridge",
        remedy: "set agent_id in agent.conf to 1 to \(Self.agentIDLengthMaximum) letters, digits, '-' or '_'")
    }
    let (subnet, publication) = try settings.ipv4()
    self.agentID = agentID
    self.subnet = subnet
    bridge = "wh-" + agentID
    leases = LeaseDirectory(path: stateDirectory + "/network")
    let name = "wherry_" + String(agentID.map { $0 == "-" || $0 == "." ? "_" : $0 })
    table = NetfilterTable(name: name, bridge: bridge, subnet: subnet, publication: publication)
    table6 = try settings.ipv6(agentID).map { [bridge] in
      NetfilterTable(name: name, bridge: bridge, subnet: $0.subnet, publication: $0.publication)
    }
    isIPv6Must = settings.isIPv6Must
    for lease in leases.load() { attachments[lease.workload] = Attachment(lease: lease) }
    nextHost = attachments.values.compactMap { subnet.number(of: $0.lease.ipv4) }.max().map { $0 + 1 } ?? 0
  }

  package var allLeases: [NetworkLease] { attachments.values.map(\.lease) }

  package func lease(of workload: String) -> NetworkLease? { attachments[workload]?.lease }

  /// A fresh network namespace for the workload, on the bridge, with its ports published. What it had before goes.
  package func attach(
    workload: String, ports: [PublishedPort], names: [String] = [], egress: [EgressRule]? = nil
  ) throws(Failure) -> NetworkLease {
    guard DeviceName.isValid(workload) else {
      throw Failure(
        .internalError, code: "network.workload", message: "\"\(workload)\" cannot name a network lease",
        remedy: "report this: workload IDs are made of valid names")
    }
    detach(workload: workload)
    try refuseTaken(ports, workload: workload)
    do {
      // Before it has a lease: whether there is IPv6 is seen here.
      try prepare()
      let address = try freeAddress()
      var lease = NetworkLease(
        workload: workload, ipv4: address, link: linkName(address), ports: ports, namespacePath: nil)
      if ipv6Obstacle == nil { lease.ipv6 = subnet.number(of: address).flatMap { table6?.subnet.host($0) } }
      lease.names = names
      lease.egress = egress
      try leases.save(lease)
      attachments[workload] = Attachment(lease: lease)
      var holds: [PortHold] = []
      for place in places(of: lease) {
        holds.append(
          try PortHold(place.port, family: place.family, address: place.address, workload: workload))
      }
      let namespace = try NetworkNamespace()
      try connect(namespace, lease)
      for table in tables { try table.publish(lease) }
      lease.namespacePath = namespace.path
      attachments[workload] = Attachment(lease: lease, namespace: namespace, holds: holds)
      return lease
    } catch {
      detach(workload: workload)
      throw Self.failure(error, workload: workload)
    }
  }

  /// Takes the workload's ports off the network and forgets its lease. Nothing happens if it has none. Its link goes
  /// with the namespace, as soon as neither the agent nor a process holds that: deleting it here would make the caller
  /// wait some 30 ms for the kernel's grace periods.
  package func detach(workload: String) {
    guard let attachment = attachments.removeValue(forKey: workload) else { return }
    // A table may not be there after a crash; then there is nothing to withdraw.
    for table in tables { try? table.withdraw(attachment.lease) }
    leases.remove(workload)
  }

  /// After a start: keeps what the workloads in `alive` have, takes away everything else.
  package func reconcile(alive: Set<String>) {
    for workload in attachments.keys.sorted() where !alive.contains(workload) { detach(workload: workload) }
    // What is still there now is not about to go by itself.
    let known = Set(attachments.values.map(\.lease.link))
    for link in linksOnBridge() where !known.contains(link) {
      try? openRoute().request([RouteRequest.delete(link)])
    }
    guard !attachments.isEmpty else { return }
    try? prepare()
    for (workload, attachment) in attachments {
      // Somebody else may have taken the port while no agent held it; the workload itself still answers there.
      attachments[workload]?.holds = places(of: attachment.lease).compactMap {
        try? PortHold($0.port, family: $0.family, address: $0.address, workload: workload)
      }
    }
  }

  /// Everything of this agent, whether or not it has a lease.
  package func tearDown() {
    for workload in attachments.keys.sorted() { detach(workload: workload) }
    for link in linksOnBridge() { try? openRoute().request([RouteRequest.delete(link)]) }
    if if_nametoindex(bridge) != 0 { try? openRoute().request([RouteRequest.delete(bridge)]) }
    for table in tables { try? table.remove() }
    leases.removeAll()
    bridgeIndex = 0
  }
}

extension AgentNetwork {
  /// Of the bridge.
  var hardwareAddress: [UInt8] { NetworkLease.hardwareAddress(subnet.gateway) }

  private var tables: [NetfilterTable] { [table] + [table6].compactMap { $0 } }

  private struct PublishedPlace {
    var port: PublishedPort
    var family: IPFamily
    /// Nil = every one of that family.
    var address: IPAddress?
  }

  /// Where a lease's ports answer.
  private func places(of lease: NetworkLease) -> [PublishedPlace] {
    tables.filter { lease.address($0.family) != nil }.flatMap { table -> [PublishedPlace] in
      switch table.publication {
      case .nowhere: []
      case .everywhere: lease.ports.map { PublishedPlace(port: $0, family: table.family) }
      case .at(let address): lease.ports.map { PublishedPlace(port: $0, family: table.family, address: address) }
      }
    }
  }

  func openRoute() throws(NetlinkError) -> NetlinkSocket {
    if let route { return route }
    let socket = try NetlinkSocket(.route)
    route = socket
    return socket
  }

  private func linksOnBridge() -> [String] {
    let index = if_nametoindex(bridge)
    guard index != 0, let answers = try? openRoute().ask(RouteRequest.listLinks()) else { return [] }
    return RouteRequest.links(answers).filter { $0.master == index }.map(\.name)
  }

  /// Bridge, tables and the kernel's switches, once per run of the agent; what is there already is taken over.
  private func prepare() throws {
    guard bridgeIndex == 0 else { return }
    for table in tables { try refuseForeignAddresses(table.subnet) }
    let route = try openRoute()
    try route.request([RouteRequest.createBridge(bridge, hardwareAddress: hardwareAddress)], tolerating: [EEXIST])
    let index = if_nametoindex(bridge)
    if table6 != nil { try? route.request([RouteRequest.leaveWithoutAddress(index)]) }
    try route.request([
      RouteRequest.setUp(index), RouteRequest.addAddress(subnet.gateway, subnet: subnet, to: index),
    ])
    // Of the whole machine, and left on by `tearDown`: whoever came to need it since (Docker, a VPN, another agent)
    // would lose the network with it, and the kernel does not say who does.
    try KernelSwitch("/proc/sys/net/ipv4/ip_forward").turn("1")
    try KernelSwitch("/proc/sys/net/ipv4/conf/\(bridge)/route_localnet").turn("1")
    let leases = attachments.values.filter { $0.namespace != nil || isLinked($0.lease) }.map(\.lease)
    try table.install(leases)
    try prepareIPv6(index, leases)
    bridgeIndex = index
  }

  /// With two links in one subnet the kernel leads packets to the older one: workloads would start and never answer.
  private func refuseForeignAddresses(_ subnet: Subnet) throws {
    let route = try openRoute()
    let own = if_nametoindex(bridge)
    let found = RouteRequest.addresses(try route.ask(RouteRequest.listAddresses(subnet.family)))
    guard let foreign = found.first(where: { $0.link != own && subnet.network.contains($0.address) }) else { return }
    let link = RouteRequest.links(try route.ask(RouteRequest.getLink(foreign.link))).first?.name ?? "another link"
    let key = subnet.family == .v4 ? "subnet" : "subnet6"
    throw Failure(
      .start, code: "network.subnetTaken",
      message: "the subnet \(subnet) for workloads is in use: \(link) has the address \(foreign.address)",
      remedy: "set \(key) in agent.conf to a network that this machine does not use, or remove \(link)")
  }

  private func isLinked(_ lease: NetworkLease) -> Bool { if_nametoindex(lease.link) != 0 }

  private func connect(_ namespace: NetworkNamespace, _ lease: NetworkLease) throws(NetlinkError) {
    let route = try openRoute()
    let create = RouteRequest.createPair(
      lease.link, bridge: bridgeIndex, peerName: Self.peerName,
      peerHardwareAddress: lease.hardwareAddress, namespace: namespace.descriptor)
    do throws(NetlinkError) {
      try route.request([create])
    } catch {
      guard error.number == EEXIST else { throw error }
      // The former owner of this address has not gone yet.
      try route.request([RouteRequest.delete(lease.link)], tolerating: [ENODEV])
      try route.request([create])
    }
    try namespace.configure(
      link: Self.peerName, hardwareAddress: lease.hardwareAddress,
      tables.compactMap { table in lease.address(table.family).map { (address: $0, subnet: table.subnet) } })
    try awaitCarrier(if_nametoindex(lease.link))
    try awaitCarrier(bridgeIndex)
  }

  /// The kernel opens a link some time (less than a millisecond) after its other end came up. A packet that is sent
  /// before gets lost, and the sender tries again after a whole second.
  private func awaitCarrier(_ index: UInt32) throws(NetlinkError) {
    for _ in 0..<100 {
      let links = RouteRequest.links(try openRoute().ask(RouteRequest.getLink(index)))
      if links.first?.isOperating == true { return }
      usleep(200)
    }
    // 20 ms: packets will pass sooner or later, so this is not a reason to refuse the workload.
  }

  private func refuseTaken(_ ports: [PublishedPort], workload: String) throws(Failure) {
    var owners: [PublishedPort: String] = [:]
    func key(_ port: PublishedPort) -> PublishedPort {
      PublishedPort(host: port.host, container: 0, transport: port.transport)
    }
    for attachment in attachments.values {
      for port in attachment.lease.ports { owners[key(port)] = attachment.lease.workload }
    }
    for port in ports {
      guard let owner = owners.updateValue(workload, forKey: key(port)) else { continue }
      throw Failure(
        .start, code: "network.portTaken",
        message: "\(workload) cannot publish port \(port.host)/\(port.transport.rawValue): \(owner) has it",
        remedy: "give the two components different host ports")
    }
  }

  private func freeAddress() throws(Failure) -> IPAddress {
    let taken = Set(attachments.values.map(\.lease.ipv4))
    for step in 0..<min(subnet.capacity, taken.count + 1) {
      let number = (nextHost + step) % subnet.capacity
      let address = subnet.host(number)
      guard !taken.contains(address) else { continue }
      nextHost = number + 1
      return address
    }
    throw Failure(
      .start, code: "network.exhausted", message: "all \(subnet.capacity) addresses of \(subnet) are in use",
      remedy: "set a larger subnet in agent.conf")
  }

  /// At most 15 characters; one per agent and address, so a workload's new link does not meet its old one, which may
  /// still be going.
  private func linkName(_ address: IPAddress) -> String {
    "wh" + Self.hexadecimal(StableHash.narrow(agentID), digits: 7)
      + Self.hexadecimal(UInt32(subnet.number(of: address) ?? 0) + 2, digits: 6)
  }

  private static func hexadecimal(_ value: UInt32, digits: Int) -> String {
    let text = String(value, radix: 16)
    return String((String(repeating: "0", count: 8 - text.count) + text).suffix(digits))
  }

  private static func failure(_ error: any Error, workload: String) -> Failure {
    if let failure = error as? Failure { return failure }
    guard let error = error as? NetlinkError else {
      return Failure(
        .start, code: "network.kernel", message: "\(workload) has no network: \(error)",
        remedy: "see the agent's log")
    }
    let remedy =
      switch error.number {
      case EPERM, EACCES, EROFS: "run the agent as root with CAP_NET_ADMIN and CAP_SYS_ADMIN"
      case EOPNOTSUPP, EAFNOSUPPORT, ENOENT, EPROTONOSUPPORT:
        "use a kernel with bridge, veth and nftables (nf_tables, nft_nat, nft_masq, nft_fib)"
      default: "look into the kernel log"
      }
    return Failure(
      .start, code: "network.kernel", message: "\(workload) has no network: \(error.sentence)", remedy: remedy)
  }
}
