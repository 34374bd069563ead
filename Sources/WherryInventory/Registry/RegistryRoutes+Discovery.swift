import Hummingbird
import WherryDatabase
import WherryJSON
import WherryModel
import WherryOCI

extension RegistryRoutes {
  /// Names in one answer at most; a `Link` header leads to the next.
  static let pageMaximum = 10_000
  /// Of a list of referrers, which is a manifest and may be no larger than one.
  private static let referrersBytesMaximum = 3 << 20

  // MARK: - Names

  /// `GET /v2/_catalog`, which the specification reserves and Docker's registry defines.
  func catalog(_ request: Request, as actor: RegistryActor) async throws -> Response {
    let page = try NamePage(request)
    let names: [RepositoryName]
    if actor.isConfined {
      names = try await visibleRepositories(to: actor, page)
    } else {
      try actor.require(.pull, in: nil)
      names = try await engine.registryRepositories(after: page.last, limit: page.limit + 1)
    }
    return page.response("/v2/_catalog", names: names.map(\.rawValue)) { page -> JSON in ["repositories": page] }
  }

  /// Of as many as it takes to fill the page.
  private func visibleRepositories(to actor: RegistryActor, _ page: NamePage) async throws -> [RepositoryName] {
    var (names, last): ([RepositoryName], String) = ([], page.last)
    while names.count <= page.limit {
      let next = try await engine.registryRepositories(after: last, limit: Self.pageMaximum)
      names += next.filter { actor.may(.pull, in: $0) }
      guard next.count == Self.pageMaximum, let end = next.last else { break }
      last = end.rawValue
    }
    return Array(names.prefix(page.limit + 1))
  }

  func tags(of repository: RepositoryName, _ request: Request, as actor: RegistryActor) async throws -> Response {
    try actor.require(.pull, in: repository)
    let page = try NamePage(request)
    guard let tags = try await engine.registryTags(of: repository, after: page.last, limit: page.limit + 1) else {
      throw RegistryError.noRepository(repository.rawValue)
    }
    return page.response("/v2/\(repository)/tags/list", names: tags.map(\.rawValue)) { page -> JSON in
      ["name": .string(repository.rawValue), "tags": page]
    }
  }

  // MARK: - Referrers

  /// An index of the manifests whose subject this digest is; empty rather than 404, also for a repository that is not
  /// there: a 404 would tell clients that the registry does not know referrers.
  /// - Parameter subject: nil for a digest of another algorithm, which no manifest here has as its subject.
  func referrers(
    of subject: Digest?, in repository: RepositoryName, _ request: Request, as actor: RegistryActor
  ) async throws -> Response {
    try actor.require(.pull, in: repository)
    let type = request.query("artifactType").flatMap { $0.isEmpty ? nil : $0 }
    let last = try request.query("last").map { try RegistryEndpoint.digest($0) }
    var page: [RegistryReferrer] = []
    var isWhole = true
    if let subject {
      (page, isWhole) = try await engine.registryReferrers(
        of: subject, in: repository, artifactType: type, after: last, bytesMaximum: Self.referrersBytesMaximum)
    }
    // Hummingbird, too, has a `MediaType`.
    var response = Response.json([
      "schemaVersion": 2, "mediaType": .string(WherryOCI.MediaType.ociIndex),
      "manifests": .array(page.map(Self.descriptor)),
    ])
    response.headers[.contentType] = WherryOCI.MediaType.ociIndex
    if type != nil { response.headers[.ociFiltersApplied] = "artifactType" }
    if !isWhole, let subject, let end = page.last {
      let filter = type.map { "artifactType=\(Self.percentEncoded($0))&" } ?? ""
      response.headers[.webLink] =
        "</v2/\(repository)/referrers/\(subject)?\(filter)last=\(end.manifest.digest)>; rel=\"next\""
    }
    return response
  }

  private static func descriptor(_ referrer: RegistryReferrer) -> JSON {
    var descriptor: JSON = [
      "mediaType": .string(referrer.manifest.mediaType), "digest": .string("\(referrer.manifest.digest)"),
      "size": .integer(referrer.manifest.size),
    ]
    if let type = referrer.manifest.artifactType { descriptor["artifactType"] = .string(type) }
    if referrer.annotations != .object([:]) { descriptor["annotations"] = referrer.annotations }
    return descriptor
  }

  /// RFC 3986 §2.3: everything but unreserved characters.
  static func percentEncoded(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var bytes: [UInt8] = []
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
        UInt8(ascii: "~"):
        bytes.append(byte)
      default: bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}

/// Which part of a list of names was asked for: `n=` names from behind `last=`.
private struct NamePage {
  let limit: Int
  let last: String

  init(_ request: Request) throws {
    last = request.query("last") ?? ""
    guard let text = request.query("n") else {
      limit = RegistryRoutes.pageMaximum
      return
    }
    guard !text.isEmpty, text.utf8.count <= 18, text.utf8.allSatisfy({ (48...57).contains($0) }), let number = Int(text)
    else {
      throw RegistryError(
        .badRequest, .unsupported, "n is \"\(text.prefix(40))\"", remedy: "write a whole number of names, 0 or more")
    }
    limit = min(number, RegistryRoutes.pageMaximum)
  }

  /// - Parameter names: one more than the page holds, if there are so many.
  func response(_ path: String, names: [String], _ body: (JSON) -> JSON) -> Response {
    let page = Array(names.prefix(limit))
    var response = Response.json(body(.array(page.map { .string($0) })))
    if names.count > limit, let last = page.last {
      response.headers[.webLink] = "<\(path)?n=\(limit)&last=\(RegistryRoutes.percentEncoded(last))>; rel=\"next\""
    }
    return response
  }
}
