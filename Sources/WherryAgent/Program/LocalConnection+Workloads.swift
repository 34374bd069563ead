import Glibc
import WherryIsolation
import WherryJSON
import WherryModel

/// What people do with a component that runs.
extension LocalConnection.Commands {
  func setPaused(_ component: ComponentName, _ isPaused: Bool) throws {
    try ask(["request": "pause", "component": .string(component.rawValue), "paused": .bool(isPaused)]) { _ in
      Output.print("\(component) \(isPaused ? "is held still" : "goes on")")
    }
  }

  /// The agent only says which workload it is: the streams are this process's, and so is the work.
  func exec(_ options: AgentCommand.ExecOptions, _ configuration: AgentConfiguration) throws -> Int32 {
    var id: String?
    try ask(["request": "workload", "component": .string(options.component.rawValue)]) { answer in
      id = answer["workload"]?.stringValue
    }
    guard let id else { throw Misuse(message: "the agent does not say what runs of \(options.component)") }
    let hasTerminal = options.terminal ?? (isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1)
    let term = getenv("TERM").map { String(cString: $0) } ?? "xterm"
    return try WorkloadHost(configuration.host).attend(
      in: id, arguments: options.command, environment: hasTerminal ? ["TERM=" + term] : [], hasTerminal: hasTerminal)
  }

  /// As `exec`: the streams are this process's.
  func attach(_ component: ComponentName, hasInput: Bool, _ configuration: AgentConfiguration) throws -> Int32 {
    var found: (id: String, log: String)?
    try ask(["request": "workload", "component": .string(component.rawValue)]) { answer in
      guard let id = answer["workload"]?.stringValue, let log = answer["log"]?.stringValue else { return }
      found = (id, log)
    }
    guard let found else { throw Misuse(message: "the agent does not say what runs of \(component)") }
    let input = hasInput ? STDIN_FILENO : nil
    let host = try WorkloadHost(configuration.host)
    let code = try host.attach(to: found.id, logPath: found.log, input: input) { bytes, isError in
      _ = Files.writeAll(bytes, to: isError ? STDERR_FILENO : STDOUT_FILENO)
    }
    return code ?? 0
  }

  private static let sampleMicroseconds: UInt32 = 500_000

  func stats(asJSON: Bool) throws {
    let first = try sample()
    usleep(Self.sampleMicroseconds)
    let second = try sample()
    guard !asJSON else {
      let rows = second.map { row in row.json(since: first.first { $0.name == row.name }) }
      return Output.print(JSON.object(["stats": .array(rows)]).canonical)
    }
    var rows = [["NAME", "CPU", "MEMORY", "LIMIT", "PROCESSES", "KILLED", "PRESSURE"]]
    for row in second { rows.append(row.cells(since: first.first { $0.name == row.name })) }
    Output.print(Self.table(rows), terminator: "")
  }

  private func sample() throws -> [ComponentSample] {
    var samples: [ComponentSample] = []
    try ask(["request": "stats"]) { answer in
      samples = (answer["stats"]?.arrayValue ?? []).map(ComponentSample.init)
    }
    return samples
  }
}

/// One component at one moment, as the agent says it.
private struct ComponentSample {
  let name: String
  let fields: JSON

  init(_ fields: JSON) {
    name = fields["name"]?.stringValue ?? ""
    self.fields = fields
  }

  /// In thousandths of one processor; nil = not known, or it began in between.
  private func cpuMillis(since before: ComponentSample?) -> Int64? {
    guard let used = fields["cpuMicroseconds"]?.integerValue, let at = fields["at"]?.integerValue,
      let usedBefore = before?.fields["cpuMicroseconds"]?.integerValue,
      let atBefore = before?.fields["at"]?.integerValue,
      at > atBefore, used >= usedBefore
    else { return nil }
    return (used - usedBefore) / (at - atBefore)
  }

  func json(since before: ComponentSample?) -> JSON {
    var members = fields.objectValue ?? [:]
    members["cpuMillis"] = cpuMillis(since: before).map(JSON.integer)
    members["at"] = nil
    return .object(members)
  }

  func cells(since before: ComponentSample?) -> [String] {
    func number(_ name: String) -> String { fields[name]?.integerValue.map { "\($0)" } ?? "-" }
    func bytes(_ name: String) -> String { fields[name]?.integerValue.map { ByteCount.readable($0) } ?? "-" }
    let cpu = cpuMillis(since: before).map { "\($0 / 10).\($0 % 10)%" } ?? "-"
    let pressure = (fields["pressure"]?.objectValue ?? [:]).sorted { $0.key < $1.key }
      .map { "\($0.key) \($0.value.stringValue ?? "")%" }
    return [
      name, cpu, bytes("memory"), bytes("memoryMaximum"), number("processes"), number("memoryKills"),
      pressure.isEmpty ? "-" : pressure.joined(separator: ", "),
    ]
  }
}
