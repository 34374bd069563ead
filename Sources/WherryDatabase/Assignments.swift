import WherryModel
import WherrySQLite

/// Which deployment of a target a device is on: set when the rollout releases it to the device.
package struct AssignmentRecord: Hashable, Sendable {
  package var device: DeviceName
  package var target: DeploymentTarget
  package var deployment: DeploymentID
  /// The device's first generation with this deployment in it; older reports do not speak of it.
  package var generation: Generation
  /// The last one that the device committed, to go back to when this one fails there.
  package var previous: DeploymentID?
  package init(
    device: DeviceName, target: DeploymentTarget, deployment: DeploymentID, generation: Generation,
    previous: DeploymentID? = nil
  ) {
    self.device = device
    self.target = target
    self.deployment = deployment
    self.generation = generation
    self.previous = previous
  }
}

extension InventoryDatabase {
  package func assignments(of device: DeviceName) throws -> [AssignmentRecord] {
    try store.query("SELECT * FROM assignments WHERE device = ? ORDER BY target", [.text(device.rawValue)])
      .map(Self.assignment)
  }

  package func assignments(on deployment: DeploymentID) throws -> [DeviceName: AssignmentRecord] {
    var assignments: [DeviceName: AssignmentRecord] = [:]
    for row in try store.query("SELECT * FROM assignments WHERE deployment = ?", [.integer(deployment.rawValue)]) {
      let assignment = try Self.assignment(row)
      assignments[assignment.device] = assignment
    }
    return assignments
  }

  package func assign(_ assignment: AssignmentRecord) throws {
    try store.run(
      """
      INSERT INTO assignments(device, target, deployment, generation, previous) VALUES(?, ?, ?, ?, ?)
      ON CONFLICT(device, target) DO UPDATE SET
        deployment = excluded.deployment, generation = excluded.generation, previous = excluded.previous
      """,
      [
        .text(assignment.device.rawValue), .text(assignment.target.description),
        .integer(assignment.deployment.rawValue), .integer(assignment.generation.rawValue),
        .optional(assignment.previous?.rawValue),
      ])
  }

  package func unassign(_ device: DeviceName, from target: DeploymentTarget) throws {
    try store.run(
      "DELETE FROM assignments WHERE device = ? AND target = ?",
      [.text(device.rawValue), .text(target.description)])
  }

  package func removeAssignments(to target: DeploymentTarget) throws {
    try store.run("DELETE FROM assignments WHERE target = ?", [.text(target.description)])
  }

  private static func assignment(_ row: SQLiteRow) throws -> AssignmentRecord {
    AssignmentRecord(
      device: DeviceName(trusted: try row.string("device")), target: try row.target("target"),
      deployment: DeploymentID(try row.integer("deployment")), generation: Generation(try row.integer("generation")),
      previous: row["previous"].integer.map { DeploymentID($0) })
  }
}
