import Glibc
import Synchronization

/// One look-up of a host name on a thread of its own, because `getaddrinfo` blocks for as long as the name servers let
/// it. The descriptor becomes readable when `addresses` is there. IP addresses need no look-up: see `literal`.
final class NameResolution: Sendable {
  enum Outcome: Sendable {
    case running
    case found([String])
    case failed(String)
  }

  private let host: String
  private let result = Mutex(Outcome.running)
  private let done: WakeUp

  /// nil when the process has no descriptor or thread left.
  init?(host: String) {
    guard let done = WakeUp() else { return nil }
    self.host = host
    self.done = done
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    pthread_attr_setstacksize(&attributes, 256 << 10)
    // The thread keeps this object, and with it the descriptor, until it is done: an abandoned look-up ends by itself.
    let retained = Unmanaged.passRetained(self)
    var thread = pthread_t()
    let code = pthread_create(
      &thread, &attributes,
      { argument in
        guard let argument else { return nil }
        Unmanaged<NameResolution>.fromOpaque(argument).takeRetainedValue().run()
        return nil
      }, retained.toOpaque())
    guard code == 0 else {
      retained.release()
      return nil
    }
  }

  var descriptor: Int32 { done.descriptor }
  var outcome: Outcome { result.withLock { $0 } }

  static func literal(_ host: String) -> Bool {
    var address = in6_addr()
    return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1
  }

  private func run() {
    let outcome = Self.lookUp(host)
    result.withLock { $0 = outcome }
    done.signal()
  }

  private static func lookUp(_ host: String) -> Outcome {
    var hints = addrinfo()
    hints.ai_family = AF_UNSPEC
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    hints.ai_flags = AI_ADDRCONFIG
    var list: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(host, nil, &hints, &list)
    guard code == 0 else { return .failed(String(cString: gai_strerror(code))) }
    defer { freeaddrinfo(list) }
    var addresses: [String] = []
    var next = list
    while let entry = next {
      var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
      let info = entry.pointee
      if getnameinfo(info.ai_addr, info.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0 {
        let address = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        if !addresses.contains(address) { addresses.append(address) }
      }
      next = info.ai_next
    }
    return addresses.isEmpty ? .failed("no address") : .found(addresses)
  }
}
