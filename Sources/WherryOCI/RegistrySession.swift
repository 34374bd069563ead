import WherryCrypto
import WherryModel

/// Reading from one repository of one registry or mirror (OCI distribution-spec, pull).
package final class RegistrySession {
  let endpoint: RegistryEndpoint
  let repository: String
  private let http: any HTTPGetting
  private let authorization: RegistryAuthorization
  /// The `Authorization` header that is sent with each request.
  private var accepted: String?

  init(
    endpoint: RegistryEndpoint, repository: String, http: any HTTPGetting, authorization: RegistryAuthorization
  ) {
    self.endpoint = endpoint
    self.repository = repository
    self.http = http
    self.authorization = authorization
  }

  /// Scheme and authority.
  var base: String { endpoint.base }

  /// A manifest or index, with the type that the registry gives it.
  func manifest(_ name: String, what: String) throws(Failure) -> (bytes: [UInt8], mediaType: String?) {
    let accept = [MediaType.ociIndex, MediaType.dockerList, MediaType.ociManifest, MediaType.dockerManifest]
    let answer = try get(
      "/manifests/\(name)", accept: accept.joined(separator: ", "), bytesMaximum: ImageManifest.bytesMaximum, what: what
    )
    if let digest = Digest(name) { try check(answer.body, digest: digest, size: nil, what: what) }
    try checkDeclaredDigest(of: answer, what: what)
    return (answer.body, answer.headers["content-type"].map(MediaType.plain))
  }

  /// What a tag means is the registry's to say, but it has to mean what it says.
  private func checkDeclaredDigest(of answer: HTTPAnswer, what: String) throws(Failure) {
    guard let declared = answer.headers["docker-content-digest"], declared.hasPrefix("sha256:") else { return }
    let actual = SHA256.digest(of: answer.body)
    guard declared != actual.description else { return }
    throw Failure(
      .verify, code: "blob.digestMismatch",
      message: "\(base) declares the digest \(declared.prefix(100)) for \(what) and sent bytes with digest \(actual)",
      remedy: "push the image again, and look for a proxy that alters it")
  }

  /// A small blob, checked against its descriptor.
  func blob(_ descriptor: Descriptor, bytesMaximum: Int, what: String) throws(Failure) -> [UInt8] {
    guard descriptor.size <= Int64(bytesMaximum) else {
      throw Failure(
        .verify, code: "image.malformed",
        message: "\(what) declares \(descriptor.size) bytes; \(bytesMaximum) is the limit", remedy: "rebuild the image")
    }
    let answer = try get(
      "/blobs/\(descriptor.digest)", accept: "*/*", bytesMaximum: Int(descriptor.size), what: what)
    try check(answer.body, digest: descriptor.digest, size: descriptor.size, what: what)
    return answer.body
  }

  func check(_ bytes: [UInt8], digest: Digest, size: Int64?, what: String) throws(Failure) {
    let actual = SHA256.digest(of: bytes)
    guard actual == digest, size.map({ $0 == Int64(bytes.count) }) ?? true else {
      throw Failure(
        .verify, code: "blob.digestMismatch",
        message: "\(base) sent \(bytes.count) bytes with digest \(actual) as \(what), which is \(digest)"
          + (size.map { " of \($0) bytes" } ?? ""),
        remedy: "push the image again, and look for a proxy that alters it")
    }
  }

  private func get(_ path: String, accept: String, bytesMaximum: Int, what: String) throws(Failure) -> HTTPAnswer {
    let url = "\(base)/v2/\(repository)\(path)"
    var answer = try http.get(url, headers: headers(accept), bodyBytesMaximum: bytesMaximum)
    var rounds = 0
    // A token may have expired since the last request. What was got anew and is refused, too, is not got once more; a
    // credential may have been kept too long, so there may be another.
    while answer.status == 401, !answer.isFromElsewhere, rounds == 0 || (rounds == 1 && isBasic),
      let challenge = answer.headers["www-authenticate"],
      let value = try authorization.authorization(answering: challenge, from: endpoint, refused: accepted)
    {
      rounds += 1
      accepted = value
      answer = try http.get(url, headers: headers(accept), bodyBytesMaximum: bytesMaximum)
    }
    guard answer.status == 200 else { throw refusal(answer, url: url, what: what) }
    return answer
  }

  private var isBasic: Bool { accepted?.hasPrefix("Basic ") == true }

  private func headers(_ accept: String) -> [(String, String)] {
    [("accept", accept)] + (accepted.map { [("authorization", $0)] } ?? [])
  }

  private func refusal(_ answer: HTTPAnswer, url: String, what: String) -> Failure {
    let hasCredential = authorization.hasShownCredential(for: endpoint)
    return switch answer.status {
    case 401, 403:
      Failure(
        .download, code: "image.unauthorized",
        message:
          "\(base) does not let \(what) be read \(hasCredential ? "with its credential" : "without credentials") "
          + "(status \(answer.status))",
        remedy: hasCredential
          ? "check that the credential of \(base) is right and may pull \(repository)"
          : "configure a credential of \(base), allow anonymous pulls of \(repository) there, or use another registry")
    case 404:
      Failure(
        .download, code: "image.notFound", message: "\(base) has no \(what) (status 404)",
        remedy: "check the image's name and tag, and that it has been pushed")
    case let status where HTTPAnswer.isPassing(status):
      answer.unavailable(url)
    default:
      Failure(
        .download, code: "download.status", message: "\(url) answered with status \(answer.status)",
        remedy: "look at the registry's log, then try again")
    }
  }
}
