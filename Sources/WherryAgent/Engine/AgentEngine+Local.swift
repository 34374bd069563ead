import WherryJSON
import WherryLifecycle
import WherryModel
import WherryWire

/// Answers to the commands on the device itself.
extension AgentEngine {
  /// Opens `agent.sock`.
  package func serveLocally() throws(Failure) { server = try LocalServer(path: paths.socket) }

  func serve(_ client: LocalClient) {
    for request in client.readRequests() {
      do throws(Failure) {
        try answer(request, to: client)
      } catch { client.send(["failure": error.json], isLast: true) }
    }
    if client.isClosed { cancelFollowing(Self.followingID(client)) }
  }

  private static func followingID(_ client: LocalClient) -> String { "local \(ObjectIdentifier(client).hashValue)" }

  private func answer(_ request: JSON, to client: LocalClient) throws(Failure) {
    switch request["request"]?.stringValue {
    case "status": client.send(statusJSON, isLast: true)
    case "components": client.send(["components": .array(componentRows)], isLast: true)
    case "images": client.send(["images": imagesJSON], isLast: true)
    case "restart":
      try restart(try component(in: request))
      client.send([:], isLast: true)
    case "logs":
      try sendLog(
        of: try component(in: request), tail: Int(request["tail"]?.integerValue ?? 100),
        follow: request["follow"]?.boolValue ?? false, id: Self.followingID(client), to: client)
    default:
      throw Failure(
        .rejected, code: "request.unknown", message: "this agent does not know that request",
        remedy: "use the wherry-agent of the same version")
    }
  }

  private func component(in request: JSON) throws(Failure) -> ComponentName {
    do { return try ComponentName(validating: request["component"]?.stringValue ?? "") } catch {
      throw Failure(
        .rejected, code: "request.invalid", message: error.description,
        remedy: "write a component's name as `wherry-agent components` shows it")
    }
  }

  private var statusJSON: JSON {
    .members([
      ("device", .string(identity.name.rawValue)), ("connected", .bool(isConnected)),
      ("broker", .string("\(identity.brokerHost):\(identity.brokerPort)")),
      ("generation", .integer(machine.state.generation.rawValue)),
      ("status", (lastReport?.status?.rawValue).map(JSON.string)), ("failure", lastReport?.failure?.json),
      ("running", (machine.state.current?.digest.description).map(JSON.string)),
      ("usersOfTheHost", ports.runner.userNamespaceObstacle.map(JSON.string)),
      ("version", .string(AgentVersion.text)),
    ])
  }

  private var componentRows: [JSON] {
    machine.state.components.keys.sorted().compactMap { name in
      guard let component = machine.state.components[name] else { return nil }
      let report = component.report
      return .members([
        ("name", .string(name.rawValue)), ("version", .string(report.version.description)),
        ("state", .string(report.state.rawValue)), ("restarts", .int(report.restarts)),
        ("pid", processID(of: name).map { .integer(Int64($0)) }), ("failure", report.failure?.json),
      ])
    }
  }

  /// The host's pid of a component's first process.
  package func processID(of name: ComponentName) -> Int32? {
    let live = workloads.filter { $0.key.component == name }.sorted { $0.key < $1.key }
    return (live.first { $0.key.step == .run } ?? live.first)?.value.pid
  }
}
