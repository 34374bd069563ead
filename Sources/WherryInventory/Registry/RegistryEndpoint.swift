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
  /// `/v2/<name>/referrers/<digest>`
  case referrers(RepositoryName, Digest)

  /// The longest: a repository's name, `/manifests/` and a tag, with some to spare.
  static let pathBytesMaximum = 512

  /// Names hold `/` themselves, so a path is read from its end. Nothing in it needs percent-encoding, and nothing is
  /// decoded: a path has one spelling.
  init(path: String) throws {
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
    default: self = try Self.inRepository(parts, path: path)
    }
  }

  private static func inRepository(_ parts: [String], path: String) throws -> RegistryEndpoint {
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
    case "blobs": return .blob(try repository(name), try digest(last))
    case "manifests": return .manifest(try repository(name), try reference(last))
    case "referrers": return .referrers(try repository(name), try digest(last))
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

  private static func reference(_ text: String) throws -> RegistryReference {
    if text.contains(":") { return .digest(try digest(text)) }
    return .tag(try tag(text))
  }

  static func tag(_ text: String) throws -> TagName {
    guard let tag = TagName(text) else {
      throw RegistryError(
        .badRequest, .nameInvalid, "\"\(text.prefix(80))\" is no tag",
        remedy: "use 1 to \(TagName.bytesMaximum) letters, digits, _, . and -, beginning with none of the last two",
        detail: .string(text))
    }
    return tag
  }

  static func digest(_ text: String) throws -> Digest {
    guard let digest = Digest(text) else {
      let isOther = text.contains(":") && !text.hasPrefix("sha256:")
      throw RegistryError(
        .badRequest, .digestInvalid,
        isOther
          ? "\"\(text.prefix(80))\" is of another algorithm than sha256, which alone is kept here"
          : "\"\(text.prefix(80))\" is no digest",
        remedy: "write sha256: and 64 lower-case hexadecimal digits", detail: .string(text))
    }
    return digest
  }

  private static func noEndpoint(_ path: String) -> RegistryError {
    RegistryError(
      .notFound, .unsupported, "there is no \(path.prefix(200)) in a registry",
      remedy: "use the paths of the OCI distribution specification")
  }
}
