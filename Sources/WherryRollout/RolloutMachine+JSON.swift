import WherryJSON
import WherryModel
import WherryWire

/// The journal's form. Read by another version of the service too: unknown members are ignored.
extension RolloutMachine: WireValue {
  package var json: JSON {
    .members([
      ("v", .integer(1)),
      ("policy", policy.json),
      ("state", .string(state.name)),
      ("reason", state.reason.isEmpty ? nil : .string(state.reason)),
      ("openWave", .int(openWave)),
      ("waveEnds", .array(waveEnds.map(JSON.int))),
      ("soakUntil", soakUntil.map { .integer($0.milliseconds) }),
      ("failuresAccepted", .int(failuresAccepted)),
      ("members", .array(members.map(\.json))),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    try cursor.requireVersion("a rollout")
    self.init(policy: try RolloutPolicy(cursor.require("policy")), devices: [])
    state = try Self.state(cursor)
    openWave = try cursor.require("openWave").int()
    waveEnds = try cursor.require("waveEnds").list { (end) throws(JSONShapeError) in try end.int() }
    soakUntil = try cursor.optional("soakUntil")?.instant()
    failuresAccepted = try cursor.require("failuresAccepted").int()
    let members = try cursor.require("members").list { (member) throws(JSONShapeError) in try Member(member) }
    roster = RolloutRoster(members)
    roster.settle()
    guard waveEnds.indices.contains(max(0, openWave)) else { throw cursor.fail("wave \(openWave) does not exist") }
    if let stray = members.first(where: { !waveEnds.indices.contains($0.wave ?? 0) }) {
      throw cursor.fail("device \(stray.name) is in a wave that does not exist")
    }
  }

  private static func state(_ cursor: JSONCursor) throws(JSONShapeError) -> RolloutState {
    let name = try cursor.require("state")
    let reason = try cursor.optional("reason")?.string() ?? ""
    switch try name.string() {
    case "created": return .created
    case "rolling": return .rolling
    case "paused": return .paused(reason: reason)
    case "halted": return .halted(reason: reason)
    case "completed": return .completed
    case "cancelled": return .cancelled
    case let other: throw name.fail("\"\(other.prefix(40))\" is not a state of a rollout known here")
    }
  }
}

extension RolloutMachine.Member {
  var json: JSON {
    var outcomeName: String?
    var failure: Failure?
    switch outcome {
    case .committed: outcomeName = "committed"
    case .failed(let cause):
      outcomeName = "failed"
      failure = cause
    case .reverted: outcomeName = "reverted"
    case nil: break
    }
    return .members([
      ("name", .string(name.rawValue)),
      ("wave", wave.map(JSON.int)),
      ("isOnline", .bool(isOnline)),
      ("outcome", outcomeName.map { .string($0) }),
      ("failure", failure?.json),
      ("since", since.map { .integer($0.milliseconds) }),
    ])
  }

  init(_ cursor: JSONCursor) throws(JSONShapeError) {
    name = try cursor.require("name").name()
    wave = try cursor.optional("wave")?.int()
    isOnline = try cursor.require("isOnline").bool()
    since = try cursor.optional("since")?.instant()
    guard let outcomeName = try cursor.optional("outcome") else { return }
    switch try outcomeName.string() {
    case "committed": outcome = .committed
    case "reverted": outcome = .reverted
    case "failed":
      if let failure = try cursor.optional("failure") {
        outcome = .failed(try Failure(failure))
      } else {
        outcome = .failed(nil)
      }
    case let other: throw outcomeName.fail("\"\(other.prefix(40))\" is not an outcome known here")
    }
  }
}
