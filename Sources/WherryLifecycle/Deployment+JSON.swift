import WherryJSON
import WherryModel
import WherryWire

extension DeploymentConclusion: WireValue {
  package var json: JSON {
    .members([
      ("generation", generation.edition),
      ("digest", digest.map { .string($0.description) }),
      ("status", .string(status.rawValue)),
      ("failure", failure?.json),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    generation = try cursor.require("generation").edition()
    digest = try cursor.optional("digest")?.digest()
    status = try cursor.require("status").choice()
    if let cursor = try cursor.optional("failure") { failure = try Failure(cursor) } else { failure = nil }
  }
}

extension DeploymentProgress: WireValue {
  package var json: JSON {
    .members([
      ("reference", reference.json),
      ("phase", phase.json),
      ("isDirty", .bool(isDirty)),
      ("isChange", .bool(isChange)),
      ("excused", .strings(excused.map(\.rawValue).sorted())),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    reference = try PlanReference(cursor.require("reference"))
    phase = try DeploymentPhase(cursor.require("phase"))
    isDirty = try cursor.require("isDirty").bool()
    isChange = try cursor.require("isChange").bool()
    excused = Set(try cursor.require("excused").list { (element) throws(JSONShapeError) in try element.name() })
  }
}

extension DeploymentPhase: WireValue {
  package var json: JSON {
    switch self {
    case .fetching(let attempts): .members([("name", "fetching"), ("attempts", attempts.json)])
    case .fetchPaused(let attempts, let until, let cause):
      .members([
        ("name", "fetchPaused"), ("attempts", attempts.json), ("until", .instant(until)), ("cause", cause.json),
      ])
    case .asking(let deadline, let holding):
      .members([
        ("name", "asking"), ("deadline", .instant(deadline)), ("holding", .strings(holding.map(\.rawValue))),
      ])
    case .applying(let deadline): .members([("name", "applying"), ("deadline", .instant(deadline))])
    case .settling(let until, let deadline):
      .members([("name", "settling"), ("until", .instant(until)), ("deadline", .instant(deadline))])
    case .rollingBack(let cause, let until, let deadline):
      .members([
        ("name", "rollingBack"), ("cause", cause.json), ("until", .instant(until)), ("deadline", .instant(deadline)),
      ])
    }
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    let name = try cursor.require("name")
    switch try name.string() {
    case "fetching": self = .fetching(try FetchAttempts(cursor.require("attempts")))
    case "fetchPaused":
      self = .fetchPaused(
        try FetchAttempts(cursor.require("attempts")), until: try cursor.require("until").instant(),
        cause: try Failure(cursor.require("cause")))
    case "asking":
      self = .asking(
        deadline: try cursor.require("deadline").instant(),
        holding: try cursor.require("holding").list { (element) throws(JSONShapeError) in try element.name() })
    case "applying": self = .applying(deadline: try cursor.require("deadline").instant())
    case "settling":
      self = .settling(
        until: try cursor.optional("until")?.instant(), deadline: try cursor.require("deadline").instant())
    case "rollingBack":
      self = .rollingBack(
        cause: try Failure(cursor.require("cause")), until: try cursor.optional("until")?.instant(),
        deadline: try cursor.require("deadline").instant())
    case let other: throw name.fail("\"\(other.prefix(40))\" is not a phase of a deployment known here")
    }
  }
}

extension FetchAttempts: WireValue {
  package var json: JSON {
    .members([
      ("count", .int(count)), ("since", .instant(since)),
      ("contentFailures", contentFailures == 0 ? nil : .int(contentFailures)),
      ("remaining", remaining.map { .integer($0) }), ("step", step == 1 ? nil : .integer(step)),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    self.init(
      count: try cursor.require("count").int(), since: try cursor.optional("since")?.instant(),
      contentFailures: try cursor.optional("contentFailures")?.int() ?? 0,
      remaining: try cursor.optional("remaining")?.integer(), step: try cursor.optional("step")?.integer() ?? 1)
  }
}

extension JSON {
  /// nil is left out by `members`.
  static func instant(_ instant: Instant?) -> JSON? { instant.map { .integer($0.milliseconds) } }
}
