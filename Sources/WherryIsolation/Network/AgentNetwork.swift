import Glibc
import WherryModel

/// The network of one agent's workloads: a bridge `wh-<agentID>` with the subnet's first address, a veth pair per
/// workload, translation and published ports in the nftables table `wherry_<agentID>`. Made when the first workload
/// needs it. Single-threaded; every change is undone if a later step fails.
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
  private let subnet: IPv4Subnet
  private let publishAddress: IPv4Address?
  private let leases: LeaseDirectory
  private let table: NetfilterTable
  private var attachments: [String: Attachment] = [:]
  private var bridgeIndex: UInt32 = 0
  private var route: NetlinkSocket?
  /// Addresses are given out in turn, so that a neighbour's memory of a former owner does not matter.
  private var nextHost = 0

  /// Reads the leases; changes nothing.
  package init(
    agentID: String, stateDirectory: String, subnet: String, publishAddress: String?
  ) throws(Failure) {
    guard (1...Self.agentIDLengthMaximum).contains(agentID.utf8.count), DeviceName.isValid(agentID) else {
      throw Failure(
        .internalError, code: "network.agentID", message: "the agent ID \"\(agentID)\" cannot name a network bridge",
        remedy: "set agent_id in agent.conf to 1 to \(Self.agentIDLengthMaximum) letters, digits, '-' or '_'")
    }
    guard let parsed = IPv4Subnet(subnet) else {
      throw Failure(
        .internalError, code: "network.subnet", message: "the subnet \"\(subnet)\" is not one that workloads can use",
        remedy: "set subnet in agent.conf to a network such as 10.88.0.0/24, between /8 and /30")
    }
    var address: IPv4Address?
    if let publishAddress {
      guard let parsed = IPv4Address(publishAddress) else {
        throw Failure(
          .internalError, code: "network.publishAddress",
          message: "the publish address \"\(publishAddress)\" is not an IPv4 address",
          remedy: "set publish_address in agent.conf to an address of this machine, or leave it out")
      }
      address = parsed
    }
    self.agentID = agentID
    self.subnet = parsed
    self.publishAddress = address
    bridge = "wh-" + agentID
    leases = LeaseDirectory(path: stateDirectory + "/network")
    table = NetfilterTable(
      name: "wherry_" + String(agentID.map { $0 == "-" || $0 == "." ? "_" : $0 }), bridge: bridge, subnet: parsed,
      publishAddress: address)
    for lease in leases.load() { attachments[lease.workload] = Attachment(lease: lease) }
    nextHost = attachments.values.compactMap { parsed.number(of: $0.lease.ipv4) }.max().map { $0 + 1 } ?? 0
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
    let address = try freeAddress()
    var lease = NetworkLease(
      workload: workload, ipv4: address, link: linkName(address), ports: ports, namespacePath: nil)
    lease.names = names
    lease.egress = egress
    try leases.save(lease)
    attachments[workload] = Attachment(lease: lease)
    do {
      try prepare()
      var holds: [PortHold] = []
      for port in ports { holds.append(try PortHold(port, address: publishAddress, workload: workload)) }
      let namespace = try NetworkNamespace()
      try connect(namespace, lease)
      try table.publish(lease)
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
    // The table may not be there after a crash; then there is nothing to withdraw.
    try? table.withdraw(attachment.lease)
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
      attachments[workload]?.holds = attachment.lease.ports.compactMap {
        try? PortHold($0, address: publishAddress, workload: workload)
      }
    }
  }

  /// Everything of this agent, whether or not it has a lease.
  package func tearDown() {
    for workload in attachments.keys.sorted() { detach(workload: workload) }
    for link in linksOnBridge() { try? openRoute().request([RouteRequest.delete(link)]) }
    if if_nametoindex(bridge) != 0 { try? openRoute().request([RouteRequest.delete(bridge)]) }
    try? table.remove()
    leases.removeAll()
    bridgeIndex = 0
  }
}

