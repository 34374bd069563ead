import WherryModel
import WherrySQLite

/// What needs a person's eye, found by index however large the fleet is and however old it is.
extension InventoryDatabase {
  /// Devices whose last report tells of a failure, their own or a component's.
  package func failingDeviceCount() throws -> Int {
    Int(try store.query("SELECT COUNT(*) AS n FROM devices WHERE is_failing = 1").first?["n"].integer ?? 0)
  }

  /// By name.
  package func failingDevices(limit: Int) throws -> [DeviceRecord] {
    try store.query(
      "SELECT * FROM devices WHERE is_failing = 1 ORDER BY name LIMIT ?", [.integer(Int64(limit))]
    ).map(Self.device)
  }

  package func deploymentCounts() throws -> [DeploymentState: Int] {
    var counts: [DeploymentState: Int] = [:]
    for row in try store.query("SELECT state, COUNT(*) AS n FROM deployments GROUP BY state") {
      if let state = DeploymentState(rawValue: try row.string("state")) { counts[state] = Int(try row.integer("n")) }
    }
    return counts
  }

  /// Of the deployments older than this one those that have not ended, newest first; where there are more than the
  /// limit, the halted ones before the others.
  package func unfinishedDeployments(before id: DeploymentID, limit: Int) throws -> [DeploymentID] {
    let states = DeploymentState.allCases.filter { !$0.isFinal }
    let marks = states.map { _ in "?" }.joined(separator: ", ")
    var values: [SQLiteValue] = states.map { .text($0.rawValue) }
    values += [.integer(id.rawValue), .integer(Int64(limit))]
    let rows = try store.query(
      """
      SELECT id FROM deployments WHERE state IN (\(marks)) AND id < ?
      ORDER BY CASE state WHEN 'halted' THEN 0 ELSE 1 END, id DESC LIMIT ?
      """, values)
    return try rows.map { DeploymentID(try $0.integer("id")) }.sorted(by: >)
  }
}
