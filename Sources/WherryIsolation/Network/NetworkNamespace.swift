import CIsolation
import Glibc
import WherryModel

/// A network namespace that lives as long as this object or a process in it: it has no name and no mount, so a crash
/// leaves nothing to clean up.
final class NetworkNamespace {
  let descriptor: Int32
  /// Speaks to the kernel inside the namespace.
  let socket: NetlinkSocket

  init() throws(NetlinkError) {
    let home = try Self.own()
    defer { close(home) }
    let error = wherry_network_unshare()
    guard error == 0 else { throw NetlinkError(purpose: "create a network namespace", number: error) }
    let inside = Result { () throws(NetlinkError) in (try Self.own(), try NetlinkSocket(.route)) }
    Self.goBack(home)
    (descriptor, socket) = try inside.get()
  }

  deinit { close(descriptor) }

  /// For others to open, while this object lives. Not with O_PATH: setns(2) takes no such descriptor.
  var path: String { "/proc/\(getpid())/fd/\(descriptor)" }

  /// Loopback and the link with that name get up, and the link its addresses and the default routes.
  func configure(
    link name: String, hardwareAddress: [UInt8], _ addresses: [(address: IPAddress, subnet: Subnet)]
  ) throws(NetlinkError) {
    let links = RouteRequest.links(try socket.ask(RouteRequest.listLinks()))
    guard let link = links.first(where: { $0.name == name }), let loopback = links.first(where: { $0.name == "lo" })
    else { throw NetlinkError(purpose: "find \(name) in the new network namespace", number: ENODEV) }
    var requests = [RouteRequest.setUp(loopback.index)]
    let hasIPv6 = addresses.contains { $0.address.family == .v6 }
    if hasIPv6 { requests.append(RouteRequest.leaveWithoutAddress(link.index)) }
    requests.append(RouteRequest.setUp(link.index))
    if hasIPv6 { requests.append(RouteRequest.addLinkLocal(hardwareAddress, to: link.index)) }
    for (address, subnet) in addresses {
      requests.append(RouteRequest.addAddress(address, subnet: subnet, to: link.index))
      requests.append(RouteRequest.addDefaultRoute(gateway: subnet.gateway))
    }
    try socket.request(requests)
  }

  /// Carries the closure out inside a namespace. Sockets made there stay there.
  static func inside<T>(_ descriptor: Int32, _ body: () throws -> T) throws -> T {
    let home = try own()
    defer { close(home) }
    let error = wherry_network_enter(descriptor)
    guard error == 0 else { throw NetlinkError(purpose: "enter a network namespace", number: error) }
    defer { goBack(home) }
    return try body()
  }

  /// The calling thread's.
  private static func own() throws(NetlinkError) -> Int32 {
    let descriptor = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw NetlinkError(purpose: "open a network namespace", number: errno) }
    return descriptor
  }

  private static func goBack(_ home: Int32) {
    let error = wherry_network_enter(home)
    // In the wrong namespace the agent would lose its broker and break the machine's network.
    precondition(error == 0, "the agent cannot get back into its own network namespace: errno \(error)")
  }
}
