import WherryCrypto
import WherryJSON
import WherryModel
import WherryWire

/// What `wherry-agent deploy` asks of the running agent: everything is resolved, and lies staged in the blob store.
struct LocalDeploymentRequest {
  static let bytesMaximum = 4 << 20
  static let limits = JSONLimits(bytesMaximum: bytesMaximum)

  /// Of the plan that it was resolved beside; nil = there was none.
  var basis: Digest?
  var local: LocalSet
  var policy: ApplyPolicy

  init(basis: Digest?, local: LocalSet, policy: ApplyPolicy) {
    self.basis = basis
    self.local = local
    self.policy = policy
  }

  var json: JSON {
    .members([
      ("request", "deploy"), ("basis", (basis?.description).map(JSON.string)), ("local", local.json),
      ("policy", policy.json),
    ])
  }

  init(_ cursor: JSONCursor) throws(JSONShapeError) {
    self.init(
      basis: try cursor.optional("basis")?.digest(), local: try LocalSet(cursor.require("local")),
      policy: try ApplyPolicy(cursor.require("policy")))
  }
}
