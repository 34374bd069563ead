import Hummingbird
import ServiceLifecycle

/// Server-sent events (WHATWG HTML, "Server-sent events").
enum EventStream {
  static let keepAliveSeconds = 15
  static let pendingMaximum = 4_096

  struct Emitter: Sendable {
    let continuation: AsyncStream<String>.Continuation

    /// False once nobody reads any more.
    @discardableResult
    func data(_ text: String, event: String? = nil) -> Bool {
      // A line break within data would end the field, and the text would go on as fields of its own.
      let lines = EventStream.lines(of: text).map { "data: \($0)\n" }.joined()
      return raw((event.map { "event: \($0)\n" } ?? "") + lines + "\n")
    }

    fileprivate func raw(_ text: String) -> Bool {
      switch continuation.yield(text) {
      case .enqueued: return true
      case .dropped:
        // Too slow a reader: it can connect again and read the state as it is then.
        continuation.finish()
        return false
      case .terminated: return false
      @unknown default: return false
      }
    }
  }

  /// Lines end with LF, CR or both, as readers of a stream see it; a break at the end begins no further line. Bytes,
  /// since CR and LF together are one `Character` and equal to neither.
  static func lines(of text: String) -> [String] {
    var lines: [String] = []
    var line: [UInt8] = []
    var previous: UInt8 = 0
    for byte in text.utf8 {
      switch byte {
      case 0x0A where previous == 0x0D: break
      case 0x0A, 0x0D:
        lines.append(String(decoding: line, as: UTF8.self))
        line.removeAll(keepingCapacity: true)
      default: line.append(byte)
      }
      previous = byte
    }
    if !line.isEmpty || lines.isEmpty { lines.append(String(decoding: line, as: UTF8.self)) }
    return lines
  }

  /// `produce` runs until it returns, the client goes away or the service shuts down; its task is then cancelled.
  static func response(
    to request: Request, _ produce: @escaping @Sendable (Emitter) async -> Void
  ) -> Response {
    let body = ResponseBody { writer in
      let (events, continuation) = AsyncStream.makeStream(
        of: String.self, bufferingPolicy: .bufferingOldest(pendingMaximum))
      let emitter = Emitter(continuation: continuation)
      let producer = Task {
        await produce(emitter)
        continuation.finish()
      }
      let keepAlive = Task {
        while (try? await Task.sleep(for: .seconds(keepAliveSeconds))) != nil, emitter.raw(": still here\n\n") {}
      }
      defer {
        producer.cancel()
        keepAlive.cancel()
      }
      try await withGracefulShutdownHandler {
        try await request.body.consumeWithInboundCloseHandler { _ in
          for await event in events { try await writer.write(ByteBuffer(string: event)) }
        } onInboundClosed: {
          continuation.finish()
        }
      } onGracefulShutdown: {
        continuation.finish()
      }
      try await writer.finish(nil)
    }
    return Response(
      status: .ok, headers: [.contentType: "text/event-stream", .cacheControl: "no-store"], body: body)
  }
}
