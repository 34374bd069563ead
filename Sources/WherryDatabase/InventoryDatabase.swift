import WherryJSON
import WherryModel
import WherrySQLite

/// Why stored state could not be read back: the file was changed by something else than this program.
package struct DatabaseError: Error, Hashable, Sendable, CustomStringConvertible {
  package let message: String
  package init(_ message: String) { self.message = message }
  package var description: String {
    "the inventory database holds something that this version cannot read: \(message); restore the last backup of "
      + "inventory.db or start the version of wherry-inventory that wrote it"
  }
}

/// The inventory's typed queries over one SQLite file. Owned by one thread at a time (the engine's actor): it is not
/// `Sendable` on purpose. Every method is one statement or a few; whoever owns an invariant places the transaction.
package final class InventoryDatabase {
  let store: SQLiteDatabase

  /// Opens or creates the file and brings its schema up to date.
  package init(path: String) throws {
    store = try SQLiteDatabase(path: path, cacheKiB: 64 * 1024)
    try Schema.migrate(store)
  }

  /// All or nothing: whatever `body` throws undoes everything that it wrote.
  package func transaction<T>(_ body: () throws -> T) throws -> T { try store.transaction(body) }

  package func close() { store.close() }
}

extension InventoryDatabase {
  package func setting(_ key: String) throws -> String? {
    try store.query("SELECT value FROM settings WHERE key = ?", [.text(key)]).first?["value"].text
  }

  package func setSetting(_ key: String, to value: String) throws {
    try store.run(
      "INSERT INTO settings(key, value) VALUES(?, ?) ON CONFLICT(key) DO UPDATE SET value = excluded.value",
      [.text(key), .text(value)])
  }

  /// Who did what, for people: never read back by the program.
  package func audit(_ action: String, subject: String, actor: String, detail: String = "", at now: Instant) throws {
    try store.run(
      "INSERT INTO audit(at, actor, action, subject, detail) VALUES(?, ?, ?, ?, ?)",
      [.integer(now.milliseconds), .text(actor), .text(action), .text(subject), .text(detail)])
  }

  package func auditEntries(limit: Int) throws -> [AuditEntry] {
    try store.query("SELECT * FROM audit ORDER BY id DESC LIMIT ?", [.integer(Int64(limit))]).map { row in
      AuditEntry(
        at: try row.instant("at"), actor: try row.string("actor"), action: try row.string("action"),
        subject: try row.string("subject"), detail: try row.string("detail"))
    }
  }
}

package struct AuditEntry: Hashable, Sendable {
  package let at: Instant
  package let actor: String
  package let action: String
  package let subject: String
  package let detail: String
}
