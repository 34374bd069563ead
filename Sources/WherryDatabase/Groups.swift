import WherryModel
import WherrySQLite

extension InventoryDatabase {
  package func groups() throws -> [GroupName] {
    try store.query("SELECT name FROM groups ORDER BY name").map { GroupName(trusted: try $0.string("name")) }
  }

  package func hasGroup(_ name: GroupName) throws -> Bool {
    try !store.query("SELECT 1 FROM groups WHERE name = ?", [.text(name.rawValue)]).isEmpty
  }

  /// Idempotent.
  package func createGroup(_ name: GroupName, at now: Instant) throws {
    try store.run(
      "INSERT INTO groups(name, created_at) VALUES(?, ?) ON CONFLICT(name) DO NOTHING",
      [.text(name.rawValue), .instant(now)])
  }

  package func removeGroup(_ name: GroupName) throws {
    try store.run("DELETE FROM groups WHERE name = ?", [.text(name.rawValue)])
  }

  package func members(of group: GroupName) throws -> [DeviceName] {
    try store.query(
      "SELECT device FROM memberships WHERE group_name = ? ORDER BY device", [.text(group.rawValue)]
    ).map { DeviceName(trusted: try $0.string("device")) }
  }

  package func groups(of device: DeviceName) throws -> [GroupName] {
    try store.query(
      "SELECT group_name FROM memberships WHERE device = ? ORDER BY group_name", [.text(device.rawValue)]
    ).map { GroupName(trusted: try $0.string("group_name")) }
  }

  /// All memberships at once, for lists: one query instead of one per device.
  package func groupsByDevice() throws -> [DeviceName: [GroupName]] {
    var groups: [DeviceName: [GroupName]] = [:]
    for row in try store.query("SELECT device, group_name FROM memberships ORDER BY group_name") {
      groups[DeviceName(trusted: try row.string("device")), default: []]
        .append(GroupName(trusted: try row.string("group_name")))
    }
    return groups
  }

  /// True if it was not a member before.
  package func add(_ device: DeviceName, to group: GroupName) throws -> Bool {
    try store.run(
      "INSERT INTO memberships(group_name, device) VALUES(?, ?) ON CONFLICT(group_name, device) DO NOTHING",
      [.text(group.rawValue), .text(device.rawValue)])
    return store.changes > 0
  }

  /// True if it was a member before.
  package func remove(_ device: DeviceName, from group: GroupName) throws -> Bool {
    try store.run(
      "DELETE FROM memberships WHERE group_name = ? AND device = ?",
      [.text(group.rawValue), .text(device.rawValue)])
    return store.changes > 0
  }
}
