import WherryJSON
import WherryModel

package struct ClaimRequest: Hashable, Sendable, WireValue {
  /// The one name that may be used; nil = any.
  package var device: DeviceName?
  package var groups: [GroupName]
  package var labels: [String: String]
  package var expiresInSeconds: Int
  package var uses: Int

  package init(
    device: DeviceName? = nil, groups: [GroupName] = [], labels: [String: String] = [:],
    expiresInSeconds: Int = 86_400, uses: Int = 1
  ) {
    self.device = device
    self.groups = groups
    self.labels = labels
    self.expiresInSeconds = expiresInSeconds
    self.uses = uses
  }

  package var json: JSON {
    .members([
      ("device", (device?.rawValue).map(JSON.string)), ("groups", .strings(groups.map(\.rawValue))),
      ("labels", .map(labels)), ("expiresInSeconds", .int(expiresInSeconds)), ("uses", .int(uses)),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    self.init()
    device = try cursor.optional("device")?.name()
    groups =
      try cursor.optional("groups")?.list { (element) throws(JSONShapeError) in try element.name(GroupName.self) } ?? []
    labels = try cursor.optional("labels")?.stringMap() ?? [:]
    if let value = try cursor.optional("expiresInSeconds") { expiresInSeconds = try value.count() }
    if let value = try cursor.optional("uses") { uses = try value.count() }
  }
}

package struct ClaimSummary: Hashable, Sendable, WireValue {
  package var id: String
  /// The claim's text; only in the answer to its creation.
  package var claim: String?
  package var device: DeviceName?
  package var groups: [GroupName]
  package var labels: [String: String]
  package var usesLeft: Int
  package var createdAt: Instant
  package var expires: Instant

  package init(
    id: String, claim: String?, device: DeviceName?, groups: [GroupName], labels: [String: String], usesLeft: Int,
    createdAt: Instant, expires: Instant
  ) {
    self.id = id
    self.claim = claim
    self.device = device
    self.groups = groups
    self.labels = labels
    self.usesLeft = usesLeft
    self.createdAt = createdAt
    self.expires = expires
  }

  package var json: JSON {
    .members([
      ("id", .string(id)), ("claim", claim.map(JSON.string)), ("device", (device?.rawValue).map(JSON.string)),
      ("groups", .strings(groups.map(\.rawValue))), ("labels", .map(labels)), ("usesLeft", .int(usesLeft)),
      ("createdAt", .integer(createdAt.milliseconds)), ("expires", .integer(expires.milliseconds)),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    id = try cursor.require("id").string()
    claim = try cursor.optional("claim")?.string()
    device = try cursor.optional("device")?.name()
    groups = try cursor.require("groups").list { (element) throws(JSONShapeError) in try element.name() }
    labels = try cursor.require("labels").stringMap()
    usesLeft = try cursor.require("usesLeft").int()
    createdAt = try cursor.require("createdAt").instant()
    expires = try cursor.require("expires").instant()
  }
}
