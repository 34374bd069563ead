import WherryModel
import WherrySQLite

extension InventoryDatabase {
  /// The canonical text of a plan.
  package func plan(_ digest: Digest) throws -> String? {
    try store.query("SELECT text FROM plans WHERE digest = ?", [.text(digest.description)]).first?["text"].text
  }

  /// Content-addressed: storing the same plan twice is one row.
  package func storePlan(_ text: String, digest: Digest, at now: Instant) throws {
    try store.run(
      "INSERT INTO plans(digest, text, created_at) VALUES(?, ?, ?) ON CONFLICT(digest) DO NOTHING",
      [.text(digest.description), .text(text), .instant(now)])
  }
}
