import WherryJSON
import WherryModel

/// A device as the API shows it.
package struct DeviceSummary: Hashable, Sendable, WireValue {
  package var name: DeviceName
  package var platform: Platform
  package var labels: [String: String]
  package var groups: [GroupName]
  package var isOnline: Bool
  /// Milliseconds since 1970.
  package var lastSeen: Instant?
  package var agentVersion: String
  /// Of the latest desired state.
  package var generation: Generation
  /// Of the latest report.
  package var reportedGeneration: Generation
  package var status: DeploymentStatus?
  package var failure: Failure?
  /// Of one that says *not now*: when it goes on, at the latest; milliseconds since 1970, by its own clock.
  package var resumesAt: Instant?
  package var components: [ComponentReport]
  package var bytesDone: Int64
  package var bytesTotal: Int64
  /// On their way at the time of the latest report.
  package var transfers: [Transfer] = []
  /// Of what was deployed on the device itself.
  package var local: LocalReport?

  package init(
    name: DeviceName, platform: Platform, labels: [String: String], groups: [GroupName], isOnline: Bool,
    lastSeen: Instant?, agentVersion: String, generation: Generation, reportedGeneration: Generation,
    status: DeploymentStatus?, failure: Failure?, components: [ComponentReport], bytesDone: Int64 = 0,
    bytesTotal: Int64 = 0
  ) {
    self.name = name
    self.platform = platform
    self.labels = labels
    self.groups = groups
    self.isOnline = isOnline
    self.lastSeen = lastSeen
    self.agentVersion = agentVersion
    self.generation = generation
    self.reportedGeneration = reportedGeneration
    self.status = status
    self.failure = failure
    self.components = components
    self.bytesDone = bytesDone
    self.bytesTotal = bytesTotal
  }

  package var json: JSON {
    .members([
      ("name", .string(name.rawValue)), ("platform", platform.json), ("labels", .map(labels)),
      ("groups", .strings(groups.map(\.rawValue))), ("isOnline", .bool(isOnline)),
      ("lastSeen", (lastSeen?.milliseconds).map(JSON.integer)), ("agentVersion", .string(agentVersion)),
      ("generation", .integer(generation.rawValue)), ("reportedGeneration", .integer(reportedGeneration.rawValue)),
      ("status", (status?.rawValue).map(JSON.string)), ("failure", failure?.json),
      ("resumesAt", (resumesAt?.milliseconds).map(JSON.integer)),
      ("components", .array(components.map(\.json))), ("bytesDone", .integer(bytesDone)),
      ("bytesTotal", .integer(bytesTotal)), ("transfers", transfers.nonEmpty.map { .array($0.map(\.json)) }),
      ("local", local?.json),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    name = try cursor.require("name").name()
    platform = try Platform(cursor.require("platform"))
    labels = try cursor.require("labels").stringMap()
    groups = try cursor.require("groups").list { (element) throws(JSONShapeError) in try element.name() }
    isOnline = try cursor.require("isOnline").bool()
    lastSeen = try cursor.optional("lastSeen")?.instant()
    agentVersion = try cursor.require("agentVersion").string()
    generation = try cursor.require("generation").generation()
    reportedGeneration = try cursor.require("reportedGeneration").generation()
    status = try cursor.optional("status")?.choice()
    failure = nil
    if let value = try cursor.optional("failure") { failure = try Failure(value) }
    resumesAt = try cursor.optional("resumesAt")?.instant()
    components = try cursor.require("components").list { (element) throws(JSONShapeError) in
      try ComponentReport(element)
    }
    bytesDone = try cursor.require("bytesDone").size()
    bytesTotal = try cursor.require("bytesTotal").size()
    transfers = try Transfer.list(cursor.optional("transfers"))
    if let value = try cursor.optional("local") { local = try LocalReport(value) }
  }
}

/// Counts over the fleet.
package struct FleetSummary: Hashable, Sendable, WireValue {
  package var devices: Int
  package var online: Int
  package var byStatus: [String: Int]
  package var byComponentState: [String: Int]

  package init(devices: Int, online: Int, byStatus: [String: Int], byComponentState: [String: Int]) {
    self.devices = devices
    self.online = online
    self.byStatus = byStatus
    self.byComponentState = byComponentState
  }

  package var json: JSON {
    [
      "devices": .int(devices), "online": .int(online), "byStatus": .object(byStatus.mapValues(JSON.int)),
      "byComponentState": .object(byComponentState.mapValues(JSON.int)),
    ]
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    devices = try cursor.require("devices").int()
    online = try cursor.require("online").int()
    byStatus = try Self.counts(cursor.require("byStatus"))
    byComponentState = try Self.counts(cursor.require("byComponentState"))
  }

  private static func counts(_ cursor: JSONCursor) throws(JSONShapeError) -> [String: Int] {
    var counts: [String: Int] = [:]
    for (key, value) in try cursor.object() { counts[key] = try value.int() }
    return counts
  }
}
