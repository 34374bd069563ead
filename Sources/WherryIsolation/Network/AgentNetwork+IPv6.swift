import Glibc
import WherryModel

extension AgentNetwork {
  /// The same as for IPv4, unless the machine has no IPv6.
  func prepareIPv6(_ index: UInt32, _ leases: [NetworkLease]) throws {
    guard let table6 else { return }
    do throws(NetlinkError) {
      let disabled = KernelSwitch("/proc/sys/net/ipv6/conf/\(bridge)/disable_ipv6")
      guard let text = disabled.text, text == "0" else {
        throw NetlinkError(purpose: "use IPv6", number: EAFNOSUPPORT)
      }
      try openRoute().request([
        RouteRequest.addLinkLocal(hardwareAddress, to: index),
        RouteRequest.addAddress(table6.subnet.gateway, subnet: table6.subnet, to: index),
      ])
      try Self.forwardIPv6()
      try table6.install(leases.filter { $0.ipv6 != nil })
      ipv6Obstacle = nil
    } catch {
      guard !isIPv6Must else {
        throw Failure(
          .start, code: "network.noIPv6", message: "workloads cannot have IPv6: \(error.sentence)",
          remedy: "switch IPv6 on for this machine, or set subnet6 = off in agent.conf")
      }
      ipv6Obstacle = error.sentence
    }
  }

  /// A machine that forwards no longer listens to routers, from which it may have its own address and way out, unless
  /// it is told to all the same (ip-sysctl.rst, accept_ra).
  static func forwardIPv6() throws(NetlinkError) {
    let root = "/proc/sys/net/ipv6/conf"
    let forwarding = KernelSwitch("\(root)/all/forwarding")
    guard forwarding.text != "1" else { return }
    for link in Files.names(in: root) where link != "all" {
      let listening = KernelSwitch("\(root)/\(link)/accept_ra")
      if listening.text == "1" { try listening.turn("2") }
    }
    try forwarding.turn("1")
  }
}

/// A file below /proc/sys.
struct KernelSwitch {
  let path: String
  init(_ path: String) { self.path = path }

  /// Nil = this kernel has no such file.
  var text: String? { Files.text(path).map { String($0.prefix { $0 != "\n" }) } }

  /// Written only when needed: the file may be read-only where the switch is as it should be.
  func turn(_ value: String) throws(NetlinkError) {
    guard text != value else { return }
    let error = Files.write(Array((value + "\n").utf8), to: path, flags: O_WRONLY)
    guard error == 0 else { throw NetlinkError(purpose: "write \(value) to \(path)", number: error) }
  }
}
