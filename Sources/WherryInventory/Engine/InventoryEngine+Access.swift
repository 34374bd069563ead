import WherryCrypto
import WherryDatabase
import WherryModel
import WherryWire

extension InventoryEngine {
  static let sessionSeconds = 12 * 3_600
  /// A working day.
  static let registryPasswordSeconds = 12 * 3_600
  static let claimSecondsMaximum = 365 * 86_400

  // MARK: - Operators

  package func operatorToken(_ token: String) throws -> OperatorToken? {
    try database.token(hash: SecretToken.hash(token))
  }

  // MARK: - The registry's passwords

  /// A password for registry clients, which keep what they are given in a file: it opens the registry alone, and not
  /// for long.
  package func makeRegistryPassword(for owner: OperatorToken) throws -> RegistryPassword {
    let password = SecretToken.make(prefix: "wherry_registry_")
    let now = environment.now()
    let expires = now.advanced(bySeconds: Self.registryPasswordSeconds)
    try commit {
      try database.removeRegistryPasswords(expiredBefore: now)
      try database.insertRegistryPassword(
        hash: SecretToken.hash(password), token: owner.name, expires: expires)
      try database.audit("registry.password", subject: owner.name, actor: owner.name, at: now)
    }
    return RegistryPassword(password: password, expires: expires)
  }

  /// Whom the registry lets in: who has an operator's token, or a password that was made with one.
  package func registryToken(_ secret: String) throws -> OperatorToken? {
    let hash = SecretToken.hash(secret)
    return try database.token(hash: hash) ?? database.registryPassword(hash: hash, at: environment.now())
  }

  // MARK: - Sessions

  /// A cookie's value for a person who showed a token.
  package func openSession(token: String) throws -> String? {
    guard let owner = try operatorToken(token) else { return nil }
    let session = SecretToken.make(prefix: "")
    let now = environment.now()
    try commit {
      try database.insertSession(
        hash: SecretToken.hash(session), token: owner.name, expires: now.advanced(bySeconds: Self.sessionSeconds))
    }
    return session
  }

  package func session(_ session: String) throws -> OperatorToken? {
    try database.session(hash: SecretToken.hash(session), at: environment.now())
  }

  package func closeSession(_ session: String) throws {
    try commit { try database.removeSession(hash: SecretToken.hash(session)) }
  }

  // MARK: - Claims

  package func createClaim(_ request: ClaimRequest, by actor: String) throws -> ClaimSummary {
    guard (1...100_000).contains(request.uses), (1...Self.claimSecondsMaximum).contains(request.expiresInSeconds) else {
      throw Refusal.badRequest(
        "a claim has 1 to 100000 uses and lives 1 second to 365 days", remedy: "choose uses and expiry within that")
    }
    guard request.device == nil || request.uses == 1 else {
      throw Refusal.badRequest("a claim for one device has one use", remedy: "leave out uses, or the device")
    }
    let token = SecretToken.make(prefix: "")
    let now = environment.now()
    let id = randomBytes(4).map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
    let record = ClaimRecord(
      id: id, tokenHash: SecretToken.hash(token), device: request.device, groups: request.groups,
      labels: request.labels, usesLeft: request.uses, createdAt: now,
      expires: now.advanced(bySeconds: request.expiresInSeconds))
    try commit {
      try database.insert(record)
      try database.audit("claim.create", subject: id, actor: actor, at: now)
    }
    let claim = Claim(
      url: environment.endpoints.operatorURL, token: token, authority: environment.authority.certificatePEM)
    return summary(of: record, claim: claim.text)
  }

  /// Those that can still be used: neither used up nor expired.
  package func claims() throws -> [ClaimSummary] {
    try database.claims(usableAt: environment.now()).map { summary(of: $0, claim: nil) }
  }

  package func removeClaim(_ id: String, by actor: String) throws {
    let now = environment.now()
    let wasThere = try commit {
      try database.audit("claim.revoke", subject: id, actor: actor, at: now)
      return try database.removeClaim(id)
    }
    guard wasThere else { throw Refusal.notFound("claim \(id)", remedy: "`wherry claim list` names them") }
  }

  private func summary(of record: ClaimRecord, claim: String?) -> ClaimSummary {
    ClaimSummary(
      id: record.id, claim: claim, device: record.device, groups: record.groups, labels: record.labels,
      usesLeft: record.usesLeft, createdAt: record.createdAt, expires: record.expires)
  }
}
