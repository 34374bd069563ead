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
    case "workload":
      let id = try running(try component(in: request))
      let log = JSON.string(composer.logPath(id))
      client.send(["workload": .string(id.description), "log": log], isLast: true)
    case "stats": client.send(["stats": .array(statisticsRows)], isLast: true)
    case "pause":
      try setPaused(try component(in: request), request["paused"]?.boolValue ?? true)
      client.send([:], isLast: true)
    case "local": client.send(localContext, isLast: true)
    case "deploy": arrivals.append(.local(request, client))
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
      ("concessions", .array(ports.runner.concessions.map(JSON.string))),
      ("local", lastReport?.local?.json), ("version", .string(AgentVersion.text)),
    ])
  }

  private var componentRows: [JSON] {
    machine.state.components.keys.sorted().compactMap { name in
      guard let component = machine.state.components[name] else { return nil }
      let report = component.report
      return .members([
        ("name", .string(name.rawValue)), ("version", .string(report.version.description)),
        ("state", .string(report.state.rawValue)), ("restarts", .int(report.restarts)),
        ("pid", processID(of: name).map { .integer(Int64($0)) }),
        ("paused", mainWorkload(of: name).map { .bool(ports.runner.isPaused($0.description)) }),
        ("failure", report.failure?.json), ("local", isLocal(name) ? true : nil),
      ])
    }
  }

  /// The host's pid of a component's first process.
  package func processID(of name: ComponentName) -> Int32? { mainWorkload(of: name).flatMap { workloads[$0]?.pid } }

  /// Of several steps that run the one that is meant when people speak of the component.
  private func mainWorkload(of name: ComponentName) -> WorkloadID? {
    let live = workloads.keys.filter { $0.component == name }.sorted()
    return live.first { $0.step == .run } ?? live.first
  }

  private func running(_ name: ComponentName) throws(Failure) -> WorkloadID {
    guard machine.state.components[name] != nil else { throw unknown(name) }
    guard let id = mainWorkload(of: name), workloads[id]?.pid != nil else {
      throw Failure(
        .rejected, code: "component.notRunning", message: "\(name) is not running",
        remedy: "see why with `wherry-agent components` and its log", component: name)
    }
    return id
  }

  private func setPaused(_ name: ComponentName, _ isPaused: Bool) throws(Failure) {
    let id = try running(name)
    try ports.runner.setPaused(id.description, isPaused)
    log.info(isPaused ? "paused" : "resumed", ["workload": id.description])
  }

  private var statisticsRows: [JSON] {
    machine.state.components.keys.sorted().compactMap { name in
      guard let id = mainWorkload(of: name), let found = ports.runner.statistics(id.description) else { return nil }
      return .members([
        ("name", .string(name.rawValue)), ("at", .integer(now.milliseconds)),
        ("cpuMicroseconds", found.cpuMicroseconds.map(JSON.integer)), ("memory", found.memoryBytes.map(JSON.integer)),
        ("memoryMaximum", found.memoryMaximum.map(JSON.integer)), ("processes", found.pids.map(JSON.int)),
        ("memoryKills", found.memoryKills.map(JSON.integer)),
        ("pressure", found.pressure.isEmpty ? nil : .map(found.pressure.mapValues { "\($0)" })),
      ])
    }
  }
}
