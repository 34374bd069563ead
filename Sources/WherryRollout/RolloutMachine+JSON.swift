import WherryJSON
import WherryModel
import WherryWire

/// The journal's form. Read by another version of the service too: unknown members are ignored.
extension RolloutMachine: WireValue {
  package var json: JSON { .members(head + [("members", .array(members.map(\.json)))]) }

  private var head: [(String, JSON?)] {
    [
      ("v", .integer(1)),
      ("policy", policy.json),
      ("state", .string(state.name)),
      ("reason", state.reason.isEmpty ? nil : .string(state.reason)),
      ("openWave", .int(openWave)),
      ("waveEnds", .array(waveEnds.map(JSON.int))),
      ("soakUntil", soakUntil.map { .integer($0.milliseconds) }),
      ("accepted", failuresAccepted.isEmpty ? nil : .object(accepted)),
      ("bytesOutAt", bytesOutAt == .zero ? nil : .integer(bytesOutAt.milliseconds)),
      ("throttledUntil", throttledUntil.map { .integer($0.milliseconds) }),
    ]
  }

  private var accepted: [String: JSON] {
    Dictionary(uniqueKeysWithValues: failuresAccepted.map { ($0.key.rawValue, .int($0.value)) })
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    let policy = try RolloutPolicy(cursor.require("policy"))
    let members = try cursor.require("members").list { (member) throws(JSONShapeError) in try Member(member) }
    try self.init(cursor, policy, RolloutRoster(members, policy: policy))
  }

  private init(_ cursor: JSONCursor, _ policy: RolloutPolicy, _ roster: RolloutRoster) throws(JSONShapeError) {
    try cursor.requireVersion("a rollout")
    self.init(policy: policy, roster: roster)
    state = try Self.state(cursor)
    openWave = try cursor.require("openWave").int()
    waveEnds = try cursor.require("waveEnds").list { (end) throws(JSONShapeError) in try end.int() }
    soakUntil = try cursor.optional("soakUntil")?.instant()
    bytesOutAt = try cursor.optional("bytesOutAt")?.instant() ?? .zero
    throttledUntil = try cursor.optional("throttledUntil")?.instant()
    failuresAccepted = try Self.accepted(cursor)
    self.roster.settle()
    guard waveEnds.indices.contains(max(0, openWave)) else { throw cursor.fail("wave \(openWave) does not exist") }
    if let stray = members.first(where: { !waveEnds.indices.contains($0.wave ?? 0) }) {
      throw cursor.fail("device \(stray.name) is in a wave that does not exist")
    }
  }

  // MARK: - In parts

  /// All but the members.
  package var headJSON: JSON { .members(head) }

  /// The members that changed since this was asked last, by their slots; everyone the first time.
  package mutating func takeChanges() -> RolloutChanges {
    let changes = roster.takeChanges()
    let members = changes.slots.sorted().map { RolloutChanges.Entry(slot: $0, member: roster[$0]?.json) }
    return RolloutChanges(isWhole: changes.isWhole, members: members)
  }

  /// - Parameter members: by slot.
  package init(head: JSONCursor, members: [Int: JSON]) throws(JSONShapeError) {
    let policy = try RolloutPolicy(head.require("policy"))
    var slots: [Int: Member] = [:]
    for (slot, member) in members { slots[slot] = try Member(JSONCursor(member, path: "/members/\(slot)")) }
    try self.init(head, policy, RolloutRoster(slots: slots, policy: policy))
  }

  private static func accepted(_ cursor: JSONCursor) throws(JSONShapeError) -> [FailureCause: Int] {
    guard let value = try cursor.optional("accepted") else {
      // So older versions wrote it, whose causes had one budget together.
      let number = try cursor.optional("failuresAccepted")?.int() ?? 0
      return number == 0 ? [:] : [.internalError: number]
    }
    var accepted: [FailureCause: Int] = [:]
    for cause in FailureCause.allCases { accepted[cause] = try value.optional(cause.rawValue)?.int() }
    return accepted
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

/// What has to be stored beside the machine's head.
package struct RolloutChanges: Hashable, Sendable {
  package struct Entry: Hashable, Sendable {
    package var slot: Int
    /// nil = nobody is there any more.
    package var member: JSON?
  }
  /// Members that were stored before are void.
  package var isWhole: Bool
  package var members: [Entry]
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
      ("spoke", hasSpoken ? true : nil),
      ("deferred", isDeferred ? true : nil),
      ("down", isDown ? true : nil),
      ("sites", sites.isEmpty ? nil : .array(sites.map { $0.map(JSON.string) ?? .null })),
      ("bytes", bytes == 0 ? nil : .integer(bytes)),
    ])
  }

  init(_ cursor: JSONCursor) throws(JSONShapeError) {
    self.init(name: try cursor.require("name").name(), isOnline: try cursor.require("isOnline").bool())
    wave = try cursor.optional("wave")?.int()
    hasSpoken = try cursor.optional("spoke")?.bool() ?? false
    isDeferred = try cursor.optional("deferred")?.bool() ?? false
    isDown = try cursor.optional("down")?.bool() ?? false
    bytes = try cursor.optional("bytes")?.size() ?? 0
    sites =
      try cursor.optional("sites")?.list { (site) throws(JSONShapeError) in site.json == .null ? nil : try site.string()
      }
      ?? []
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
