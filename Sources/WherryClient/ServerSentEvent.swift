/// One event of a `text/event-stream` (WHATWG HTML, "Server-sent events").
package struct ServerSentEvent: Hashable, Sendable {
  package var name: String
  package var data: String
}

/// Cuts a byte stream into events. A line is bounded; what exceeds the bound is dropped with its event.
package struct ServerSentEventParser {
  private static let lineBytesMaximum = 16 << 20
  private var line: [UInt8] = []
  private var name = ""
  private var data: [String] = []
  private var isOverlong = false

  package init() {}

  package mutating func feed(_ chunk: [UInt8]) -> [ServerSentEvent] {
    var events: [ServerSentEvent] = []
    for byte in chunk {
      guard byte == UInt8(ascii: "\n") else {
        if line.count < Self.lineBytesMaximum { line.append(byte) } else { isOverlong = true }
        continue
      }
      if line.last == UInt8(ascii: "\r") { line.removeLast() }
      if let event = endOfLine() { events.append(event) }
      line.removeAll(keepingCapacity: true)
    }
    return events
  }

  private mutating func endOfLine() -> ServerSentEvent? {
    let text = String(decoding: line, as: UTF8.self)
    guard text.isEmpty else {
      if let value = Self.value(of: "data", in: text) { data.append(value) }
      if let value = Self.value(of: "event", in: text) { name = value }
      return nil
    }
    defer {
      name = ""
      data = []
      isOverlong = false
    }
    guard !isOverlong, !data.isEmpty || !name.isEmpty else { return nil }
    return ServerSentEvent(name: name.isEmpty ? "message" : name, data: data.joined(separator: "\n"))
  }

  private static func value(of field: String, in line: String) -> String? {
    guard line.hasPrefix(field + ":") else { return nil }
    let value = line.dropFirst(field.count + 1)
    return String(value.hasPrefix(" ") ? value.dropFirst() : value)
  }
}
