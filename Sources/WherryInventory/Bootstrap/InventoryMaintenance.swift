import WherryDatabase

/// What is done to a data directory while no service runs on it.
package enum InventoryMaintenance {
  /// For whoever lost the admin token and can write the service's files.
  package static func resetAdminToken(dataDirectory: String) throws -> String {
    let directory = try DataDirectory(dataDirectory)
    let database = try InventoryDatabase(path: directory.database)
    defer { database.close() }
    let token = SecretToken.make(prefix: "wherry_")
    let now = wallClock()
    try database.transaction {
      try database.setToken(OperatorToken(name: "admin", role: .admin), hash: SecretToken.hash(token), at: now)
      try database.audit("token.reset", subject: "admin", actor: "command line", at: now)
    }
    return token
  }
}

package enum AdminTokenFile {
  /// Readable by its owner only.
  package static func write(_ token: String, to path: String) throws(Refusal) {
    try SmallFile.write(Array((token + "\n").utf8), to: path, mode: 0o600)
  }
}
