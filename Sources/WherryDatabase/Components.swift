import WherryJSON
import WherryModel
import WherrySQLite
import WherryWire

/// An immutable version of a component.
package struct ComponentRecord: Hashable, Sendable {
  package var recipe: Recipe
  /// Of the recipe's canonical JSON.
  package var digest: Digest
  /// The recipe as it was published, comments included.
  package var source: String
  package var createdAt: Instant
  package init(recipe: Recipe, digest: Digest, source: String, createdAt: Instant) {
    self.recipe = recipe
    self.digest = digest
    self.source = source
    self.createdAt = createdAt
  }
}

extension InventoryDatabase {
  package func component(_ name: ComponentName, _ version: Version) throws -> ComponentRecord? {
    try store.query(
      "SELECT * FROM components WHERE name = ? AND version = ?", [.text(name.rawValue), .text(version.description)]
    ).first.map(Self.component)
  }

  /// Of one component or of all, by name, newest version first.
  package func components(named name: ComponentName? = nil) throws -> [ComponentRecord] {
    let rows =
      if let name {
        try store.query("SELECT * FROM components WHERE name = ?", [.text(name.rawValue)])
      } else {
        try store.query("SELECT * FROM components")
      }
    return try rows.map(Self.component).sorted {
      ($0.recipe.name, $1.recipe.version) < ($1.recipe.name, $0.recipe.version)
    }
  }

  /// The caller has checked that the version is new: a second insert of it is an error.
  package func insert(_ component: ComponentRecord) throws {
    try store.run(
      "INSERT INTO components(name, version, digest, recipe, source, created_at) VALUES(?, ?, ?, ?, ?, ?)",
      [
        .text(component.recipe.name.rawValue), .text(component.recipe.version.description),
        .text(component.digest.description), .text(component.recipe.json.canonical), .text(component.source),
        .instant(component.createdAt),
      ])
  }

  /// A row that cannot be read is an error that names the component, and not left out: without that version the others
  /// would be resolved differently, and devices would be told to run something else.
  private static func component(_ row: SQLiteRow) throws -> ComponentRecord {
    do {
      return ComponentRecord(
        recipe: try Recipe(JSONCursor(try row.json("recipe"))), digest: try row.digest("digest"),
        source: try row.string("source"), createdAt: try row.instant("created_at"))
    } catch {
      let reason = (error as? DatabaseError)?.message ?? "\(error)"
      throw DatabaseError("component \(try row.string("name")) \(try row.string("version")): \(reason)")
    }
  }
}
