import WherryJSON
import WherryModel
import WherrySQLite
import WherryWire

/// Permission to provision devices. The token itself is shown once and stored only as a hash.
package struct ClaimRecord: Hashable, Sendable {
  package var id: String
  package var tokenHash: String
  package var device: DeviceName?
  package var groups: [GroupName]
  package var labels: [String: String]
  package var usesLeft: Int
  package var createdAt: Instant
  package var expires: Instant
  /// The last device that used it and the digest of its request: the same request again gets the same answer, so a
  /// lost response does not strand a device.
  package var lastDevice: DeviceName?
  package var lastRequest: Digest?

  package init(
    id: String, tokenHash: String, device: DeviceName?, groups: [GroupName], labels: [String: String], usesLeft: Int,
    createdAt: Instant, expires: Instant
  ) {
    self.id = id
    self.tokenHash = tokenHash
    self.device = device
    self.groups = groups
    self.labels = labels
    self.usesLeft = usesLeft
    self.createdAt = createdAt
    self.expires = expires
  }
}

extension InventoryDatabase {
  package func insert(_ claim: ClaimRecord) throws {
    let request = JSON.object([
      "device": claim.device.map { .string($0.rawValue) } ?? .null,
      "groups": .array(claim.groups.map { .string($0.rawValue) }),
      "labels": .object(claim.labels.mapValues { .string($0) }),
    ])
    try store.run(
      "INSERT INTO claims(id, token_hash, request, uses_left, created_at, expires_at) VALUES(?, ?, ?, ?, ?, ?)",
      [
        .text(claim.id), .text(claim.tokenHash), .text(request.canonical), .integer(Int64(claim.usesLeft)),
        .instant(claim.createdAt), .instant(claim.expires),
      ])
  }

  package func claim(tokenHash: String) throws -> ClaimRecord? {
    try store.query("SELECT * FROM claims WHERE token_hash = ?", [.text(tokenHash)]).first.map(Self.claim)
  }

  /// Those that somebody can still use.
  package func claims(usableAt now: Instant) throws -> [ClaimRecord] {
    try store.query(
      "SELECT * FROM claims WHERE uses_left > 0 AND expires_at > ? ORDER BY created_at, id", [.instant(now)]
    ).map(Self.claim)
  }

  package func recordUse(of claim: ClaimRecord, by device: DeviceName, request: Digest) throws {
    try store.run(
      "UPDATE claims SET uses_left = uses_left - 1, last_device = ?, last_request = ? WHERE id = ?",
      [.text(device.rawValue), .text(request.description), .text(claim.id)])
  }

  /// True if there was one.
  package func removeClaim(_ id: String) throws -> Bool {
    try store.run("DELETE FROM claims WHERE id = ?", [.text(id)])
    return store.changes > 0
  }

  /// The claims that are for this device or that it was the last to use; gives their ids. A claim's device lies within
  /// its request, so the claims are read rather than asked for.
  package func removeClaims(of device: DeviceName) throws -> [String] {
    let claims = try store.query("SELECT * FROM claims ORDER BY created_at, id").map(Self.claim)
    let ids = claims.filter { $0.device == device || $0.lastDevice == device }.map(\.id)
    for id in ids { try store.run("DELETE FROM claims WHERE id = ?", [.text(id)]) }
    return ids
  }

  private static func claim(_ row: SQLiteRow) throws -> ClaimRecord {
    let request = try row.json("request")
    var claim = ClaimRecord(
      id: try row.string("id"), tokenHash: try row.string("token_hash"),
      device: request["device"]?.stringValue.map { DeviceName(trusted: $0) },
      groups: (request["groups"]?.arrayValue ?? []).compactMap(\.stringValue).map { GroupName(trusted: $0) },
      labels: (request["labels"]?.objectValue ?? [:]).compactMapValues(\.stringValue),
      usesLeft: Int(try row.integer("uses_left")), createdAt: try row.instant("created_at"),
      expires: try row.instant("expires_at"))
    claim.lastDevice = row.optionalString("last_device").map { DeviceName(trusted: $0) }
    claim.lastRequest = row.optionalDigest("last_request")
    return claim
  }
}

// MARK: - Operators

/// `registry` opens the registry alone.
package enum OperatorRole: String, Hashable, Sendable, CaseIterable { case viewer, `operator`, admin, registry }

package struct OperatorToken: Hashable, Sendable {
  package var name: String
  package var role: OperatorRole
  /// Empty = as the role says, in all repositories.
  package var repositories: [RepositoryGrant]
  package var expires: Instant?

  package init(name: String, role: OperatorRole, repositories: [RepositoryGrant] = [], expires: Instant? = nil) {
    self.name = name
    self.role = role
    self.repositories = repositories
    self.expires = expires
  }
}

