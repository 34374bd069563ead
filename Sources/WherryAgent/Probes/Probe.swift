import Glibc
import WherryIsolation
import WherryModel

/// One look at a component's health. Ends exactly once, within its timeout.
protocol Probe: AnyObject {
  /// -1 = nothing to poll.
  var descriptor: Int32 { get }
  var wantsWrite: Bool { get }
  var deadline: Instant { get }
  /// The verdict, or nil while there is none.
  func advance(now: Instant) -> ProbeVerdict?
  func cancel()
}

struct ProbeVerdict: Hashable {
  var isHealthy: Bool
  /// Why not.
  var detail: String
  static let healthy = ProbeVerdict(isHealthy: true, detail: "")
  static func unhealthy(_ detail: String) -> ProbeVerdict { ProbeVerdict(isHealthy: false, detail: detail) }
}

/// A connection that is accepted, or a minimal `GET` whose answer is 200 to 399.
final class NetworkProbe: Probe {
  private static let answerBytesMaximum = 4096
  private enum Stage { case connecting, sending, receiving }

  private let place: String
  private let request: [UInt8]?
  private let timeoutMilliseconds: Int64
  let deadline: Instant
  private(set) var descriptor: Int32
  private var stage = Stage.connecting
  private var sent = 0
  private var answer: [UInt8] = []
  private var early: ProbeVerdict?

  /// `path` nil = TCP only.
  init(address: String, port: UInt16, path: String?, timeoutMilliseconds: Int64, now: Instant) {
    place = "\(address):\(port)" + (path ?? "")
    request = path.map {
      Array(
        "GET \($0.isEmpty ? "/" : $0) HTTP/1.0\r\nHost: \(address):\(port)\r\nUser-Agent: wherry-agent\r\n\r\n".utf8)
    }
    self.timeoutMilliseconds = timeoutMilliseconds
    deadline = now.advanced(byMilliseconds: max(1, timeoutMilliseconds))
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else {
      early = .unhealthy("no socket: \(String(cString: strerror(errno)))")
      return
    }
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    Spawn.setNonBlocking(descriptor)
    var target = sockaddr_in()
    target.sin_family = sa_family_t(AF_INET)
    target.sin_port = port.bigEndian
    guard inet_pton(AF_INET, address, &target.sin_addr) == 1 else {
      early = .unhealthy("\(address) is not an address")
      return
    }
    let result = withUnsafePointer(to: &target) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    if result != 0 && errno != EINPROGRESS { early = refused(errno) }
  }

  deinit { cancel() }

  var wantsWrite: Bool { stage != .receiving }

  func cancel() {
    if descriptor >= 0 { close(descriptor) }
    descriptor = -1
  }

  private func refused(_ number: Int32) -> ProbeVerdict {
    .unhealthy("\(place): \(String(cString: strerror(number)))")
  }

  func advance(now: Instant) -> ProbeVerdict? {
    if let early { return early }
    if let verdict = progress() { return verdict }
    guard now >= deadline else { return nil }
    return .unhealthy("\(place) did not answer within \(timeoutMilliseconds) ms")
  }

  private func progress() -> ProbeVerdict? {
    if stage == .connecting {
      guard isReady(Int16(POLLOUT)) else { return nil }
      var number: Int32 = 0
      var length = socklen_t(MemoryLayout<Int32>.size)
      getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &number, &length)
      if number != 0 { return refused(number) }
      guard request != nil else { return .healthy }
      stage = .sending
    }
    if stage == .sending, let verdict = write() { return verdict }
    return stage == .receiving ? read() : nil
  }

  private func isReady(_ events: Int16) -> Bool {
    var entry = pollfd(fd: descriptor, events: events, revents: 0)
    return poll(&entry, 1, 0) > 0
  }

  private func write() -> ProbeVerdict? {
    guard let request else { return .healthy }
    let count = request.withUnsafeBytes {
      send(descriptor, $0.baseAddress?.advanced(by: sent), request.count - sent, Int32(MSG_NOSIGNAL))
    }
    if count < 0 { return errno == EAGAIN || errno == EINTR ? nil : refused(errno) }
    sent += count
    if sent == request.count { stage = .receiving }
    return nil
  }

  private func read() -> ProbeVerdict? {
    var buffer = [UInt8](repeating: 0, count: 1024)
    while true {
      let count = recv(descriptor, &buffer, buffer.count, 0)
      if count < 0 { return errno == EAGAIN || errno == EINTR ? nil : refused(errno) }
      answer += buffer[..<count]
      if let end = answer.firstIndex(of: UInt8(ascii: "\n")) {
        return judge(String(decoding: answer[..<end], as: UTF8.self))
      }
      guard count > 0, answer.count <= Self.answerBytesMaximum else {
        return .unhealthy("\(place) did not answer in HTTP")
      }
    }
  }

  /// `HTTP/1.1 200 OK`
  private func judge(_ line: String) -> ProbeVerdict {
    let words = line.split(separator: " ")
    guard words.count >= 2, words[0].hasPrefix("HTTP/"), let status = Int(words[1].prefix(3)) else {
      return .unhealthy("\(place) did not answer in HTTP")
    }
    return (200..<400).contains(status) ? .healthy : .unhealthy("\(place) answered \(status)")
  }
}

/// A program inside the workload that exits 0.
final class ExecProbe: Probe {
  private let run: any RunningWorkload
  private let program: String
  private let timeoutMilliseconds: Int64
  let deadline: Instant

  init(_ run: any RunningWorkload, program: String, timeoutMilliseconds: Int64, now: Instant) {
    self.run = run
    self.program = program
    self.timeoutMilliseconds = timeoutMilliseconds
    deadline = now.advanced(byMilliseconds: max(1, timeoutMilliseconds))
  }

  var descriptor: Int32 { run.descriptor }
  var wantsWrite: Bool { false }

  func cancel() {
    run.kill()
    run.close()
  }

  func advance(now: Instant) -> ProbeVerdict? {
    for event in run.readEvents() {
      switch event {
      case .started: continue
      case .failedToStart(_, _, let sentence): return .unhealthy("\(program): \(sentence)")
      case .exited(let exit): return exit.isSuccess ? .healthy : .unhealthy("\(program) \(Self.words(exit))")
      case .lost: return .unhealthy("\(program) ended without a status")
      }
    }
    guard now >= deadline else { return nil }
    return .unhealthy("\(program) did not end within \(timeoutMilliseconds) ms")
  }

  private static func words(_ exit: WorkloadExit) -> String {
    exit.code.map { "exited with code \($0)" } ?? "was ended by signal \(exit.signal ?? 0)"
  }
}
