import WherryJSON
import WherryModel

package struct ComponentVersionSummary: Hashable, Sendable, WireValue {
  package var name: ComponentName
  package var version: Version
  /// Of the canonical recipe.
  package var digest: Digest
  package var publisher: String
  package var summary: String
  package var createdAt: Instant

  package init(
    name: ComponentName, version: Version, digest: Digest, publisher: String, summary: String, createdAt: Instant
  ) {
    self.name = name
    self.version = version
    self.digest = digest
    self.publisher = publisher
    self.summary = summary
    self.createdAt = createdAt
  }

  package var json: JSON {
    [
      "name": .string(name.rawValue), "version": .string(version.description), "digest": .string(digest.description),
      "publisher": .string(publisher), "summary": .string(summary), "createdAt": .integer(createdAt.milliseconds),
    ]
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    name = try cursor.require("name").name()
    version = try cursor.require("version").version()
    digest = try cursor.require("digest").digest()
    publisher = try cursor.require("publisher").string()
    summary = try cursor.require("summary").string()
    createdAt = try cursor.require("createdAt").instant()
  }
}

package struct GroupSummary: Hashable, Sendable, WireValue {
  package var name: GroupName
  package var devices: [DeviceName]
  /// The latest deployment to it.
  package var deployment: DeploymentID?

  package init(name: GroupName, devices: [DeviceName], deployment: DeploymentID?) {
    self.name = name
    self.devices = devices
    self.deployment = deployment
  }

  package var json: JSON {
    .members([
      ("name", .string(name.rawValue)), ("devices", .strings(devices.map(\.rawValue))),
      ("deployment", (deployment?.rawValue).map(JSON.integer)),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    name = try cursor.require("name").name()
    devices = try cursor.require("devices").list { (element) throws(JSONShapeError) in try element.name() }
    deployment = nil
    if let value = try cursor.optional("deployment") { deployment = try value.deployment() }
  }
}
