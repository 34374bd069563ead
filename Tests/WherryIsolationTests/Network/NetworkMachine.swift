import Glibc

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
      let subnet = IPv4Subnet(network: IPv4Address(rawValue: 0), prefixLength: 30)
      try NetfilterTable(name: "wherry_probe", bridge: "wh-probe", subnet: subnet, publishAddress: nil).remove()
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

  convenience init(stream: Bool) {
    self.init(socket(AF_INET, Int32((stream ? SOCK_STREAM : SOCK_DGRAM).rawValue), 0))
  }

  deinit { close(descriptor) }

  static func listening(port: UInt16, stream: Bool = true, address: String = "0.0.0.0") -> TestSocket? {
    let socket = TestSocket(stream: stream)
    // A run before this one may have closed connections of that port less than a minute ago.
    var yes: Int32 = 1
    setsockopt(socket.descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
    guard socket.named(address, port, { bind(socket.descriptor, $0, $1) }) == 0 else { return nil }
    guard !stream || listen(socket.descriptor, 8) == 0 else { return nil }
    return socket
  }

  /// nil when nobody answers.
  static func connected(_ address: String, _ port: UInt16, stream: Bool = true) -> TestSocket? {
    let socket = TestSocket(stream: stream)
    return socket.named(address, port, { connect(socket.descriptor, $0, $1) }) == 0 ? socket : nil
  }

  func accepted() -> TestSocket? {
    let descriptor = accept(self.descriptor, nil, nil)
    return descriptor < 0 ? nil : TestSocket(descriptor)
  }

  /// Who is at the other end.
  var peerAddress: String {
    var name = sockaddr_in()
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    withUnsafeMutablePointer(to: &name) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { _ = getpeername(descriptor, $0, &length) }
    }
    return IPv4Address(rawValue: UInt32(bigEndian: name.sin_addr.s_addr)).description
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

  private func named(_ address: String, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32
  {
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_port = port.bigEndian
    name.sin_addr.s_addr = (IPv4Address(address)?.rawValue ?? 0).bigEndian
    return withUnsafePointer(to: &name) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
  }
}