extension InventoryDatabase {
  /// Replaces a token of the same name and ends the sessions and the registry's passwords that the old one made:
  /// whoever replaces a token does so because somebody else may have it. The caller places the transaction.
  package func setToken(_ token: OperatorToken, hash: String, at now: Instant) throws {
    try store.run("DELETE FROM sessions WHERE token = ?", [.text(token.name)])
    try store.run("DELETE FROM registry_passwords WHERE token = ?", [.text(token.name)])
    let grants = token.repositories.map(\.description).joined(separator: " ")
    try store.run(
      """
      INSERT INTO tokens(name, role, hash, created_at, repositories, expires_at) VALUES(?, ?, ?, ?, ?, ?)
      ON CONFLICT(name) DO UPDATE SET role = excluded.role, hash = excluded.hash, created_at = excluded.created_at,
        repositories = excluded.repositories, expires_at = excluded.expires_at
      """,
      [
        .text(token.name), .text(token.role.rawValue), .text(hash), .instant(now), .text(grants),
        token.expires.map { .instant($0) } ?? .null,
      ])
  }

  package func hasTokens() throws -> Bool { try !store.query("SELECT 1 FROM tokens LIMIT 1").isEmpty }

  package func hasToken(named name: String) throws -> Bool {
    try !store.query("SELECT 1 FROM tokens WHERE name = ?", [.text(name)]).isEmpty
  }

  /// Also those that have expired, by name.
  package func tokens() throws -> [(token: OperatorToken, createdAt: Instant)] {
    try store.query("SELECT * FROM tokens ORDER BY name").compactMap { row in
      guard let token = try Self.token(row) else { return nil }
      return (token, try row.instant("created_at"))
    }
  }

  /// With the sessions and passwords that it made. The caller places the transaction.
  package func removeToken(_ name: String) throws -> Bool {
    for table in ["sessions", "registry_passwords"] {
      try store.run("DELETE FROM \(table) WHERE token = ?", [.text(name)])
    }
    guard try hasToken(named: name) else { return false }
    try store.run("DELETE FROM tokens WHERE name = ?", [.text(name)])
    return true
  }

  package func token(hash: String, at now: Instant) throws -> OperatorToken? {
    try store.query(
      "SELECT * FROM tokens WHERE hash = ? AND (expires_at IS NULL OR expires_at > ?)", [.text(hash), .instant(now)]
    ).first.flatMap(Self.token)
  }

  package func insertSession(hash: String, token: String, expires: Instant) throws {
    try store.run(
      "INSERT INTO sessions(hash, token, expires_at) VALUES(?, ?, ?)",
      [.text(hash), .text(token), .instant(expires)])
  }

  package func session(hash: String, at now: Instant) throws -> OperatorToken? {
    try store.query(
      """
      SELECT tokens.* FROM sessions JOIN tokens ON tokens.name = sessions.token
      WHERE sessions.hash = ? AND sessions.expires_at > ? AND (tokens.expires_at IS NULL OR tokens.expires_at > ?)
      """, [.text(hash), .instant(now), .instant(now)]
    ).first.flatMap(Self.token)
  }

  package func removeSession(hash: String) throws {
    try store.run("DELETE FROM sessions WHERE hash = ?", [.text(hash)])
  }

  package func removeSessions(expiredBefore now: Instant) throws {
    try store.run("DELETE FROM sessions WHERE expires_at <= ?", [.instant(now)])
  }

  /// A password for the registry that somebody with the token asked for.
  package func insertRegistryPassword(hash: String, token: String, expires: Instant) throws {
    try store.run(
      "INSERT INTO registry_passwords(hash, token, expires_at) VALUES(?, ?, ?)",
      [.text(hash), .text(token), .instant(expires)])
  }

  /// The token that it was made with, in the role that it has now.
  package func registryPassword(hash: String, at now: Instant) throws -> OperatorToken? {
    try store.query(
      """
      SELECT tokens.* FROM registry_passwords JOIN tokens ON tokens.name = registry_passwords.token
      WHERE registry_passwords.hash = ? AND registry_passwords.expires_at > ?
        AND (tokens.expires_at IS NULL OR tokens.expires_at > ?)
      """, [.text(hash), .instant(now), .instant(now)]
    ).first.flatMap(Self.token)
  }

  package func removeRegistryPasswords(expiredBefore now: Instant) throws {
    try store.run("DELETE FROM registry_passwords WHERE expires_at <= ?", [.instant(now)])
  }

  /// Nil for a role that this version does not know.
  private static func token(_ row: SQLiteRow) throws -> OperatorToken? {
    guard let role = OperatorRole(rawValue: try row.string("role")) else { return nil }
    let text = try row.string("repositories")
    let grants = text.split(separator: " ").compactMap { try? RepositoryGrant(String($0)) }
    return OperatorToken(
      name: try row.string("name"), role: role, repositories: grants, expires: row.optionalInstant("expires_at"))
  }
}
