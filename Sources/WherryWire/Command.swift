import WherryJSON
import WherryModel

/// What an operator asks of a device right now.
package enum CommandBody: Hashable, Sendable {
  case logs(component: ComponentName, tail: Int, follow: Bool)
  case restart(component: ComponentName)
  /// Ends a command that is still answering.
  case cancel(id: String)
}

/// The payload of `commands`.
package struct Command: Hashable, Sendable, WireValue {
  /// Lines of log at once.
  package static let tailMaximum = 100_000

  package var id: String
  package var body: CommandBody
  /// Milliseconds since 1970; a command that arrives later is dropped.
  package var expires: Instant

  package init(id: String, body: CommandBody, expires: Instant) {
    self.id = id
    self.body = body
    self.expires = expires
  }

  package var json: JSON {
    let parts: [(String, JSON?)] =
      switch body {
      case .logs(let component, let tail, let follow):
        [
          ("command", "logs"), ("component", .string(component.rawValue)), ("tail", .int(tail)),
          ("follow", .bool(follow)),
        ]
      case .restart(let component): [("command", "restart"), ("component", .string(component.rawValue))]
      case .cancel(let id): [("command", "cancel"), ("target", .string(id))]
      }
    return .members([("v", 1), ("id", .string(id)), ("expires", .integer(expires.milliseconds))] + parts)
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    try cursor.requireVersion("the command")
    id = try cursor.require("id").string()
    expires = try cursor.require("expires").instant()
    let verb = try cursor.require("command")
    switch try verb.string() {
    case "logs":
      body = .logs(
        component: try cursor.require("component").name(),
        tail: try cursor.optional("tail")?.count(maximum: Self.tailMaximum) ?? 0,
        follow: try cursor.optional("follow")?.bool() ?? false)
    case "restart": body = .restart(component: try cursor.require("component").name())
    case "cancel": body = .cancel(id: try cursor.require("target").string())
    case let other: throw verb.fail("the command \"\(other.prefix(80))\" is not known here; update the agent")
    }
  }
}

/// The payload of `results`: a part of a command's answer.
package struct CommandResult: Hashable, Sendable, WireValue {
  package var id: String
  /// From 0, without gaps.
  package var sequence: Int
  package var lines: [String]
  package var isLast: Bool
  package var failure: Failure?

  package init(id: String, sequence: Int, lines: [String], isLast: Bool, failure: Failure? = nil) {
    self.id = id
    self.sequence = sequence
    self.lines = lines
    self.isLast = isLast
    self.failure = failure
  }

  package var json: JSON {
    .members([
      ("id", .string(id)), ("sequence", .int(sequence)), ("lines", .strings(lines)), ("isLast", .bool(isLast)),
      ("failure", failure?.json),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    try cursor.requireVersion("the result")
    id = try cursor.require("id").string()
    sequence = try cursor.require("sequence").count()
    lines = try cursor.require("lines").strings()
    isLast = try cursor.require("isLast").bool()
    failure = nil
    if let value = try cursor.optional("failure") { failure = try Failure(value) }
  }
}
