import Glibc
import Synchronization

/// A tiny HTTP/1.1 server on a free port of 127.0.0.1 whose answers a test writes, the dishonest ones too: wrong
/// lengths, bodies that end early or never, connections that are held. One thread per connection, one request each.
package final class LoopbackServer: Sendable {
  package struct Request: Sendable {
    package var method: String
    /// Path and query.
    package var target: String
    /// Names in lower case.
    package var headers: [String: String]
    package var body: [UInt8]
  }

  package struct Response: Sendable {
    package enum Ending: Sendable {
      case complete
      /// Closes after so many body bytes.
      case cut(after: Int)
      /// After so many body bytes nothing comes any more, until the client goes away.
      case held(after: Int)
      /// The body again and again, until the client goes away.
      case endless
    }
    package var status: Int
    package var headers: [(String, String)]
    package var body: [UInt8]
    /// What `Content-Length` says; nil = the truth.
    package var declaredLength: Int?
    package var hasLength = true
    package var ending: Ending = .complete

    package init(_ status: Int = 200, headers: [(String, String)] = [], body: [UInt8] = []) {
      self.status = status
      self.headers = headers
      self.body = body
    }

    package init(_ status: Int = 200, headers: [(String, String)] = [], text: String) {
      self.init(status, headers: headers, body: Array(text.utf8))
    }

    /// The answer of an honest file server to a request with or without `Range: bytes=N-`.
    package static func file(_ bytes: [UInt8], for request: Request) -> Response {
      guard let range = request.headers["range"], range.hasPrefix("bytes="), range.hasSuffix("-"),
        let from = Int(range.dropFirst(6).dropLast())
      else { return Response(body: bytes) }
      guard from < bytes.count else { return Response(416) }
      return Response(
        206, headers: [("Content-Range", "bytes \(from)-\(bytes.count - 1)/\(bytes.count)")],
        body: Array(bytes[from...]))
    }
  }

  package let port: UInt16
  private let listener: Int32
  private let log = Mutex<[Request]>([])
  private let handler: @Sendable (Request) -> Response

  package init(_ handler: @escaping @Sendable (Request) -> Response) {
    self.handler = handler
    listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let listener = listener
    let isListening = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, length) == 0 && listen(listener, 64) == 0 && getsockname(listener, $0, &length) == 0
      }
    }
    precondition(isListening, "no loopback port could be had")
    port = UInt16(bigEndian: address.sin_port)
    Self.thread { [self] in acceptConnections() }
  }

  /// Everything that was asked so far, in order.
  package var requests: [Request] { log.withLock { $0 } }
  package var origin: String { "http://127.0.0.1:\(port)" }
  package func stop() { shutdown(listener, Int32(SHUT_RDWR)) }

  private final class Work: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }

  private static func thread(_ body: @escaping @Sendable () -> Void) {
    var thread = pthread_t()
    let context = Unmanaged.passRetained(Work(body)).toOpaque()
    let code = pthread_create(
      &thread, nil,
      { context in
        guard let context else { return nil }
        Unmanaged<Work>.fromOpaque(context).takeRetainedValue().body()
        return nil
      }, context)
    precondition(code == 0, "no thread could be had")
    pthread_detach(thread)
  }

  private func acceptConnections() {
    while true {
      let connection = accept(listener, nil, nil)
      guard connection >= 0 else { break }
      Self.thread { [self] in
        serve(connection)
        close(connection)
      }
    }
    close(listener)
  }

  private func serve(_ connection: Int32) {
    guard let request = Self.read(connection) else { return }
    log.withLock { $0.append(request) }
    let response = handler(request)
    var head = "HTTP/1.1 \(response.status) Scripted\r\nConnection: close\r\n"
    for (name, value) in response.headers { head += "\(name): \(value)\r\n" }
    if response.hasLength { head += "Content-Length: \(response.declaredLength ?? response.body.count)\r\n" }
    guard Self.write(Array((head + "\r\n").utf8), to: connection), request.method != "HEAD" else { return }
    switch response.ending {
    case .complete: _ = Self.write(response.body, to: connection)
    case .cut(let count): _ = Self.write(Array(response.body.prefix(count)), to: connection)
    case .held(let count):
      _ = Self.write(Array(response.body.prefix(count)), to: connection)
      var byte: UInt8 = 0
      while recv(connection, &byte, 1, 0) > 0 {}
    case .endless: while Self.write(response.body, to: connection) {}
    }
    // A close with unread input would reset the connection and could take the answer with it.
    shutdown(connection, Int32(SHUT_WR))
    var rest = [UInt8](repeating: 0, count: 4_096)
    while recv(connection, &rest, rest.count, 0) > 0 {}
  }

  private static func write(_ bytes: [UInt8], to connection: Int32) -> Bool {
    var sent = 0
    while sent < bytes.count {
      let count = bytes.withUnsafeBytes {
        send(connection, $0.baseAddress?.advanced(by: sent), bytes.count - sent, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { return false }
      sent += count
    }
    return true
  }

  private static func read(_ connection: Int32) -> Request? {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 16_384)
    let separator = Array("\r\n\r\n".utf8)
    while true {
      if let end = bytes.firstRange(of: separator) {
        guard var request = parse(Array(bytes[..<end.lowerBound])) else { return nil }
        let length = request.headers["content-length"].flatMap { Int($0) } ?? 0
        if bytes.count - end.upperBound >= length {
          request.body = Array(bytes[end.upperBound...].prefix(length))
          return request
        }
      }
      let count = recv(connection, &buffer, buffer.count, 0)
      guard count > 0, bytes.count < 64 << 20 else { return nil }
      bytes.append(contentsOf: buffer[..<count])
    }
  }

  private static func parse(_ head: [UInt8]) -> Request? {
    let lines = head.split(separator: UInt8(ascii: "\n")).map { line in
      String(decoding: line.last == 13 ? line.dropLast() : line, as: UTF8.self)
    }
    let words = lines.first?.split(separator: " ") ?? []
    guard words.count == 3 else { return nil }
    var headers: [String: String] = [:]
    for line in lines.dropFirst() {
      let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2 else { continue }
      headers[parts[0].lowercased()] = String(parts[1].drop { $0 == " " })
    }
    return Request(method: String(words[0]), target: String(words[1]), headers: headers, body: [])
  }
}
