/// One event of a `text/event-stream` (WHATWG HTML, "Server-sent events").
package struct ServerSentEvent: Hashable, Sendable {
  package var name: String
  package var data: String
}

/// More than one event may have. Nothing that comes after it can be understood.
package struct ServerSentEventTooLarge: Error, Hashable, Sendable {
  package let bytesMaximum: Int
}

/// Cuts a byte stream into events, wherever the pieces end.
package struct ServerSentEventParser {
  /// A deployment to some 200,000 devices is one event.
  package static let eventBytesMaximum = 64 << 20

  private let eventBytesMaximum: Int
  private var eventBytes = 0
  private var line: [UInt8] = []
  private var name = ""
  private var data: [String] = []

  package init(eventBytesMaximum: Int = ServerSentEventParser.eventBytesMaximum) {
    self.eventBytesMaximum = eventBytesMaximum
  }

  package mutating func feed(_ chunk: [UInt8]) throws(ServerSentEventTooLarge) -> [ServerSentEvent] {
    var events: [ServerSentEvent] = []
    for byte in chunk {
      eventBytes += 1
      guard eventBytes <= eventBytesMaximum else { throw ServerSentEventTooLarge(bytesMaximum: eventBytesMaximum) }
      guard byte == UInt8(ascii: "\n") else {
        line.append(byte)
        continue
      }
      if line.last == UInt8(ascii: "\r") { line.removeLast() }
      if let event = endOfLine() { events.append(event) }
      line.removeAll(keepingCapacity: true)
    }
    return events
  }

  private mutating func endOfLine() -> ServerSentEvent? {
    guard line.isEmpty else {
      if let value = value(of: "data") { data.append(value) }
      if let value = value(of: "event") { name = value }
      return nil
    }
    defer {
      eventBytes = 0
      name = ""
      data = []
    }
    guard !data.isEmpty || !name.isEmpty else { return nil }
    return ServerSentEvent(name: name.isEmpty ? "message" : name, data: data.joined(separator: "\n"))
  }

  /// By bytes: what follows the colon may combine with it into one character.
  private func value(of field: String) -> String? {
    guard line.starts(with: (field + ":").utf8) else { return nil }
    let value = line.dropFirst(field.utf8.count + 1)
    return String(decoding: value.first == UInt8(ascii: " ") ? value.dropFirst() : value, as: UTF8.self)
  }
}
