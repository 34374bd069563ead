import Glibc
import WherryJSON
import WherryModel
import WherryWire

/// The other side of `agent.sock`.
final class LocalConnection {
  private let descriptor: Int32
  private var lines = LineBuffer(lineMaximum: 8 << 20)

  init(_ path: String) throws(Failure) {
    descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { throw Files.failure("make", "a socket") }
    let result = try UnixSocket.withAddress(path) { connect(descriptor, $0, $1) }
    guard result == 0 else {
      throw Failure(
        .internalError, code: "agent.notRunning",
        message: "no agent answers at \(path): \(String(cString: strerror(errno)))",
        remedy: errno == EACCES ? "run this as root" : "start it with `wherry-agent run`")
    }
  }

  deinit { close(descriptor) }

  /// Asks and hands over each answer until the agent ends the connection.
  func ask(_ request: JSON, _ body: (JSON) throws -> Void) throws {
    guard Files.writeAll(request.canonicalBytes + [UInt8(ascii: "\n")], to: descriptor) else {
      throw Files.failure("write to", "the agent's socket")
    }
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let count = read(descriptor, &buffer, buffer.count)
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw Files.failure("read from", "the agent's socket") }
      if count == 0 { return }
      for line in lines.append(buffer[..<count]) {
        let answer = try JSON(parsing: line, limits: JSONLimits(bytesMaximum: 8 << 20))
        if let failure = answer["failure"], answer["device"] == nil { throw try Failure(JSONCursor(failure)) }
        try body(answer)
      }
    }
  }

  struct Commands {
    let socket: String

    func ask(_ request: JSON, _ body: (JSON) throws -> Void) throws {
      try LocalConnection(socket).ask(request, body)
    }

    func status() throws {
      try ask(["request": "status"]) { answer in
        let isConnected = answer["connected"]?.boolValue == true
        let broker = answer["broker"]?.stringValue ?? ""
        let failure = try answer["failure"].map { try Failure(JSONCursor($0)) }
        Output.print("device      \(answer["device"]?.stringValue ?? "")")
        Output.print("connection  \(isConnected ? "connected to" : "not connected to") \(broker)")
        Output.print("generation  \(answer["generation"]?.integerValue ?? 0)")
        Output.print("status      \(answer["status"]?.stringValue ?? "nothing deployed")")
        if let local = try answer["local"].map({ try LocalReport(JSONCursor($0)) }) {
          Output.print("local       deployment \(local.id): \(local.status.rawValue)")
        }
        for text in (answer["concessions"]?.arrayValue ?? []).compactMap(\.stringValue) {
          Output.print("concession  \(text)")
        }
        if let failure { Output.print("failure     \(failure)") }
      }
    }

    func components() throws {
      try ask(["request": "components"]) { answer in
        var rows = [["NAME", "VERSION", "STATE", "RESTARTS", "PID", "FROM"]]
        for component in answer["components"]?.arrayValue ?? [] {
          rows.append([
            component["name"]?.stringValue ?? "", component["version"]?.stringValue ?? "",
            (component["state"]?.stringValue ?? "") + (component["paused"]?.boolValue == true ? " (paused)" : ""),
            "\(component["restarts"]?.integerValue ?? 0)",
            component["pid"]?.integerValue.map(String.init) ?? "-",
            component["local"]?.boolValue == true ? "local" : "service",
          ])
        }
        Output.print(Self.table(rows), terminator: "")
      }
    }

    /// The agent says what there is; how large it is this process finds out by itself.
    func images(_ paths: AgentPaths, asJSON: Bool) throws {
      try ask(["request": "images"]) { answer in
        let list = try ImageList(answer["images"]?.arrayValue ?? [])
        let found = list.json { layer in
          let path = paths.snapshot(layer)
          return Files.exists(path) ? DiskMeasure.bytes(of: [path]) : nil
        }
        guard !asJSON else { return Output.print(found.canonical) }
        var rows = [["IMAGE", "DIGEST", "SIZE", "SHARED", "LAYERS", "USE", "COMPONENTS"]]
        for image in found["images"]?.arrayValue ?? [] {
          let present = image["layersPresent"]?.integerValue ?? 0
          let layers = image["layers"]?.integerValue ?? 0
          rows.append([
            image["image"]?.stringValue ?? "", String((image["digest"]?.stringValue ?? "").prefix(19)),
            ByteCount.readable(image["bytes"]?.integerValue ?? 0),
            ByteCount.readable(image["sharedBytes"]?.integerValue ?? 0),
            present == layers ? "\(layers)" : "\(present) of \(layers)", image["use"]?.stringValue ?? "",
            (image["components"]?.arrayValue ?? []).compactMap(\.stringValue).joined(separator: ", "),
          ])
        }
        Output.print(Self.table(rows), terminator: "")
        Output.print("\(ByteCount.readable(found["storedBytes"]?.integerValue ?? 0)) in all layers")
      }
    }

    static func table(_ rows: [[String]]) -> String {
      let columns = rows.map(\.count).max() ?? 0
      let widths = (0..<columns).map { column in rows.map { $0[column].count }.max() ?? 0 }
      return rows.map { row in
        let cells = zip(row, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }
        var line = cells.joined(separator: "  ")
        while line.last == " " { line.removeLast() }
        return line + "\n"
      }.joined()
    }

    func logs(_ component: ComponentName, tail: Int, follow: Bool) throws {
      let request: JSON = [
        "request": "logs", "component": .string(component.rawValue), "tail": .int(tail), "follow": .bool(follow),
      ]
      try ask(request) { answer in
        for line in answer["lines"]?.arrayValue ?? [] { Output.print(line.stringValue ?? "") }
      }
    }

    func restart(_ component: ComponentName) throws {
      try ask(["request": "restart", "component": .string(component.rawValue)]) { _ in
        Output.print("\(component) is restarting")
      }
    }
  }
}
