import HTTPTypes
import WherryDatabase
import WherryModel

/// What a manifest is asked for by.
enum RegistryReference: Hashable, Sendable, CustomStringConvertible {
  case tag(TagName)
  case digest(Digest)

  var description: String {
    switch self {
    case .tag(let tag): tag.rawValue
    case .digest(let digest): digest.description
    }
  }
}

/// Where a request to the registry goes (OCI distribution specification, "Endpoints").
enum RegistryEndpoint: Hashable, Sendable {
  /// `/v2/`: is this a registry, and may I come in?
  case base
  /// `/v2/_catalog`
  case catalog
  /// `/v2/<name>/tags/list`
  case tags(RepositoryName)
  /// `/v2/<name>/manifests/<tag or digest>`
  case manifest(RepositoryName, RegistryReference)
  /// `/v2/<name>/blobs/<digest>`
  case blob(RepositoryName, Digest)
  /// `/v2/<name>/blobs/uploads/`
  case uploads(RepositoryName)
  /// `/v2/<name>/blobs/uploads/<id>`
  case upload(RepositoryName, id: String)
  /// `/v2/<name>/referrers/<digest>`; nil for a digest of another algorithm, which is nobody's subject here.
  case referrers(RepositoryName, Digest?)

  /// The longest: a repository's name, `/manifests/` and a tag, with some to spare.
  static let pathBytesMaximum = 512

  /// Names hold `/` themselves, so a path is read from its end. Nothing in it needs percent-encoding, and nothing is
  /// decoded: a path has one spelling.
  ///
  /// Content that nothing can be called is not there: whoever looks for it or deletes it is told so ("the response code
  /// MUST be 404 Not Found"), and only a push is told what is wrong with the name.
  init(path: String, method: HTTPRequest.Method = .get) throws {
    guard path.utf8.count <= Self.pathBytesMaximum else {
      throw RegistryError(
        .badRequest, .nameInvalid, "the path is longer than \(Self.pathBytesMaximum) bytes",
        remedy: "choose a shorter repository name")
    }
    guard path.hasPrefix("/v2/") else {
      guard path == "/v2" else { throw Self.noEndpoint(path) }
      self = .base
      return
    }
    let parts = path.dropFirst(4).split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    switch parts {
    case [""]: self = .base
    case ["_catalog"]: self = .catalog
    default: self = try Self.inRepository(parts, path: path, isPush: method == .put)
    }
  }

  private static func inRepository(_ parts: [String], path: String, isPush: Bool) throws -> RegistryEndpoint {
    guard parts.count >= 3 else { throw noEndpoint(path) }
    let last = parts[parts.count - 1]
    let kind = parts[parts.count - 2]
    if parts.count >= 4, kind == "uploads", parts[parts.count - 3] == "blobs" {
      let name = try repository(parts.dropLast(3))
      return last.isEmpty ? .uploads(name) : .upload(name, id: last)
    }
    let name = parts.dropLast(2)
    switch kind {
    case "blobs" where last == "uploads": return .uploads(try repository(name))
    case "blobs": return .blob(try repository(name), try digest(last, absent: .blobUnknown))
    case "manifests": return .manifest(try repository(name), try reference(last, isPush: isPush))
    case "referrers":
      let subject = try isOfAnotherAlgorithm(last) ? nil : digest(last)
      return .referrers(try repository(name), subject)
    case "tags" where last == "list": return .tags(try repository(name))
    default: throw noEndpoint(path)
    }
  }

  private static func repository(_ parts: ArraySlice<String>) throws -> RepositoryName {
    let text = parts.joined(separator: "/")
    guard let name = RepositoryName(text) else {
      throw RegistryError(
        .badRequest, .nameInvalid, "\"\(text.prefix(80))\" is no repository name",
        remedy: "use lower-case letters, digits and . _ - between them, in parts between /, at most "
          + "\(RepositoryName.bytesMaximum) bytes", detail: .string(text))
    }
    return name
  }

  private static func reference(_ text: String, isPush: Bool) throws -> RegistryReference {
    if text.contains(":") { return .digest(try digest(text, absent: isPush ? nil : .manifestUnknown)) }
    guard isPush || TagName(text) != nil else {
      throw RegistryError(
        .notFound, .manifestUnknown, "there is no manifest \"\(text.prefix(80))\", since no tag is spelled so",
        remedy: tagRemedy, detail: .string(text))
    }
    return .tag(try tag(text))
  }

  private static let tagRemedy =
    "use 1 to \(TagName.bytesMaximum) letters, digits, _, . and -, beginning with none of the last two"

  static func tag(_ text: String) throws -> TagName {
    guard let tag = TagName(text) else {
      throw RegistryError(
        .badRequest, .nameInvalid, "\"\(text.prefix(80))\" is no tag", remedy: tagRemedy, detail: .string(text))
    }
    return tag
  }

  // MARK: - Digests

  private static let digestRemedy = "write sha256: and 64 lower-case hexadecimal digits"

  /// - Parameter absent: of content that is looked for: under a digest of another algorithm it is not there. nil for
  ///   content that comes in, which is refused.
  static func digest(_ text: String, absent: RegistryError.Code? = nil) throws -> Digest {
    if let digest = Digest(text) { return digest }
    guard isOfAnotherAlgorithm(text) else {
      throw RegistryError(
        .badRequest, .digestInvalid, "\"\(text.prefix(80))\" is no digest", remedy: digestRemedy, detail: .string(text))
    }
    throw RegistryError(
      absent == nil ? .badRequest : .notFound, absent ?? .digestInvalid,
      "\"\(text.prefix(80))\" is of another algorithm than sha256, which alone is kept here", remedy: digestRemedy,
      detail: .string(text))
  }

  private static let hexadecimalBytes = Set("0123456789abcdef".utf8)
  private static let algorithmBytes = Set("0123456789abcdefghijklmnopqrstuvwxyz".utf8)
  private static let encodedBytes = algorithmBytes.union("ABCDEFGHIJKLMNOPQRSTUVWXYZ=_-".utf8)

  /// A digest by the grammar of the OCI image specification (descriptor.md, "Digests"), and none of SHA-256.
  private static func isOfAnotherAlgorithm(_ text: String) -> Bool {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2, parts[0] != "sha256", !parts[1].isEmpty else { return false }
    let words = parts[0].utf8.split(omittingEmptySubsequences: false) { "+._-".utf8.contains($0) }
    guard words.allSatisfy({ !$0.isEmpty && $0.allSatisfy(algorithmBytes.contains) }) else { return false }
    // Of the algorithms that the specification registers the number of digits is known.
    if parts[0] == "sha512" { return parts[1].utf8.count == 128 && parts[1].utf8.allSatisfy(hexadecimalBytes.contains) }
    return parts[1].utf8.allSatisfy(encodedBytes.contains)
  }

  private static func noEndpoint(_ path: String) -> RegistryError {
    RegistryError(
      .notFound, .unsupported, "there is no \(path.prefix(200)) in a registry",
      remedy: "use the paths of the OCI distribution specification")
  }
}
