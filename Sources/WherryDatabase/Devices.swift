import WherryJSON
import WherryModel
import WherrySQLite
import WherryWire

/// A device as the inventory knows it: what it is, what it should run and what it last said.
package struct DeviceRecord: Hashable, Sendable {
  package var name: DeviceName
  package var platform: Platform
  package var labels: [String: String]
  /// Fingerprint of the newest certificate that it was given.
  package var certificate: String
  package var createdAt: Instant
  package var isOnline: Bool = false
  package var lastSeen: Instant?
  package var agentVersion: String = ""
  package var bootID: String = ""
  /// The newest that was committed; nil before the first.
  package var report: DeviceReport?
  /// Of its desired state; 0 before the first.
  package var generation: Generation = Generation(0)
  package var plan: Digest?
  /// Of the order before the last one with another plan.
  package var previousPlan: Digest?
  /// The last plan that it spoke of while it was `plan` or `previousPlan`: it may be fetching that still. Never what a
  /// device merely says: it would name another device's plan and ask for what that one runs.
  package var heldPlan: Digest?
  /// When the signed envelope of `generation` expires.
  package var expires: Instant?
  /// Bytes per second that it was seen downloading, the newest counting most; nil = it never was.
  package var pace: Int64?

  package init(
    name: DeviceName, platform: Platform, labels: [String: String], certificate: String, createdAt: Instant
  ) {
    self.name = name
    self.platform = platform
    self.labels = labels
    self.certificate = certificate
    self.createdAt = createdAt
  }

  package var isFailing: Bool {
    report.map { $0.failure != nil || $0.components.contains { $0.failure != nil } } ?? false
  }

  /// What it last reported as failed, the deployment's failure first; the same one once.
  package var failures: [Failure] {
    guard let report else { return [] }
    var seen: Set<Failure> = []
    return ([report.failure] + report.components.map(\.failure)).compactMap { $0 }
      .filter { seen.insert($0).inserted }
  }
}

extension InventoryDatabase {
  package func device(_ name: DeviceName) throws -> DeviceRecord? {
    try store.query("SELECT * FROM devices WHERE name = ?", [.text(name.rawValue)]).first.map(Self.device)
  }

  /// By name; all of them without a limit.
  package func devices(limit: Int? = nil) throws -> [DeviceRecord] {
    try store.query("SELECT * FROM devices ORDER BY name LIMIT ?", [.integer(Int64(limit ?? -1))]).map(Self.device)
  }

  package func devices(in group: GroupName) throws -> [DeviceRecord] {
    try store.query(
      """
      SELECT devices.* FROM devices JOIN memberships ON memberships.device = devices.name
      WHERE memberships.group_name = ? ORDER BY devices.name
      """, [.text(group.rawValue)]
    ).map(Self.device)
  }

  /// Inserts, or gives a known device its new certificate, platform and labels. It may have been installed anew and
  /// count its reports from 1 again, so what it reported before is forgotten.
  package func provision(_ device: DeviceRecord) throws {
    let old = try self.device(device.name)
    try store.run(
      """
      INSERT INTO devices(name, platform, labels, certificate, created_at) VALUES(?, ?, ?, ?, ?)
      ON CONFLICT(name) DO UPDATE SET
        platform = excluded.platform, labels = excluded.labels, certificate = excluded.certificate,
        report = NULL, report_sequence = 0, is_online = 0, is_failing = 0, previous_plan = NULL, held_plan = NULL
      """,
      [
        .text(device.name.rawValue), .text(Self.object(device.platform.attributes)),
        .text(Self.object(device.labels)), .text(device.certificate), .instant(device.createdAt),
      ])
    if let old { try recount(from: old, to: nil) } else { try count(.device, "all", by: 1) }
  }

  package func setCertificate(_ fingerprint: String, of device: DeviceName) throws {
    try store.run(
      "UPDATE devices SET certificate = ? WHERE name = ?", [.text(fingerprint), .text(device.rawValue)])
  }

  package func removeDevice(_ name: DeviceName) throws {
    guard let device = try device(name) else { return }
    try recount(from: device, to: nil)
    try count(.device, "all", by: -1)
    try store.run("DELETE FROM devices WHERE name = ?", [.text(name.rawValue)])
  }

  /// Presence and reports: what the device says of itself. The counts follow in the same transaction.
  package func recordObserved(_ device: DeviceRecord, was old: DeviceRecord) throws {
    try store.run(
      """
      UPDATE devices SET is_online = ?, last_seen = ?, agent_version = ?, boot_id = ?, report_sequence = ?, report = ?,
        pace = ?, is_failing = ?, held_plan = CASE WHEN ? IN (plan, previous_plan) THEN ? ELSE held_plan END
      WHERE name = ?
      """,
      [
        .bool(device.isOnline), .optional(device.lastSeen?.milliseconds), .text(device.agentVersion),
        .text(device.bootID), .integer(device.report?.sequence ?? 0),
        .optional(device.report?.json.canonical), .optional(device.pace), .bool(device.isFailing),
        .optional(device.report?.plan?.description), .optional(device.report?.plan?.description),
        .text(device.name.rawValue),
      ])
    try recount(from: old, to: device)
  }

  /// What the device shall run: its next generation, the plan's digest and when the signed order expires.
  package func setDesired(
    _ generation: Generation, plan: Digest, expires: Instant, of device: DeviceName
  ) throws {
    try store.run(
      """
      UPDATE devices SET previous_plan = CASE WHEN plan = ? THEN previous_plan ELSE plan END, generation = ?, plan = ?,
        expires_at = ?
      WHERE name = ?
      """,
      [
        .text(plan.description), .integer(generation.rawValue), .text(plan.description), .instant(expires),
        .text(device.rawValue),
      ])
  }

  package func devices(expiringBefore instant: Instant) throws -> [DeviceRecord] {
    try store.query(
      "SELECT * FROM devices WHERE expires_at IS NOT NULL AND expires_at < ? ORDER BY name", [.instant(instant)]
    ).map(Self.device)
  }

  static func device(_ row: SQLiteRow) throws -> DeviceRecord {
    var device = DeviceRecord(
      name: DeviceName(trusted: try row.string("name")), platform: Platform(try Self.strings(row, "platform")),
      labels: try Self.strings(row, "labels"), certificate: try row.string("certificate"),
      createdAt: try row.instant("created_at"))
    device.isOnline = try row.bool("is_online")
    device.lastSeen = row.optionalInstant("last_seen")
    device.pace = row["pace"].integer
    device.agentVersion = try row.string("agent_version")
    device.bootID = try row.string("boot_id")
    if row.optionalString("report") != nil {
      device.report = try DeviceReport(JSONCursor(try row.json("report")))
    }
    device.generation = Generation(try row.integer("generation"))
    device.plan = row.optionalDigest("plan")
    device.previousPlan = row.optionalDigest("previous_plan")
    device.heldPlan = row.optionalDigest("held_plan")
    device.expires = row.optionalInstant("expires_at")
    return device
  }

  static func object(_ strings: [String: String]) -> String {
    JSON.object(strings.mapValues { .string($0) }).canonical
  }

  static func strings(_ row: SQLiteRow, _ column: String) throws -> [String: String] {
    guard let object = try row.json(column).objectValue else { throw DatabaseError("column \(column) is no object") }
    return object.compactMapValues(\.stringValue)
  }
}
