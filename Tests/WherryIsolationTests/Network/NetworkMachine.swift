import Glibc
import WherryModel

@testable import WherryIsolation

/// What the network tests need of the machine, and small blocking sockets.
enum NetworkMachine {
  /// nil when the tests can run; else why not.
  static let obstacle: String? = {
    let obstacle = findObstacle()
    if let obstacle { print(obstacle) }
    return obstacle
  }()

  static var isAvailable: Bool { obstacle == nil }

  static let hasIPv6: Bool = {
    guard isAvailable else { return false }
    let isThere = KernelSwitch("/proc/sys/net/ipv6/conf/all/disable_ipv6").text == "0"
    if !isThere { print("tests of IPv6 skipped: this machine has none") }
    return isThere
  }()

  /// Whether, in a workload's namespace, somebody answers at an address that a link gave itself.
  static func reaches(_ address: IPAddress, port: UInt16) -> Bool {
    let socket = TestSocket(stream: true, .v6)
    let name = SocketName(.v6, address, port: port, link: if_nametoindex("eth0"))
    return name.use { connect(socket.descriptor, $0, $1) } == 0
  }

  /// Names of all links in the present network namespace.
  static func links() throws -> Set<String> {
    Set(RouteRequest.links(try NetlinkSocket(.route).ask(RouteRequest.listLinks())).map(\.name))
  }

  /// Names of all nftables tables for IPv4 in the present network namespace.
  static func tables() throws -> Set<String> {
    // NFT_MSG_GETTABLE of the subsystem 10; attribute 1 is NFTA_TABLE_NAME, after struct nfgenmsg.
    let list = NetlinkMessage(
      "list the tables", type: 10 << 8 | 1, flags: NetlinkFlag.dump, body: [UInt8(AF_INET), 0, 0, 0])
    let answers = try NetlinkSocket(.netfilter).ask(list)
    let names = answers.compactMap { NetlinkReader($0).attributes(after: 4)[1] }
    return Set(names.map { name in String(decoding: name.prefix { $0 != 0 }, as: UTF8.self) })
  }

  private static func findObstacle() -> String? {
    guard geteuid() == 0 else { return "network tests skipped: they create namespaces and links, which needs root" }
    do throws(NetlinkError) {
      _ = try NetworkNamespace()
      guard let subnet = Subnet("10.0.0.0/30") else { return "network tests skipped: no subnet" }
      try NetfilterTable(name: "wherry_probe", bridge: "wh-probe", subnet: subnet, publication: .nowhere).remove()
      return nil
    } catch {
      return "network tests skipped: \(error.sentence)"
    }
  }
}

/// A TCP or UDP socket that gives up after two seconds.
final class TestSocket {
  let descriptor: Int32

  init(_ descriptor: Int32) {
    self.descriptor = descriptor
    var limit = timeval(tv_sec: 2, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
  }

  convenience init(stream: Bool, _ family: IPFamily) {
    self.init(socket(Int32(family.number), Int32((stream ? SOCK_STREAM : SOCK_DGRAM).rawValue), 0))
  }

  deinit { close(descriptor) }

  static func listening(port: UInt16, stream: Bool = true, address: String = "0.0.0.0") -> TestSocket? {
    guard let place = IPAddress(address) else { return nil }
    let socket = TestSocket(stream: stream, place.family)
    // A run before this one may have closed connections of that port less than a minute ago.
    var yes: Int32 = 1
    setsockopt(socket.descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
    let name = SocketName(place.family, place, port: port)
    guard name.use({ bind(socket.descriptor, $0, $1) }) == 0 else { return nil }
    guard !stream || listen(socket.descriptor, 8) == 0 else { return nil }
    return socket
  }

  /// nil when nobody answers.
  static func connected(_ address: String, _ port: UInt16, stream: Bool = true) -> TestSocket? {
    guard let place = IPAddress(address) else { return nil }
    let socket = TestSocket(stream: stream, place.family)
    let name = SocketName(place.family, place, port: port)
    return name.use { connect(socket.descriptor, $0, $1) } == 0 ? socket : nil
  }

  func accepted() -> TestSocket? {
    let descriptor = accept(self.descriptor, nil, nil)
    return descriptor < 0 ? nil : TestSocket(descriptor)
  }

  /// Who is at the other end.
  var peerAddress: String {
    var name = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    withUnsafeMutablePointer(to: &name) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { _ = getpeername(descriptor, $0, &length) }
    }
    let bytes = withUnsafeBytes(of: name) { Array($0) }
    return IPAddress(bytes: Array(name.ss_family == AF_INET ? bytes[4..<8] : bytes[8..<24])).description
  }

  func send(_ text: String) { _ = Glibc.send(descriptor, text, text.utf8.count, Int32(MSG_NOSIGNAL)) }

  func receive() -> String? {
    var buffer = [UInt8](repeating: 0, count: 256)
    let count = recv(descriptor, &buffer, buffer.count, 0)
    return count < 0 ? nil : String(decoding: buffer[..<count], as: UTF8.self)
  }

  /// Answers the next datagram with the same bytes.
  func echoDatagram() {
    var buffer = [UInt8](repeating: 0, count: 256)
    var sender = sockaddr_in()
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    withUnsafeMutablePointer(to: &sender) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        let count = recvfrom(descriptor, &buffer, buffer.count, 0, $0, &length)
        if count > 0 { _ = sendto(descriptor, buffer, count, 0, $0, length) }
      }
    }
  }
}