extension AgentNetwork {
  private func openRoute() throws(NetlinkError) -> NetlinkSocket {
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

  /// Bridge, table and the kernel's switches, once per run of the agent; what is there already is taken over.
  private func prepare() throws {
    guard bridgeIndex == 0 else { return }
    try refuseForeignAddresses()
    let route = try openRoute()
    try route.request(
      [RouteRequest.createBridge(bridge, hardwareAddress: Self.hardwareAddress(subnet.gateway))],
      tolerating: [EEXIST])
    let index = if_nametoindex(bridge)
    try route.request([
      RouteRequest.setUp(index), RouteRequest.addAddress(subnet.gateway, subnet: subnet, to: index),
    ])
    // Of the whole machine, and left on by `tearDown`: whoever came to need it since (Docker, a VPN, another agent)
    // would lose the network with it, and the kernel does not say who does.
    try switchOn("/proc/sys/net/ipv4/ip_forward")
    try switchOn("/proc/sys/net/ipv4/conf/\(bridge)/route_localnet")
    try table.install(attachments.values.filter { $0.namespace != nil || isLinked($0.lease) }.map(\.lease))
    bridgeIndex = index
  }

  /// With two links in one subnet the kernel leads packets to the older one: workloads would start and never answer.
  private func refuseForeignAddresses() throws {
    let route = try openRoute()
    let own = if_nametoindex(bridge)
    let foreign = RouteRequest.addresses(try route.ask(RouteRequest.listAddresses())).first {
      $0.link != own && $0.address.rawValue & subnet.mask == subnet.network.rawValue
    }
    guard let foreign else { return }
    let link = RouteRequest.links(try route.ask(RouteRequest.getLink(foreign.link))).first?.name ?? "another link"
    throw Failure(
      .start, code: "network.subnetTaken",
      message: "the subnet \(subnet) for workloads is in use: \(link) has the address \(foreign.address)",
      remedy: "set subnet in agent.conf to a network that this machine does not use, or remove \(link)")
  }

  private func isLinked(_ lease: NetworkLease) -> Bool { if_nametoindex(lease.link) != 0 }

  private func connect(_ namespace: NetworkNamespace, _ lease: NetworkLease) throws(NetlinkError) {
    let route = try openRoute()
    let create = RouteRequest.createPair(
      lease.link, bridge: bridgeIndex, peerName: Self.peerName,
      peerHardwareAddress: Self.hardwareAddress(lease.ipv4), namespace: namespace.descriptor)
    do throws(NetlinkError) {
      try route.request([create])
    } catch {
      guard error.number == EEXIST else { throw error }
      // The former owner of this address has not gone yet.
      try route.request([RouteRequest.delete(lease.link)], tolerating: [ENODEV])
      try route.request([create])
    }
    try namespace.configure(link: Self.peerName, address: lease.ipv4, subnet: subnet)
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

  private func switchOn(_ path: String) throws(NetlinkError) {
    let descriptor = open(path, O_RDWR | O_CLOEXEC)
    guard descriptor >= 0 else { throw NetlinkError(purpose: "open \(path)", number: errno) }
    defer { close(descriptor) }
    var value: UInt8 = 0
    // Written only when needed: the file may be read-only where the switch is on already.
    if read(descriptor, &value, 1) == 1, value == UInt8(ascii: "1") { return }
    // At the start of the file: elsewhere the kernel takes no notice of it.
    guard pwrite(descriptor, "1\n", 2, 0) == 2 else { throw NetlinkError(purpose: "write 1 to \(path)", number: errno) }
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

  private func freeAddress() throws(Failure) -> IPv4Address {
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
  private func linkName(_ address: IPv4Address) -> String {
    "wh" + Self.hexadecimal(StableHash.narrow(agentID), digits: 7)
      + Self.hexadecimal(address.rawValue & ~subnet.mask, digits: 6)
  }

  private static func hexadecimal(_ value: UInt32, digits: Int) -> String {
    let text = String(value, radix: 16)
    return String((String(repeating: "0", count: 8 - text.count) + text).suffix(digits))
  }

  /// Locally administered, and the same for the same address: a neighbour's cache is never wrong.
  private static func hardwareAddress(_ address: IPv4Address) -> [UInt8] { [0x02, 0x57] + address.bytes }

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
