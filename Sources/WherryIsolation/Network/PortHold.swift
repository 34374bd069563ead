import Glibc
import WherryModel

/// A published port, bound but not listened on: nobody else on the host can take it, and somebody who has it already
/// is found out before his connections are led elsewhere.
final class PortHold {
  private let descriptor: Int32

  init(_ port: PublishedPort, address: IPv4Address?, workload: String) throws(Failure) {
    let type = port.transport == .tcp ? SOCK_STREAM : SOCK_DGRAM
    descriptor = socket(AF_INET, Int32(type.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_port = port.host.bigEndian
    name.sin_addr.s_addr = (address?.rawValue ?? 0).bigEndian
    let result = withUnsafePointer(to: &name) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard result != 0 else { return }
    let number = errno
    let place = "\(address?.description ?? "every address"), port \(port.host)/\(port.transport.rawValue)"
    // The rest of a failed init does not run deinit's close.
    close(descriptor)
    throw Failure(
      .start, code: number == EADDRINUSE ? "network.portTaken" : "network.publish",
      message: "\(workload) cannot publish on \(place): \(String(cString: strerror(number)))",
      remedy: number == EADDRINUSE
        ? "stop what listens there or publish another host port"
        : "check publish_address in agent.conf: it must be an address of this machine")
  }

  deinit { close(descriptor) }
}
