import WherryJSON
import WherryModel
import WherryWire

extension ComponentMachine {
  var json: JSON {
    .members([
      ("generation", generation.edition),
      ("version", .string(version.description)),
      ("identity", .string(identity)),
      ("phase", phase.json),
      ("installed", installed.map { .string($0) }),
      ("bootstrapped", bootstrapped.map { .string($0) }),
      ("strikes", .int(strikes)),
      ("failedAt", .instant(failedAt)),
      ("launches", .int(launches)),
      ("failure", failure?.json),
      ("isRestartWanted", isRestartWanted ? .bool(true) : nil),
    ])
  }

  init(name: ComponentName, _ cursor: JSONCursor) throws(JSONShapeError) {
    self.init(
      name: name, generation: try cursor.require("generation").edition(),
      version: try cursor.require("version").version(), identity: try cursor.require("identity").string(),
      installed: try cursor.optional("installed")?.string())
    bootstrapped = try cursor.optional("bootstrapped")?.string()
    phase = try ComponentPhase(cursor.require("phase"))
    strikes = try cursor.require("strikes").int()
    failedAt = try cursor.optional("failedAt")?.instant()
    launches = try cursor.require("launches").int()
    if let cursor = try cursor.optional("failure") { failure = try Failure(cursor) }
    isRestartWanted = try cursor.optional("isRestartWanted")?.bool() ?? false
  }
}

extension ComponentPhase: WireValue {
  package var json: JSON {
    switch self {
    case .new: .members([("name", "new")])
    case .preparing(let step, let until):
      .members([("name", "preparing"), ("step", .string(step.rawValue)), ("until", .instant(until))])
    case .awaitingRestart(let kind, let until):
      .members([("name", "awaitingRestart"), ("restart", .string(kind.rawValue)), ("until", .instant(until))])
    case .installed: .members([("name", "installed")])
    case .starting(let step, let until):
      .members([("name", "starting"), ("step", .string(step.rawValue)), ("until", .instant(until))])
    case .running(let since, let until, let health):
      .members([
        ("name", "running"), ("since", .instant(since)), ("until", .instant(until)), ("health", health.json),
      ])
    case .recovering(let until): .members([("name", "recovering"), ("until", .instant(until))])
    case .waiting(let until): .members([("name", "waiting"), ("until", .instant(until))])
    case .shuttingDown(let until, let isMainAlive):
      .members([("name", "shuttingDown"), ("until", .instant(until)), ("isMainAlive", .bool(isMainAlive))])
    case .stopping(let steps, let until, let isRetry):
      .members([
        ("name", "stopping"), ("steps", .strings(steps.map(\.rawValue))), ("until", .instant(until)),
        ("isRetry", .bool(isRetry)),
      ])
    case .uninstalling(let until): .members([("name", "uninstalling"), ("until", .instant(until))])
    case .uninstalled: .members([("name", "uninstalled")])
    case .finished: .members([("name", "finished")])
    case .broken: .members([("name", "broken")])
    }
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    let name = try cursor.require("name")
    let until = try cursor.optional("until")?.instant()
    switch try name.string() {
    case "new": self = .new
    case "preparing": self = .preparing(try cursor.require("step").choice(), until: until)
    case "awaitingRestart":
      self = .awaitingRestart(
        try cursor.require("restart").choice(), until: try cursor.require("until").instant())
    case "installed": self = .installed
    case "starting": self = .starting(try cursor.require("step").choice(), until: until)
    case "running":
      self = .running(
        since: try cursor.require("since").instant(), until: until,
        health: try ComponentHealth(cursor.require("health")))
    case "recovering": self = .recovering(until: until)
    case "waiting": self = .waiting(until: try cursor.require("until").instant())
    case "shuttingDown":
      self = .shuttingDown(until: until, isMainAlive: try cursor.require("isMainAlive").bool())
    case "stopping":
      self = .stopping(
        try cursor.require("steps").list { (step) throws(JSONShapeError) in try step.choice() },
        until: try cursor.require("until").instant(), isRetry: try cursor.require("isRetry").bool())
    case "uninstalling": self = .uninstalling(until: until)
    case "uninstalled": self = .uninstalled
    case "finished": self = .finished
    case "broken": self = .broken
    case let other: throw name.fail("\"\(other.prefix(40))\" is not a phase of a component known here")
    }
  }
}

extension ComponentHealth: WireValue {
  package var json: JSON {
    switch self {
    case .unchecked: .object(["name": "unchecked"])
    case .pending(let failures): .object(["name": "pending", "failures": .int(failures)])
    case .healthy(let failures): .object(["name": "healthy", "failures": .int(failures)])
    }
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    let name = try cursor.require("name")
    switch try name.string() {
    case "unchecked": self = .unchecked
    case "pending": self = .pending(failures: try cursor.require("failures").int())
    case "healthy": self = .healthy(failures: try cursor.require("failures").int())
    case let other: throw name.fail("\"\(other.prefix(40))\" is not a health known here")
    }
  }
}
