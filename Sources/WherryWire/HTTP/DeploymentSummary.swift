import WherryJSON
import WherryModel

package struct WaveSummary: Hashable, Sendable, WireValue {
  /// From 1.
  package var index: Int
  package var size: Int
  package var released: Int
  package var committed: Int
  package var failed: Int
  /// Offline when they should have changed; they hold nothing up.
  package var parked: Int
  /// Online, and said nothing in time; they are not among the failed.
  package var silent = 0
  /// Said *not now*; they are waited for.
  package var deferred = 0
  package var state: String

  package init(index: Int, size: Int, released: Int, committed: Int, failed: Int, parked: Int, state: String) {
    self.index = index
    self.size = size
    self.released = released
    self.committed = committed
    self.failed = failed
    self.parked = parked
    self.state = state
  }

  package var json: JSON {
    [
      "index": .int(index), "size": .int(size), "released": .int(released), "committed": .int(committed),
      "failed": .int(failed), "parked": .int(parked), "silent": .int(silent), "deferred": .int(deferred),
      "state": .string(state),
    ]
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    index = try cursor.require("index").int()
    size = try cursor.require("size").int()
    released = try cursor.require("released").int()
    committed = try cursor.require("committed").int()
    failed = try cursor.require("failed").int()
    parked = try cursor.require("parked").int()
    silent = try cursor.optional("silent")?.int() ?? 0
    deferred = try cursor.optional("deferred")?.int() ?? 0
    state = try cursor.require("state").string()
  }
}

package struct DeploymentDevice: Hashable, Sendable, WireValue {
  package var name: DeviceName
  /// From 1.
  package var wave: Int
  package var status: String
  /// Under which it was released; 0 = not yet.
  package var generation: Generation
  /// Of one that failed, or the reason why it waits.
  package var failure: Failure?
  /// Of one that says *not now*: when it goes on, at the latest.
  package var resumesAt: Instant?
  /// What keeps it back although its wave is open, in one sentence.
  package var waitsFor: String?
  /// While it fetches.
  package var bytesDone: Int64 = 0
  package var bytesTotal: Int64 = 0
  package var transfers: [Transfer] = []

  package init(name: DeviceName, wave: Int, status: String, generation: Generation, failure: Failure?) {
    self.name = name
    self.wave = wave
    self.status = status
    self.generation = generation
    self.failure = failure
  }

  package var json: JSON {
    .members([
      ("name", .string(name.rawValue)), ("wave", .int(wave)), ("status", .string(status)),
      ("generation", .integer(generation.rawValue)), ("failure", failure?.json),
      ("resumesAt", (resumesAt?.milliseconds).map(JSON.integer)), ("waitsFor", waitsFor.map(JSON.string)),
      ("bytesDone", bytesTotal == 0 ? nil : .integer(bytesDone)),
      ("bytesTotal", bytesTotal == 0 ? nil : .integer(bytesTotal)),
      ("transfers", transfers.nonEmpty.map { .array($0.map(\.json)) }),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    name = try cursor.require("name").name()
    wave = try cursor.require("wave").int()
    status = try cursor.require("status").string()
    generation = try cursor.require("generation").generation()
    failure = nil
    if let value = try cursor.optional("failure") { failure = try Failure(value) }
    resumesAt = try cursor.optional("resumesAt")?.instant()
    waitsFor = try cursor.optional("waitsFor")?.string()
    bytesDone = try cursor.optional("bytesDone")?.size() ?? 0
    bytesTotal = try cursor.optional("bytesTotal")?.size() ?? 0
    transfers = try Transfer.list(cursor.optional("transfers"))
  }
}

package struct DeploymentSummary: Hashable, Sendable, WireValue {
  package var id: DeploymentID
  package var target: DeploymentTarget
  /// Requirement as asked for.
  package var components: [ComponentName: String]
  /// rolling, paused, halted, completed, cancelled, superseded.
  package var state: String
  package var reason: String
  package var createdAt: Instant
  package var finishedAt: Instant?
  package var waves: [WaveSummary]
  package var devices: [DeploymentDevice]
  package var policy: RolloutPolicy

  package init(
    id: DeploymentID, target: DeploymentTarget, components: [ComponentName: String], state: String, reason: String,
    createdAt: Instant, finishedAt: Instant?, waves: [WaveSummary], devices: [DeploymentDevice], policy: RolloutPolicy
  ) {
    self.id = id
    self.target = target
    self.components = components
    self.state = state
    self.reason = reason
    self.createdAt = createdAt
    self.finishedAt = finishedAt
    self.waves = waves
    self.devices = devices
    self.policy = policy
  }

  package var json: JSON {
    .members([
      ("id", .integer(id.rawValue)), ("target", target.json), ("components", .named(components, JSON.string)),
      ("state", .string(state)), ("reason", .string(reason)), ("createdAt", .integer(createdAt.milliseconds)),
      ("finishedAt", (finishedAt?.milliseconds).map(JSON.integer)), ("waves", .array(waves.map(\.json))),
      ("devices", .array(devices.map(\.json))), ("policy", policy.json),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    id = try cursor.require("id").deployment()
    target = try DeploymentTarget(cursor.require("target"))
    components = try cursor.require("components").named { (element) throws(JSONShapeError) in try element.string() }
    state = try cursor.require("state").string()
    reason = try cursor.require("reason").string()
    createdAt = try cursor.require("createdAt").instant()
    finishedAt = try cursor.optional("finishedAt")?.instant()
    waves = try cursor.require("waves").list { (element) throws(JSONShapeError) in try WaveSummary(element) }
    devices = try cursor.require("devices").list { (element) throws(JSONShapeError) in try DeploymentDevice(element) }
    policy = try RolloutPolicy(cursor.require("policy"))
  }
}

/// The body of `POST /v1/deployments`.
package struct DeploymentRequest: Hashable, Sendable, WireValue {
  package var target: DeploymentTarget
  package var components: [ComponentName: DeployedComponent]
  package var rollout: RolloutPolicy
  package var apply: ApplyPolicy

  package init(
    target: DeploymentTarget, components: [ComponentName: DeployedComponent], rollout: RolloutPolicy = RolloutPolicy(),
    apply: ApplyPolicy = ApplyPolicy()
  ) {
    self.target = target
    self.components = components
    self.rollout = rollout
    self.apply = apply
  }

  package var json: JSON {
    [
      "target": target.json, "components": .named(components, \.json), "rollout": rollout.json, "apply": apply.json,
    ]
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    target = try DeploymentTarget(cursor.require("target"))
    components = try cursor.require("components").named { (element) throws(JSONShapeError) in
      try DeployedComponent(element)
    }
    rollout = RolloutPolicy()
    if let value = try cursor.optional("rollout") { rollout = try RolloutPolicy(value) }
    apply = ApplyPolicy()
    if let value = try cursor.optional("apply") { apply = try ApplyPolicy(value) }
  }
}
