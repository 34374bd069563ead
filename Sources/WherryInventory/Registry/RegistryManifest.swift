import HTTPTypes
import WherryCrypto
import WherryDatabase
import WherryJSON
import WherryModel
import WherryOCI

/// A manifest as it was pushed: its bytes, which are kept exactly, and what the registry must know of them
/// (OCI image-spec, manifest.md and image-index.md; Docker image manifest version 2, schema 2).
struct RegistryManifest: Sendable {
  static let bytesMaximum = 4 << 20
  /// An image has at most some hundred layers and an artifact some files; each is looked up in the database.
  static let referencesMaximum = 4_096

  /// A blob or another manifest that must be in the repository before this one.
  struct Reference: Hashable, Sendable {
    var digest: Digest
    var size: Int64
  }

  let digest: Digest
  let mediaType: String
  let bytes: [UInt8]
  let references: Set<Reference>
  let subject: Digest?
  /// Of an image manifest its configuration's type where it has none of its own.
  let artifactType: String?
  /// An object of strings.
  let annotations: JSON

  var record: RegistryManifestRecord {
    RegistryManifestRecord(
      digest: digest, mediaType: mediaType, size: Int64(bytes.count), subject: subject, artifactType: artifactType)
  }

  /// Never inlined: Swift 6.3.1's optimiser crashes while it splits an async handler that has a function which throws
  /// a typed error, as the JSON reader's do, inlined into it.
  /// - Parameter contentType: the header with which it came. Its parameters do not count.
  @inline(never)
  init(_ bytes: [UInt8], contentType: String?) throws {
    do {
      let limits = JSONLimits(bytesMaximum: Self.bytesMaximum)
      try self.init(JSONCursor(try JSON(parsing: bytes, limits: limits)), bytes: bytes, contentType: contentType)
    } catch let error as JSONError {
      throw Self.invalid("the manifest is no JSON: \(error)", remedy: "push it as strict JSON without repeated keys")
    } catch let error as JSONShapeError {
      throw Self.invalid(
        "the manifest is none of the OCI image specification: \(error)", remedy: "mend it and push it again")
    }
  }

  private init(_ cursor: JSONCursor, bytes: [UInt8], contentType: String?) throws {
    let mediaType = try Self.mediaType(cursor, contentType: contentType)
    let version = try cursor.require("schemaVersion")
    guard try version.integer() == 2 else { throw version.fail("only schema version 2 is supported") }
    var type = try cursor.optional("artifactType")?.string() ?? ""
    var references: Set<Reference> = []
    if MediaType.manifests.contains(mediaType) {
      let config = try RegistryDescriptor(cursor.require("config"))
      if type.isEmpty { type = config.mediaType }
      references = try Self.references(cursor, "layers")
      references.insert(config.reference)
    } else {
      references = try Self.references(cursor, "manifests")
    }
    self.mediaType = mediaType
    self.bytes = bytes
    self.references = references
    digest = SHA256.digest(of: bytes)
    subject = try cursor.optional("subject").map { try RegistryDescriptor($0).digest }
    artifactType = type.isEmpty ? nil : type
    annotations = try Self.annotations(cursor)
  }

  /// What the header says and what the manifest says of itself must be the same; one of them is enough.
  private static func mediaType(_ cursor: JSONCursor, contentType: String?) throws -> String {
    let header = contentType.map { text in
      String(text.prefix { $0 != ";" }).split(separator: " ").joined().lowercased()
    }
    let own = try cursor.optional("mediaType")?.string()
    guard let type = header ?? own else {
      throw invalid("the manifest has no media type", remedy: "send it with the header Content-Type")
    }
    guard own == nil || own == type else {
      throw invalid(
        "the manifest came as \(type.prefix(100)) and says that it is \(own?.prefix(100) ?? "")",
        remedy: "send it with its own mediaType as Content-Type")
    }
    guard MediaType.manifests.contains(type) || MediaType.indexes.contains(type) else {
      throw invalid(
        "manifests of the type \(type.prefix(100)) are not supported, since what they refer to is not known",
        remedy: "push an OCI image manifest or index, or Docker's of schema version 2; other content goes into an OCI "
          + "image manifest with an artifactType")
    }
    return type
  }

  private static func references(_ cursor: JSONCursor, _ key: String) throws -> Set<Reference> {
    // Go writes an empty list as null.
    guard let list = try cursor.optional(key) else { return [] }
    let entries = try list.array()
    guard entries.count <= referencesMaximum else {
      throw list.fail("has \(entries.count) entries; \(referencesMaximum) is the limit")
    }
    var references: Set<Reference> = []
    for entry in entries {
      let descriptor = try RegistryDescriptor(entry)
      if !descriptor.isForeign { references.insert(descriptor.reference) }
    }
    return references
  }

  private static func annotations(_ cursor: JSONCursor) throws -> JSON {
    var annotations: [String: JSON] = [:]
    for (key, value) in try cursor.optional("annotations")?.object() ?? [:] {
      annotations[key] = .string(try value.string())
    }
    return .object(annotations)
  }

  private static func invalid(_ message: String, remedy: String) -> RegistryError {
    RegistryError(.badRequest, .manifestInvalid, message, remedy: remedy)
  }
}

/// A reference to content by type, digest and size (OCI image-spec, descriptor.md).
struct RegistryDescriptor: Hashable, Sendable {
  let mediaType: String
  let digest: Digest
  let size: Int64

  var reference: RegistryManifest.Reference { RegistryManifest.Reference(digest: digest, size: size) }

  /// A layer that is fetched from its vendor and that a registry need not have ("nondistributable" in OCI's words,
  /// "foreign" in Docker's).
  var isForeign: Bool {
    mediaType.hasPrefix("application/vnd.oci.image.layer.nondistributable.")
      || mediaType.hasPrefix("application/vnd.docker.image.rootfs.foreign.")
  }

  init(_ cursor: JSONCursor) throws {
    mediaType = try cursor.require("mediaType").string()
    let digestCursor = try cursor.require("digest")
    guard let digest = Digest(try digestCursor.string()) else {
      throw digestCursor.fail("expected sha256: and 64 lower-case hexadecimal digits")
    }
    self.digest = digest
    let sizeCursor = try cursor.require("size")
    size = try sizeCursor.integer()
    guard size >= 0 else { throw sizeCursor.fail("a size cannot be negative") }
  }
}
