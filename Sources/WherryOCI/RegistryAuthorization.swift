import WherryModel

/// Answers what registries ask for before they let somebody read: a token (distribution's token specification), fetched
/// with the registry's credential where there is one, or the credential itself (RFC 7617). Keeps its tokens.
///
/// A credential goes to the registry that it is configured for and to that registry's token server, see
/// `RegistryHost.isNaturalTokenServer`; in the clear only if the registry itself is spoken to in the clear.
package final class RegistryAuthorization {
  private struct TokenKey: Hashable {
    let base: String
    let challenge: BearerChallenge
  }

  private let http: any HTTPGetting
  private let access: RegistryAccess
  private var tokens: [TokenKey: String] = [:]
  /// Bases of registries for which a credential went out, to them or to their token servers.
  private var shown: Set<String> = []

  private static let tokensMaximum = 1_000
  private static let tokenAnswerBytesMaximum = 1 << 16

  package init(http: any HTTPGetting, access: RegistryAccess) {
    self.http = http
    self.access = access
  }

  func hasShownCredential(for registry: RegistryEndpoint) -> Bool { shown.contains(registry.base) }

  /// The value of the `Authorization` header that meets the challenge; nil when nothing that is known does.
  /// - Parameter header: `WWW-Authenticate`, from the registry's own answer and not from where that redirected to.
  /// - Parameter refused: the value that came back with it; nil = there was none. A token that expired is replaced, and
  ///   a short-lived credential that was kept too long.
  package func authorization(
    answering header: String, from registry: RegistryEndpoint, refused: String?
  ) throws(Failure) -> String? {
    let challenges = AuthenticationChallenge.all(in: header)
    if let bearer = challenges.lazy.compactMap({ BearerChallenge($0) }).first {
      return try token(bearer, registry, refused: refused).map { "Bearer " + $0 }
    }
    guard challenges.contains(where: { $0.scheme == "basic" }), let host = registry.host,
      let credential = try access.credentials.credential(of: host)
    else { return nil }
    shown.insert(registry.base)
    if credential.basicAuthorization != refused { return credential.basicAuthorization }
    return try replacement(of: credential, for: host)?.basicAuthorization
  }

  private func replacement(of old: RegistryCredential, for host: RegistryHost) throws(Failure) -> RegistryCredential? {
    access.credentials.refused(old, by: host)
    guard let new = try access.credentials.credential(of: host), new != old else { return nil }
    return new
  }

  private func token(
    _ challenge: BearerChallenge, _ registry: RegistryEndpoint, refused: String?
  ) throws(Failure) -> String? {
    let key = TokenKey(base: registry.base, challenge: challenge)
    if let token = tokens[key], "Bearer " + token != refused { return token }
    guard challenge.isEncrypted || !registry.isEncrypted else {
      throw unauthorized(
        registry, "names the token server \(challenge.realm), which is not encrypted",
        "have the registry name an https address")
    }
    guard let token = try fetchToken(challenge, registry) else { return nil }
    if tokens.count >= Self.tokensMaximum { tokens.removeAll() }
    tokens[key] = token
    return token
  }

  private func fetchToken(_ challenge: BearerChallenge, _ registry: RegistryEndpoint) throws(Failure) -> String? {
    let credential = try credential(for: challenge, of: registry)
    if credential != nil { shown.insert(registry.base) }
    var answer = try ask(challenge, credential)
    // Where no credential was sent, the registry's own refusal says more than its token server's.
    if answer.status == 401 || answer.status == 403 {
      guard let credential, let host = registry.host else { return nil }
      if let other = try replacement(of: credential, for: host) { answer = try ask(challenge, other) }
    }
    switch answer.status {
    case 200:
      if let token = BearerChallenge.token(in: answer.body) { return token }
      throw Failure(
        .download, code: "download.invalidResponse",
        message: "the token server \(challenge.realm) of \(registry.base) answered without a token",
        remedy: "look at the token server's log")
    case let status where HTTPAnswer.isPassing(status):
      throw answer.unavailable(challenge.realm)
    case let status:
      guard credential != nil else { return nil }
      throw unauthorized(
        registry, "has the token server \(challenge.realm), which refuses the configured credential (status \(status))",
        "correct the credential")
    }
  }

  private func ask(_ challenge: BearerChallenge, _ credential: RegistryCredential?) throws(Failure) -> HTTPAnswer {
    try http.get(
      challenge.tokenURL, headers: credential.map { [("authorization", $0.basicAuthorization)] } ?? [],
      bodyBytesMaximum: Self.tokenAnswerBytesMaximum)
  }

  /// The credential that may be shown to the token server.
  private func credential(
    for challenge: BearerChallenge, of registry: RegistryEndpoint
  ) throws(Failure) -> RegistryCredential? {
    guard let host = registry.host, let credential = try access.credentials.credential(of: host) else { return nil }
    let isAllowed =
      host.isNaturalTokenServer(challenge.host) || access.tokenServers[host]?.contains(challenge.host) == true
    guard isAllowed else {
      throw unauthorized(
        registry, "names the token server \(challenge.host), which its credential is not meant for",
        "if that is its token server, allow it (registry_token_server.\(host) = \(challenge.host) in agent.conf, "
          + "--registry-token-server \(host)=\(challenge.host) of the service)")
    }
    return credential
  }

  private func unauthorized(_ registry: RegistryEndpoint, _ reason: String, _ remedy: String) -> Failure {
    Failure(.download, code: "image.unauthorized", message: "\(registry.base) \(reason)", remedy: remedy)
  }
}
