import Glibc
import WherryModel

/// A published port, bound but not listened on: nobody else on the host can take it, and somebody who has it already
/// is found out before his connections are led elsewhere.
final class PortHold {
  private let descriptor: Int32

  init(_ port: PublishedPort, family: IPFamily, address: IPAddress?, workload: String) throws(Failure) {
    let type = port.transport == .tcp ? SOCK_STREAM : SOCK_DGRAM
    descriptor = socket(Int32(family.number), Int32(type.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var isOwn: Int32 = 1
    if family == .v6 {
      setsockopt(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &isOwn, socklen_t(MemoryLayout<Int32>.size))
    }
    let result = SocketName(family, address, port: port.host).use { bind(descriptor, $0, $1) }
    guard result != 0 else { return }
    let number = errno
    let everywhere = family == .v4 ? "every address" : "every address of IPv6"
    let place = "\(address?.description ?? everywhere), port \(port.host)/\(port.transport.rawValue)"
    throw Failure(
      .start, code: number == EADDRINUSE ? "network.portTaken" : "network.publish",
      message: "\(workload) cannot publish on \(place): \(String(cString: strerror(number)))",
      remedy: number == EADDRINUSE
        ? "stop what listens there or publish another host port"
        : "check publish_address in agent.conf: it must be an address of this machine")
  }

  deinit { close(descriptor) }
}

/// What bind(2) and connect(2) are told. Without an address: every one of that family.
struct SocketName {
  private let bytes: [UInt8]

  /// - Parameter link: on which an address that links give themselves is meant.
  init(_ family: IPFamily, _ address: IPAddress?, port: UInt16, link: UInt32 = 0) {
    let place = address?.bytes ?? [UInt8](repeating: 0, count: family.byteCount)
    // struct sockaddr_in and sockaddr_in6: family, port, then the address; of IPv6 after the flow, before the scope.
    let start = NetlinkMessage.native(sa_family_t(family.number)) + NetlinkMessage.big(port)
    let zeros = [UInt8](repeating: 0, count: 8)
    bytes = family == .v4 ? start + place + zeros : start + zeros[..<4] + place + NetlinkMessage.native(link)
  }

  func use<T>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> T) -> T {
    var storage = sockaddr_storage()
    withUnsafeMutableBytes(of: &storage) { $0.copyBytes(from: bytes) }
    return withUnsafePointer(to: &storage) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(bytes.count)) }
    }
  }
}
