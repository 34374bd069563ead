import WherryCrypto
import WherryModel

/// Reading from one repository of one registry (OCI distribution-spec, pull). Holds the anonymous token, if the
/// registry wants one.
package final class RegistrySession {
  /// Scheme and authority.
  package let base: String
  package let repository: String
  private let http: any HTTPGetting
  private var token: String?

  package init(base: String, repository: String, http: any HTTPGetting) {
    self.base = base
    self.repository = repository
    self.http = http
  }

  /// A manifest or index, with the type that the registry gives it.
  func manifest(_ name: String, what: String) throws(Failure) -> (bytes: [UInt8], mediaType: String?) {
    let accept = [MediaType.ociIndex, MediaType.dockerList, MediaType.ociManifest, MediaType.dockerManifest]
    let answer = try get(
      "/manifests/\(name)", accept: accept.joined(separator: ", "), bytesMaximum: ImageManifest.bytesMaximum, what: what
    )
    let type = answer.headers["content-type"]?.split(separator: ";").first.map { $0.filter { $0 != " " } }
    if let digest = Digest(name) { try check(answer.body, digest: digest, size: nil, what: what) }
    return (answer.body, type)
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
        message: "\(base) sent \(bytes.count) bytes with digest \(actual) as \(what), which is \(digest)",
        remedy: "push the image again, and look for a proxy that alters it")
    }
  }

  private func get(_ path: String, accept: String, bytesMaximum: Int, what: String) throws(Failure) -> HTTPAnswer {
    let url = "\(base)/v2/\(repository)\(path)"
    var answer = try http.get(url, headers: headers(accept), bodyBytesMaximum: bytesMaximum)
    if answer.status == 401, token == nil, let header = answer.headers["www-authenticate"],
      let challenge = BearerChallenge(header: header)
    {
      token = try fetchToken(challenge)
      answer = try http.get(url, headers: headers(accept), bodyBytesMaximum: bytesMaximum)
    }
    guard answer.status == 200 else { throw refusal(answer.status, url: url, what: what) }
    return answer
  }

  private func headers(_ accept: String) -> [(String, String)] {
    [("accept", accept)] + (token.map { [("authorization", "Bearer \($0)")] } ?? [])
  }

  private func fetchToken(_ challenge: BearerChallenge) throws(Failure) -> String? {
    let answer = try http.get(challenge.tokenURL, headers: [], bodyBytesMaximum: 1 << 16)
    return answer.status == 200 ? BearerChallenge.token(in: answer.body) : nil
  }

  private func refusal(_ status: Int, url: String, what: String) -> Failure {
    switch status {
    case 401, 403:
      Failure(
        .download, code: "image.unauthorized",
        message: "\(base) does not let \(what) be read without credentials "
          + "(status \(status))", remedy: "allow anonymous pulls of \(repository) there, or use another registry")
    case 404:
      Failure(
        .download, code: "image.notFound", message: "\(base) has no \(what) (status 404)",
        remedy: "check the image's name and tag, and that it has been pushed")
    default:
      Failure(
        .download, code: "download.status", message: "\(url) answered with status \(status)",
        remedy: "look at the registry's log, then try again")
    }
  }
}
