import WherryModel
import WherrySQLite

/// A message that a committed transaction owes to the broker. There is one per topic: only the newest desired state
/// of a device is of any use.
package struct OutboxMessage: Hashable, Sendable {
  package var topic: String
  package var payload: [UInt8]
  package var qos: Int
  package var isRetained: Bool
  package init(topic: String, payload: [UInt8], qos: Int = 1, isRetained: Bool = true) {
    self.topic = topic
    self.payload = payload
    self.qos = qos
    self.isRetained = isRetained
  }
}

extension InventoryDatabase {
  package func enqueue(_ message: OutboxMessage) throws {
    try store.run(
      """
      INSERT INTO outbox(topic, payload, qos, retain) VALUES(?, ?, ?, ?)
      ON CONFLICT(topic) DO UPDATE SET payload = excluded.payload, qos = excluded.qos, retain = excluded.retain
      """,
      [.text(message.topic), .blob(message.payload), .integer(Int64(message.qos)), .bool(message.isRetained)])
  }

  package func outbox() throws -> [OutboxMessage] {
    try store.query("SELECT * FROM outbox ORDER BY topic").map { row in
      OutboxMessage(
        topic: try row.string("topic"), payload: row["payload"].blob ?? [], qos: Int(try row.integer("qos")),
        isRetained: try row.bool("retain"))
    }
  }

  package func isOwed(_ topic: String) throws -> Bool {
    try !store.query("SELECT 1 FROM outbox WHERE topic = ?", [.text(topic)]).isEmpty
  }

  /// Devices that are online and were told what to run: whose order a broker may have lost while they wait for it.
  package func devicesOnlineWithOrder() throws -> [DeviceRecord] {
    try store.query("SELECT * FROM devices WHERE is_online = 1 AND plan IS NOT NULL ORDER BY name")
      .map(Self.device)
  }

  package func outboxCount() throws -> Int {
    Int(try store.query("SELECT COUNT(*) AS n FROM outbox").first?["n"].integer ?? 0)
  }

  /// Only if it is still the message that the broker acknowledged: a newer one for the topic stays.
  package func dequeue(_ message: OutboxMessage) throws {
    try store.run(
      "DELETE FROM outbox WHERE topic = ? AND payload = ?", [.text(message.topic), .blob(message.payload)])
  }
}
