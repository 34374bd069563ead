import Glibc
import WherryIsolation
import WherryJSON
import WherryModel

/// A socket for JSON lines, mode 0600: `agent.sock` for the commands on the device itself, which whoever is root may
/// give, and those that components find (`DockerDoor`).
final class LocalServer {
  static let clientsMaximum = 16

  let descriptor: Int32
  private let path: String
  private(set) var clients: [LocalClient] = []

  init(path: String) throws(Failure) {
    self.path = path
    unlink(path)
    descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { throw Files.failure("make", path) }
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    Spawn.setNonBlocking(descriptor)
    // Without group and others from its first moment on: bind(2) makes the file with the socket's own mode (unix_bind).
    // A umask would be the whole process's meanwhile.
    fchmod(descriptor, 0o600)
    let isBound = try UnixSocket.withAddress(path) { bind(descriptor, $0, $1) } == 0
    guard isBound, listen(descriptor, 8) == 0 else {
      // deinit closes it.
      throw Files.failure("listen on", path)
    }
  }

  deinit { Glibc.close(descriptor) }

  func accept() {
    while true {
      let client = Glibc.accept(descriptor, nil, nil)
      guard client >= 0 else { return }
      _ = fcntl(client, F_SETFD, FD_CLOEXEC)
      Spawn.setNonBlocking(client)
      guard clients.count < Self.clientsMaximum else {
        Glibc.close(client)
        continue
      }
      clients.append(LocalClient(client))
    }
  }

  func removeClosed() { clients.removeAll { $0.isClosed } }

  func close() {
    for client in clients { client.close() }
    unlink(path)
  }
}

enum UnixSocket {
  static func withAddress<T>(
    _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> T
  ) throws(Failure) -> T {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
      throw Failure(
        .internalError, code: "socket.pathTooLong", message: "the socket's path \(path) is too long for the kernel",
        remedy: "choose a shorter `run` in agent.conf")
    }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
    }
  }
}

/// One connection: requests in, answers out. A reader that does not read is cut off.
final class LocalClient: LogReceiver {
  private static let pendingMaximum = 16 << 20
  private static let linesMaximum = 500

  private(set) var descriptor: Int32
  private var lines = LineBuffer(lineMaximum: LocalDeploymentRequest.bytesMaximum)
  private var pending: [UInt8] = []
  private var endsWhenWritten = false
  /// What came with the requests, until somebody takes it (`takePassed`).
  private var passed: [Int32] = []
  /// The container whose caller it is.
  var container: String?

  init(_ descriptor: Int32) { self.descriptor = descriptor }
  deinit {
    close()
    for descriptor in passed { Glibc.close(descriptor) }
  }

  /// They are the caller's to close.
  func takePassed() -> [Int32] {
    defer { passed = [] }
    return passed
  }

  var isClosed: Bool { descriptor < 0 }
  var wantsWrite: Bool { !pending.isEmpty }

  func close() {
    if descriptor >= 0 { Glibc.close(descriptor) }
    descriptor = -1
  }

  /// The requests that came in whole.
  func readRequests() -> [JSON] {
    var requests: [JSON] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while descriptor >= 0 {
      let (count, came) = PassedDescriptors.receive(descriptor, into: &buffer)
      passed += came
      if passed.count > PassedDescriptors.maximum { close() }
      if count < 0 && errno == EINTR { continue }
      if count < 0 && errno == EAGAIN { break }
      guard count > 0 else {
        close()
        break
      }
      for line in lines.append(buffer[..<count]) {
        requests.append((try? JSON(parsing: line, limits: LocalDeploymentRequest.limits)) ?? .null)
      }
    }
    return requests
  }

  func send(_ json: JSON, isLast: Bool = false) {
    pending += json.canonicalBytes
    pending.append(UInt8(ascii: "\n"))
    if isLast { endsWhenWritten = true }
    if pending.count > Self.pendingMaximum { close() }
    write()
  }

  func write() {
    while descriptor >= 0 && !pending.isEmpty {
      let count = pending.withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress, pending.count, Int32(MSG_NOSIGNAL))
      }
      if count < 0 && errno == EINTR { continue }
      if count < 0 && errno == EAGAIN { return }
      guard count > 0 else { return close() }
      pending.removeFirst(count)
    }
    if endsWhenWritten { close() }
  }

  func deliver(_ lines: [String], isLast: Bool) -> Bool {
    var rest = lines[...]
    repeat {
      let piece = rest.prefix(Self.linesMaximum)
      rest = rest.dropFirst(Self.linesMaximum)
      send(["lines": .array(piece.map(JSON.string))], isLast: isLast && rest.isEmpty)
    } while !rest.isEmpty
    return !isClosed
  }
}
