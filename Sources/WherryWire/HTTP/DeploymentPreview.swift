import WherryJSON
import WherryModel

extension ComponentChange: WireValue {
  package var json: JSON {
    .members([
      ("component", .string(component.rawValue)), ("kind", .string(kind.rawValue)),
      ("from", from.map { .string($0.description) }), ("to", to.map { .string($0.description) }),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    self.init(
      component: try cursor.require("component").name(), kind: try cursor.require("kind").choice(),
      from: try cursor.optional("from")?.version(), to: try cursor.optional("to")?.version())
  }
}

/// What a deployment would do to one device.
package struct DevicePreview: Hashable, Sendable, WireValue {
  package var name: DeviceName
  package var isOnline: Bool
  /// From 1.
  package var wave: Int
  package var bytesToDownload: Int64 = 0
  package var changes: [ComponentChange] = []
  /// Why no plan can be made for it: the deployment would be refused whole.
  package var refusal: String?

  package init(name: DeviceName, isOnline: Bool, wave: Int) {
    self.name = name
    self.isOnline = isOnline
    self.wave = wave
  }

  package var json: JSON {
    .members([
      ("name", .string(name.rawValue)), ("isOnline", .bool(isOnline)), ("wave", .int(wave)),
      ("bytesToDownload", .integer(bytesToDownload)), ("changes", .array(changes.map(\.json))),
      ("refusal", refusal.map(JSON.string)),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    name = try cursor.require("name").name()
    isOnline = try cursor.require("isOnline").bool()
    wave = try cursor.require("wave").int()
    bytesToDownload = try cursor.require("bytesToDownload").size()
    changes = try cursor.require("changes").list { (element) throws(JSONShapeError) in try ComponentChange(element) }
    refusal = try cursor.optional("refusal")?.string()
  }
}

/// The answer to `POST /v1/deployments?plan=1`: nothing was created.
package struct DeploymentPreview: Hashable, Sendable, WireValue {
  package var target: DeploymentTarget
  /// The versions that would be deployed.
  package var components: [ComponentName: String]
  /// Devices in each wave.
  package var waves: [Int]
  /// By name.
  package var devices: [DevicePreview]

  package init(
    target: DeploymentTarget, components: [ComponentName: String], waves: [Int], devices: [DevicePreview]
  ) {
    self.target = target
    self.components = components
    self.waves = waves
    self.devices = devices
  }

  package var json: JSON {
    [
      "target": target.json, "components": .named(components, JSON.string),
      "waves": .array(waves.map { .int($0) }), "devices": .array(devices.map(\.json)),
    ]
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    target = try DeploymentTarget(cursor.require("target"))
    components = try cursor.require("components").named { (element) throws(JSONShapeError) in try element.string() }
    waves = try cursor.require("waves").list { (element) throws(JSONShapeError) in try element.int() }
    devices = try cursor.require("devices").list { (element) throws(JSONShapeError) in try DevicePreview(element) }
  }
}
