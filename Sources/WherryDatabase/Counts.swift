import WherryModel
import WherrySQLite

/// What the fleet page shows without scanning the devices: maintained by the same transaction as the rows counted.
package enum CountKind: String, Hashable, Sendable {
  /// `all`, `online`.
  case device
  /// By `DeploymentStatus`.
  case status
  /// By `ComponentState`.
  case component
}

extension InventoryDatabase {
  package func counts(_ kind: CountKind) throws -> [String: Int] {
    var counts: [String: Int] = [:]
    for row in try store.query(
      "SELECT key, amount FROM counts WHERE kind = ? AND amount <> 0", [.text(kind.rawValue)])
    {
      counts[try row.string("key")] = Int(try row.integer("amount"))
    }
    return counts
  }

  func count(_ kind: CountKind, _ key: String, by delta: Int) throws {
    guard delta != 0 else { return }
    try store.run(
      """
      INSERT INTO counts(kind, key, amount) VALUES(?, ?, ?)
      ON CONFLICT(kind, key) DO UPDATE SET amount = counts.amount + excluded.amount
      """, [.text(kind.rawValue), .text(key), .integer(Int64(delta))])
  }

  /// Writes only the differences: a report that changes nothing costs nothing.
  func recount(from old: DeviceRecord, to new: DeviceRecord?) throws {
    try count(.device, "online", by: ((new?.isOnline ?? false) ? 1 : 0) - (old.isOnline ? 1 : 0))
    var differences: [CountKind: [String: Int]] = [:]
    for (device, sign) in [(old, -1), (new, 1)] {
      guard let report = device?.report else { continue }
      if let status = report.status { differences[.status, default: [:]][status.rawValue, default: 0] += sign }
      for component in report.components {
        differences[.component, default: [:]][component.state.rawValue, default: 0] += sign
      }
    }
    for (kind, keys) in differences {
      for (key, delta) in keys { try count(kind, key, by: delta) }
    }
  }
}
