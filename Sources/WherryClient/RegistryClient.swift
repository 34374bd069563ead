import WherryJSON
import WherryModel
import WherryOCI
import WherryTransfer

/// Where a registry is, and who asks it.
package struct RegistryServer: Sendable {
  package enum Permission: Sendable {
    /// An operator's token, which the service's own registry takes as it is.
    case token(String)
    /// What is known of other registries; shown to one that asks for it.
    case access(RegistryAccess)
  }

  /// Scheme and authority: `https://registry.example.com:5000`.
  package var base: String
  /// Trusted in place of the system's authorities.
  package var authorityPEM: String?
  package var permission: Permission

  package init(base: String, authorityPEM: String? = nil, permission: Permission = .access(RegistryAccess())) {
    self.base = base
    self.authorityPEM = authorityPEM
    self.permission = permission
  }
}

/// One registry that speaks the OCI distribution specification: the service's own or another. Blocking; one request at
/// a time.
package final class RegistryClient {
  package let base: String
  let configuration: HTTPClientConfiguration
  /// Waits so many milliseconds.
  let pause: (Int) -> Void
  /// Of an upload, in one request: what is lost when a connection breaks.
  var chunkBytes = 8 << 20
  private let http: HTTPClient
  /// Answers the registry's challenges; nil where a token is sent with each request.
  private let challenges: RegistryAuthorization?
  private let endpoint: RegistryEndpoint
  /// The header's value that was accepted last, or is about to be tried.
  private(set) var authorization: String?

  static let answerBytesMaximum = 8 << 20
  private static let pagesMaximum = 1_000

  package init(_ server: RegistryServer, pause: @escaping (Int) -> Void) {
    base = server.base
    self.pause = pause
    endpoint = RegistryEndpoint(base: server.base, host: RegistryHost(url: server.base))
    var configuration = HTTPClientConfiguration()
    configuration.caPEM = server.authorityPEM
    self.configuration = configuration
    http = HTTPClient(configuration: configuration)
    switch server.permission {
    case .token(let token):
      authorization = "Bearer \(token)"
      challenges = nil
    case .access(let access):
      authorization = nil
      challenges = RegistryAuthorization(http: TokenRequests(http: http), access: access)
    }
  }

  /// Of the service, where an operator's token is its own permission.
  var hasToken: Bool { challenges == nil }

  // MARK: - Requests

  /// Any status is an answer, except for a first 401 that can be answered.
  func send(
    _ method: String, _ path: String, headers: [(String, String)] = [], body: [UInt8]? = nil,
    bytesMaximum: Int = RegistryClient.answerBytesMaximum
  ) throws -> HTTPResponse {
    func exchange() throws -> HTTPResponse {
      let all = headers + (authorization.map { [("authorization", $0)] } ?? [])
      let request = HTTPRequest(method: method, url: base + path, headers: all, body: body)
      return try answer(to: request, bytesMaximum: bytesMaximum)
    }
    let response = try exchange()
    guard response.status == 401, try authorize(response) else { return response }
    return try exchange()
  }

  private func answer(to request: HTTPRequest, bytesMaximum: Int) throws -> HTTPResponse {
    do throws(TransferError) { return try http.send(request, maximumBodyBytes: bytesMaximum) } catch {
      throw ClientError.registry("\(error)", mayHeal: error.isTransient)
    }
  }

  /// Takes the answer to the registry's challenge; false when there is none that was not refused already.
  func authorize(_ response: HTTPResponse) throws -> Bool {
    guard let challenges, !response.isFromElsewhere, let header = response.headers["www-authenticate"] else {
      return false
    }
    do throws(Failure) {
      guard let value = try challenges.authorization(answering: header, from: endpoint, refused: authorization) else {
        return false
      }
      authorization = value
      return true
    } catch { throw ClientError.registry("\(error)", mayHeal: error.isTransient) }
  }

  // MARK: - Refusals

  /// What the registry says of itself, without what a terminal would take for more than text.
  static func plain(_ text: some StringProtocol) -> String {
    String(String.UnicodeScalarView(text.unicodeScalars.filter { $0.value >= 32 && !(127...159).contains($0.value) }))
  }

  /// - Parameter what: `give the manifest 1.0 of team/web`.
  func refusal(_ response: HTTPResponse, _ what: String) -> ClientError {
    let entries = (try? JSON(parsing: response.body))?["errors"]?.arrayValue ?? []
    let messages = entries.prefix(20).compactMap { $0["message"]?.stringValue }.map { Self.plain($0.prefix(500)) }
    let reason = messages.isEmpty ? "it answered with status \(response.status)" : messages.joined(separator: "; ")
    var sentence = "\(base) did not \(what): \(reason)"
    if [401, 403].contains(response.status), !hasToken {
      sentence += "; log in to it with `docker login`, `podman login` or `skopeo login`"
    } else if messages.isEmpty, response.status == 401 {
      sentence += "; log in with `wherry login`"
    }
    let isBusy = [408, 416, 425, 429].contains(response.status) || response.status >= 500
    return .registry(sentence, mayHeal: isBusy)
  }

  /// Path and query of a place that the registry names. Whatever comes next carries credentials, so it must be here.
  func path(of location: String) throws -> String {
    if location.hasPrefix("/"), !location.hasPrefix("//") { return location }
    for scheme in ["https://", "http://"] where location.hasPrefix(scheme) {
      let rest = location.dropFirst(scheme.count)
      let authority = rest.prefix { $0 != "/" && $0 != "?" }
      if base.hasSuffix("://\(authority)") { return String(rest[authority.endIndex...]) }
    }
    throw ClientError.registry(
      "\(base) leads to \"\(Self.plain(location.prefix(200)))\", which is not at the same host; use the address that "
        + "it calls its own", mayHeal: false)
  }

  // MARK: - Names

  package func repositories() throws -> [String] {
    try names("/v2/_catalog?n=1000", "repositories", what: "list its repositories") ?? []
  }

  /// nil when there is no such repository.
  package func tags(of repository: String) throws -> [String]? {
    try names("/v2/\(repository)/tags/list?n=1000", "tags", what: "list the tags of \(repository)")
  }

  private func names(_ first: String, _ key: String, what: String) throws -> [String]? {
    var names: [String] = []
    var next: String? = first
    for _ in 0..<Self.pagesMaximum {
      guard let page = next else { return names }
      let response = try send("GET", page)
      if response.status == 404 { return nil }
      guard response.status == 200, let json = try? JSON(parsing: response.body, limits: Self.limits) else {
        throw refusal(response, what)
      }
      names += (json[key]?.arrayValue ?? []).compactMap(\.stringValue).map { Self.plain($0) }
      next = try response.headers["link"].flatMap(Self.nextPage).map(self.path(of:))
    }
    throw ClientError.registry("\(base) did not \(what): its list has no end", mayHeal: false)
  }

  private static let limits = JSONLimits(bytesMaximum: answerBytesMaximum)

  /// `</v2/_catalog?last=b>; rel="next"` (RFC 8288).
  private static func nextPage(_ header: String) -> String? {
    guard header.hasPrefix("<"), header.contains("rel=\"next\"") || header.contains("rel=next"),
      let end = header.firstIndex(of: ">")
    else { return nil }
    return String(header[header.index(after: header.startIndex)..<end])
  }

  // MARK: - Manifests

  /// A tag or a digest. Names come out of files and lists that somebody else wrote, and become a part of a path that is
  /// asked for with credentials.
  static func requireReference(_ name: String) throws {
    let isWord = { (byte: UInt8) in
      (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || byte == UInt8(ascii: "_")
    }
    let isTag =
      name.utf8.first.map(isWord) == true && name.utf8.count <= 128
      && name.utf8.allSatisfy { isWord($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") }
    guard isTag || Digest(name) != nil else {
      throw ClientError.registry(
        "\"\(plain(name.prefix(200)))\" is no tag; use 1 to 128 letters, digits, _, . and -, beginning with none of "
          + "the last two", mayHeal: false)
    }
  }

  /// nil when there is none.
  package func manifest(_ name: String, in repository: String) throws -> RegistryManifest? {
    try Self.requireReference(name)
    let types = [MediaType.ociIndex, MediaType.dockerList, MediaType.ociManifest, MediaType.dockerManifest]
    let response = try send(
      "GET", "/v2/\(repository)/manifests/\(name)", headers: [("accept", types.joined(separator: ", "))],
      bytesMaximum: RegistryManifest.bytesMaximum)
    if response.status == 404 { return nil }
    guard response.status == 200 else { throw refusal(response, "give the manifest \(name) of \(repository)") }
    let manifest = try RegistryManifest(
      response.body, mediaType: response.headers["content-type"], what: "\(name) of \(repository) at \(base)")
    if let digest = Digest(name), manifest.digest != digest {
      throw ClientError.registry(
        "\(base) sent a manifest with the digest \(manifest.digest) in place of \(digest); look for a proxy that "
          + "alters it", mayHeal: false)
    }
    return manifest
  }

  /// What it refers to must be in the repository.
  package func put(_ manifest: RegistryManifest, as name: String, in repository: String) throws {
    try Self.requireReference(name)
    let response = try send(
      "PUT", "/v2/\(repository)/manifests/\(name)", headers: [("content-type", manifest.mediaType)],
      body: manifest.bytes)
    guard response.isSuccess else { throw refusal(response, "take the manifest \(name) of \(repository)") }
  }
}

/// How tokens are asked for.
private struct TokenRequests: HTTPGetting {
  let http: HTTPClient

  func get(_ url: String, headers: [(String, String)], bodyBytesMaximum: Int) throws(Failure) -> HTTPAnswer {
    do throws(TransferError) {
      let response = try http.send(HTTPRequest(url: url, headers: headers), maximumBodyBytes: bodyBytesMaximum)
      return HTTPAnswer(
        status: response.status, headers: response.headers, body: response.body,
        isFromElsewhere: response.isFromElsewhere)
    } catch { throw error.failure }
  }
}
