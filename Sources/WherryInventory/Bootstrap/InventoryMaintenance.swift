import WherryDatabase

/// What is done to a data directory while no service runs on it.
package enum InventoryMaintenance {
  /// For whoever lost the admin token and can write the service's files.
  package static func resetAdminToken(dataDirectory: String) throws -> String {
    guard DataDirectory.holdsInventory(dataDirectory) else {
      throw Refusal(
        404, "data.absent", "no inventory service has been at work in \(dataDirectory)",
        remedy: "name the directory that `wherry-inventory serve --data` has")
    }
    let directory = try DataDirectory(dataDirectory)
    let database = try InventoryDatabase(path: directory.database)
    defer { database.close() }
    let token = AdminToken.make()
    try AdminToken.commit(token, to: database, action: "token.reset", actor: "command line")
    return token
  }
}

/// In clear it exists once, between the two: a token that is committed before somebody has it locks everybody out.
enum AdminToken {
  static func make() -> String { SecretToken.make(prefix: "wherry_") }

  static func commit(_ token: String, to database: InventoryDatabase, action: String, actor: String) throws {
    let now = wallClock()
    try database.transaction {
      try database.setToken(OperatorToken(name: "admin", role: .admin), hash: SecretToken.hash(token), at: now)
      try database.audit(action, subject: "admin", actor: actor, at: now)
    }
  }
}

package enum AdminTokenFile {
  /// Readable by its owner only, and on disk when this returns.
  package static func write(_ token: String, to path: String) throws(Refusal) {
    do throws(Refusal) {
      try SmallFile.write(Array((token + "\n").utf8), to: path, mode: 0o600)
    } catch {
      throw Refusal(
        500, "token.notKept", "the admin token was not made, since its file could not be: \(error.detail)",
        remedy: "name a file in a directory that the service's user can write with --admin-token-file")
    }
  }
}
