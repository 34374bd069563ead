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
    try database.token(hash: SecretToken.hash(token), at: environment.now())
  }

  // MARK: - Tokens

  /// Of one token's lifetime.
  static let tokenSecondsMaximum = 10 * 365 * 86_400

  package func createToken(_ request: TokenRequest, by actor: String) throws -> TokenSummary {
    let isName = request.name.utf8.allSatisfy { byte in
      (97...122).contains(byte) || (65...90).contains(byte) || (48...57).contains(byte) || byte == 45 || byte == 46
        || byte == 95
    }
    guard isName, (1...64).contains(request.name.utf8.count) else {
      throw Refusal.badRequest(
        "\"\(request.name.prefix(80))\" is no token's name", remedy: "use 1 to 64 letters, digits, - . and _")
    }
    guard let role = OperatorRole(rawValue: request.role) else {
      throw Refusal.badRequest(
        "\"\(request.role.prefix(40))\" is no role", remedy: "use viewer, operator, admin or registry")
    }
    guard (1...Self.tokenSecondsMaximum).contains(request.expiresInSeconds ?? 1) else {
      throw Refusal.badRequest("a token lives 1 second to 10 years", remedy: "choose its expiry within that")
    }
    guard request.repositories.count <= RepositoryGrant.countMaximum else {
      throw Refusal.badRequest(
        "a token is for \(RepositoryGrant.countMaximum) patterns of repositories at most",
        remedy: "use one that ends in /*")
    }
    guard role != .admin || request.repositories.isEmpty else {
      throw Refusal.badRequest(
        "an administrator's token cannot be confined to repositories", remedy: "use the role operator or registry")
    }
    var grants: [RepositoryGrant] = []
    for text in request.repositories {
      do throws(RepositoryGrant.Problem) { grants.append(try RepositoryGrant(text)) } catch {
        throw Refusal.badRequest(error.message, remedy: error.remedy)
      }
    }
    let now = environment.now()
    let token = OperatorToken(
      name: request.name, role: role, repositories: grants,
      expires: request.expiresInSeconds.map { now.advanced(bySeconds: $0) })
    let secret = SecretToken.make(prefix: "wherry_")
    try commit {
      guard try !database.hasToken(named: token.name) else {
        throw Refusal(
          409, "token.exists", "there is a token \(token.name) already",
          remedy: "choose another name, or revoke it first with `wherry token revoke \(token.name)`")
      }
      try database.setToken(token, hash: SecretToken.hash(secret), at: now)
      try database.audit("token.create", subject: token.name, actor: actor, detail: role.rawValue, at: now)
    }
    return summary(of: token, createdAt: now, secret: secret)
  }

  /// By name, also those that have expired.
  package func tokens() throws -> [TokenSummary] {
    try database.tokens().map { summary(of: $0.token, createdAt: $0.createdAt, secret: nil) }
  }

  /// Whoever revokes the last administrator's token locks everybody out.
  package func revokeToken(_ name: String, by actor: String) throws {
    let now = environment.now()
    try commit {
      let administrators = try database.tokens().map(\.token).filter { $0.role == .admin && $0.expires == nil }
      guard administrators.map(\.name) != [name] else {
        throw Refusal(
          409, "token.last", "\(name) is the only administrator's token that does not expire",
          remedy: "create another administrator's token first")
      }
      guard try database.removeToken(name) else {
        throw Refusal.notFound("token \(name.prefix(80))", remedy: "`wherry token list` names them")
      }
      try database.audit("token.revoke", subject: name, actor: actor, at: now)
    }
  }

  private func summary(of token: OperatorToken, createdAt: Instant, secret: String?) -> TokenSummary {
    TokenSummary(
      name: token.name, role: token.role.rawValue, repositories: token.repositories.map(\.description),
      createdAt: createdAt, expires: token.expires, token: secret)
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
    let now = environment.now()
    return try database.token(hash: hash, at: now) ?? database.registryPassword(hash: hash, at: now)
  }

  // MARK: - Sessions

  /// A cookie's value for a person who showed a token.
  package func openSession(token: String) throws -> String? {
    guard let owner = try operatorToken(token), owner.role != .registry else { return nil }
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
