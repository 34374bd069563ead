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

/// How the rollout is expected to go, from what is known of each device.
package struct DeploymentForecast: Hashable, Sendable, WireValue {
  package struct Missing: Hashable, Sendable {
    package var name: DeviceName
    package var reason: String
    package init(name: DeviceName, reason: String) {
      self.name = name
      self.reason = reason
    }
  }
  /// completed, halted, or waiting: only devices that are away are left.
  package var ending: String
  /// Of a halt.
  package var reason = ""
  /// From its creation to that.
  package var milliseconds: Int64
  /// When each wave opens, counted from its creation; nil = not as things are.
  package var waves: [Int64?]
  /// That leave the service.
  package var bytes: Int64
  /// Devices whose pace of downloading is assumed.
  package var unknownPaces = 0
  /// Who is not expected to change.
  package var missing: [Missing] = []

  package init(ending: String, milliseconds: Int64, waves: [Int64?], bytes: Int64) {
    self.ending = ending
    self.milliseconds = milliseconds
    self.waves = waves
    self.bytes = bytes
  }

  package var json: JSON {
    .members([
      ("ending", .string(ending)), ("reason", reason.isEmpty ? nil : .string(reason)),
      ("milliseconds", .integer(milliseconds)), ("waves", .array(waves.map { $0.map(JSON.integer) ?? .null })),
      ("bytes", .integer(bytes)), ("unknownPaces", .int(unknownPaces)),
      (
        "missing",
        .array(missing.map { ["name": .string($0.name.rawValue), "reason": .string($0.reason)] })
      ),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    self.init(
      ending: try cursor.require("ending").string(), milliseconds: try cursor.require("milliseconds").integer(),
      waves: try cursor.require("waves").list { (wave) throws(JSONShapeError) in
        wave.json == .null ? nil : try wave.integer()
      },
      bytes: try cursor.require("bytes").size())
    reason = try cursor.optional("reason")?.string() ?? ""
    unknownPaces = try cursor.require("unknownPaces").count()
    missing = try cursor.require("missing").list { (element) throws(JSONShapeError) in
      Missing(name: try element.require("name").name(), reason: try element.require("reason").string())
    }
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
  package var forecast: DeploymentForecast?
  /// The deployment under way whose place it would take.
  package var supersedes: DeploymentID?

  package init(
    target: DeploymentTarget, components: [ComponentName: String], waves: [Int], devices: [DevicePreview]
  ) {
    self.target = target
    self.components = components
    self.waves = waves
    self.devices = devices
  }

  package var json: JSON {
    .members([
      ("target", target.json), ("components", .named(components, JSON.string)),
      ("waves", .array(waves.map { .int($0) })), ("devices", .array(devices.map(\.json))),
      ("forecast", forecast?.json), ("supersedes", supersedes.map { .integer($0.rawValue) }),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    target = try DeploymentTarget(cursor.require("target"))
    components = try cursor.require("components").named { (element) throws(JSONShapeError) in try element.string() }
    waves = try cursor.require("waves").list { (element) throws(JSONShapeError) in try element.int() }
    devices = try cursor.require("devices").list { (element) throws(JSONShapeError) in try DevicePreview(element) }
    if let value = try cursor.optional("forecast") { forecast = try DeploymentForecast(value) }
    supersedes = try cursor.optional("supersedes")?.deployment()
  }
}
