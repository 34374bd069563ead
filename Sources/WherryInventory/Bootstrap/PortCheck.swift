import Glibc

/// Finds out before anything is started whether the service's ports are free, so that the answer is one sentence
/// that names the option to change. What it has claimed it holds until it goes: two options with one port, and two
/// ports that the system chooses, cannot be the same.
final class PortCheck {
  private struct Claim {
    var option: String
    var port: Int
    var descriptor: Int32
  }

  private var claims: [Claim] = []

  deinit {
    for claim in claims { close(claim.descriptor) }
  }

  /// The port, if it is free; a free one that the system chooses for port 0.
  func claim(_ address: ListenAddress, option: String) throws(Refusal) -> Int {
    guard let info = Self.lookUp(address.host, port: address.port) else {
      throw Refusal(
        500, "listen.unknownHost", "\(option) \(address): the host \"\(address.host)\" is not known",
        remedy: "give an address of this machine, for example 127.0.0.1 or 0.0.0.0")
    }
    defer { freeaddrinfo(info) }
    let descriptor = socket(info.pointee.ai_family, info.pointee.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw refusal(address, option: option) }
    // As the listeners do: a connection in TIME_WAIT is no obstacle.
    var yes: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
    // A second listener on the port is only noticed when both listen.
    guard bind(descriptor, info.pointee.ai_addr, info.pointee.ai_addrlen) == 0, listen(descriptor, 1) == 0 else {
      let refusal = refusal(address, option: option)
      close(descriptor)
      throw refusal
    }
    let port = address.port == 0 ? Self.localPort(descriptor) : address.port
    claims.append(Claim(option: option, port: port, descriptor: descriptor))
    return port
  }

  private static func lookUp(_ host: String, port: Int) -> UnsafeMutablePointer<addrinfo>? {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV
    var list: UnsafeMutablePointer<addrinfo>?
    return getaddrinfo(host, String(port), &hints, &list) == 0 ? list : nil
  }

  private static func localPort(_ descriptor: Int32) -> Int {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let port = withUnsafeMutableBytes(of: &storage) { bytes -> UInt16 in
      guard let base = bytes.baseAddress,
        getsockname(descriptor, base.assumingMemoryBound(to: sockaddr.self), &length) == 0
      else { return 0 }
      // `sin_port` and `sin6_port` lie at the same place.
      return UInt16(bigEndian: bytes.load(fromByteOffset: 2, as: UInt16.self))
    }
    return Int(port)
  }

  private func refusal(_ address: ListenAddress, option: String) -> Refusal {
    let cause = errno
    if cause == EADDRINUSE, let other = claims.first(where: { $0.port == address.port }) {
      return Refusal(
        500, "listen.twice", "\(other.option) and \(option) both name port \(address.port)",
        remedy: "give each of them a port of its own")
    }
    return switch cause {
    case EADDRINUSE:
      Refusal(
        500, "listen.inUse", "port \(address.port) on \(address.host) is used by another program",
        remedy: "stop that program (`ss -ltnp` names it) or choose another port with \(option)")
    case EADDRNOTAVAIL:
      Refusal(
        500, "listen.notLocal", "\(option) \(address): \(address.host) is no address of this machine",
        remedy: "give one that `ip address` lists, or 0.0.0.0")
    default:
      Refusal(
        500, "listen.refused", "cannot listen on \(address): \(String(cString: strerror(cause)))",
        remedy: "choose another port with \(option)")
    }
  }

  /// True as soon as something accepts connections there.
  static func isAccepting(_ address: ListenAddress) -> Bool {
    guard let info = lookUp(address.local.host, port: address.port) else { return false }
    defer { freeaddrinfo(info) }
    let descriptor = socket(info.pointee.ai_family, info.pointee.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    return connect(descriptor, info.pointee.ai_addr, info.pointee.ai_addrlen) == 0
  }
}
