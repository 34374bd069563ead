import WherryJSON
import WherryModel
import WherryRollout
import WherrySQLite
import WherryWire

/// `superseded` and `cancelled` are final; `completed` still takes devices that join later.
package enum DeploymentState: String, Hashable, Sendable, CaseIterable {
  case rolling, paused, halted, completed, cancelled, superseded

  package var isFinal: Bool {
    switch self {
    case .completed, .cancelled, .superseded: true
    case .rolling, .paused, .halted: false
    }
  }
}

package struct DeploymentRecord: Hashable, Sendable {
  /// Its components carry exact versions: ranges were resolved when it was created.
  package var deployment: Deployment
  package var state: DeploymentState
  /// One sentence; empty while all is well.
  package var reason: String
  /// The rollout machine's state; its members are stored apart, unless an older version wrote it.
  package var machine: JSON
  package var createdAt: Instant
  package var finishedAt: Instant?
  package init(deployment: Deployment, state: DeploymentState, machine: JSON, createdAt: Instant) {
    self.deployment = deployment
    self.state = state
    self.reason = ""
    self.machine = machine
    self.createdAt = createdAt
  }
}

extension InventoryDatabase {
  /// Numbers are given once, also when a deployment was removed.
  package func insertDeployment(
    target: DeploymentTarget, at now: Instant, make: (DeploymentID) throws -> DeploymentRecord
  ) throws -> DeploymentRecord {
    try store.run(
      """
      INSERT INTO deployments(target, request, state, reason, machine, created_at) VALUES(?, 'null', '', '', 'null', ?)
      """, [.text(target.description), .instant(now)])
    let record = try make(DeploymentID(store.lastInsertedRow))
    try store.run(
      "UPDATE deployments SET request = ? WHERE id = ?",
      [.text(record.deployment.json.canonical), .integer(record.deployment.id.rawValue)])
    try update(record)
    return record
  }

  /// State, reason, machine and end; target and components of a deployment never change.
  package func update(_ record: DeploymentRecord) throws {
    try store.run(
      "UPDATE deployments SET state = ?, reason = ?, machine = ?, finished_at = ? WHERE id = ?",
      [
        .text(record.state.rawValue), .text(record.reason), .text(record.machine.canonical),
        .optional(record.finishedAt?.milliseconds), .integer(record.deployment.id.rawValue),
      ])
  }

  /// Who takes part, by slot.
  package func rolloutMembers(of deployment: DeploymentID) throws -> [Int: JSON] {
    var members: [Int: JSON] = [:]
    for row in try store.query(
      "SELECT slot, member FROM rollout_members WHERE deployment = ?", [.integer(deployment.rawValue)])
    {
      members[Int(try row.integer("slot"))] = try row.json("member")
    }
    return members
  }

  package func update(_ changes: RolloutChanges, of deployment: DeploymentID) throws {
    let id = SQLiteValue.integer(deployment.rawValue)
    if changes.isWhole { try store.run("DELETE FROM rollout_members WHERE deployment = ?", [id]) }
    for entry in changes.members {
      let slot = SQLiteValue.integer(Int64(entry.slot))
      if let member = entry.member {
        try store.run(
          """
          INSERT INTO rollout_members(deployment, slot, member) VALUES(?, ?, ?)
          ON CONFLICT(deployment, slot) DO UPDATE SET member = excluded.member
          """, [id, slot, .text(member.canonical)])
      } else {
        try store.run("DELETE FROM rollout_members WHERE deployment = ? AND slot = ?", [id, slot])
      }
    }
  }

  package func deployment(_ id: DeploymentID) throws -> DeploymentRecord? {
    try store.query("SELECT * FROM deployments WHERE id = ?", [.integer(id.rawValue)]).first.map(Self.deployment)
  }

  /// Newest first.
  package func deployments(limit: Int = 1000) throws -> [DeploymentRecord] {
    try store.query("SELECT * FROM deployments ORDER BY id DESC LIMIT ?", [.integer(Int64(limit))])
      .map(Self.deployment)
  }

  /// Newest first.
  package func deployments(of target: DeploymentTarget) throws -> [DeploymentRecord] {
    try store.query("SELECT * FROM deployments WHERE target = ? ORDER BY id DESC", [.text(target.description)])
      .map(Self.deployment)
  }

  package func deployments(in states: [DeploymentState]) throws -> [DeploymentRecord] {
    let marks = Array(repeating: "?", count: states.count).joined(separator: ", ")
    return try store.query(
      "SELECT * FROM deployments WHERE state IN (\(marks)) ORDER BY id", states.map { .text($0.rawValue) }
    ).map(Self.deployment)
  }

  private static func deployment(_ row: SQLiteRow) throws -> DeploymentRecord {
    guard let state = DeploymentState(rawValue: try row.string("state")) else {
      throw DatabaseError("a deployment has the state \"\(try row.string("state"))\"")
    }
    var record = DeploymentRecord(
      deployment: try Deployment(JSONCursor(try row.json("request"))), state: state, machine: try row.json("machine"),
      createdAt: try row.instant("created_at"))
    record.reason = try row.string("reason")
    record.finishedAt = row.optionalInstant("finished_at")
    return record
  }
}

// MARK: - Pinned images

extension InventoryDatabase {
  /// By reference as the recipe writes it.
  package func images(of deployment: DeploymentID, platform: String) throws -> [String: PlannedImage] {
    var images: [String: PlannedImage] = [:]
    for row in try store.query(
      "SELECT reference, image FROM images WHERE deployment = ? AND platform = ?",
      [.integer(deployment.rawValue), .text(platform)])
    {
      images[try row.string("reference")] = try PlannedImage(JSONCursor(try row.json("image")))
    }
    return images
  }

  /// The first pin stays: a deployment's image never changes under it.
  package func pin(
    _ image: PlannedImage, reference: String, deployment: DeploymentID, platform: String
  ) throws {
    try store.run(
      """
      INSERT INTO images(deployment, platform, reference, image) VALUES(?, ?, ?, ?)
      ON CONFLICT(deployment, platform, reference) DO NOTHING
      """,
      [.integer(deployment.rawValue), .text(platform), .text(reference), .text(image.json.canonical)])
  }
}

// MARK: - Resolved versions

extension InventoryDatabase {
  /// What these deployments together resolved to, dependencies included: by platform, which is written as its key.
  package func resolutions(of deployments: [DeploymentID]) throws -> [String: [ComponentName: Version]] {
    var resolutions: [String: [ComponentName: Version]] = [:]
    for row in try store.query(
      "SELECT platform, versions FROM resolutions WHERE deployments = ?", [.text(Self.key(deployments))])
    {
      let cursor = JSONCursor(try row.json("versions"))
      let versions: [ComponentName: Version] = try cursor.named { (version) throws(JSONShapeError) in
        try version.version()
      }
      resolutions[try row.string("platform")] = versions
    }
    return resolutions
  }

  /// The first resolution stays: what is published later changes no deployment.
  package func addResolution(
    _ versions: [ComponentName: Version], of deployments: [DeploymentID], platform: String
  ) throws {
    try store.run(
      """
      INSERT INTO resolutions(deployments, platform, versions) VALUES(?, ?, ?)
      ON CONFLICT(deployments, platform) DO NOTHING
      """,
      [
        .text(Self.key(deployments)), .text(platform),
        .text(JSON.named(versions) { .string($0.description) }.canonical),
      ])
  }

  /// `1 5`: one spelling for one set.
  private static func key(_ deployments: [DeploymentID]) -> String {
    deployments.sorted().map(\.description).joined(separator: " ")
  }
}
