import WherryCrypto
import WherryJSON
import WherryModel
import WherryOCI
import WherryWire

/// A reference to content by type, digest and size (OCI image-spec, descriptor.md).
package struct RegistryContent: Hashable, Sendable {
  private static let bytesMaximum: Int64 = 1 << 40

  package var mediaType: String
  package var digest: Digest
  /// Bytes.
  package var size: Int64
  /// `linux/arm64/v8`; empty where nothing is said.
  package var platform: String = ""
  /// What a layout calls it: the tag, mostly.
  package var name: String?

  package init(mediaType: String, digest: Digest, size: Int64) {
    self.mediaType = mediaType
    self.digest = digest
    self.size = size
  }

  init(_ cursor: JSONCursor) throws(JSONShapeError) {
    mediaType = try cursor.require("mediaType").string()
    digest = try cursor.require("digest").digest()
    let bytes = try cursor.require("size")
    size = try bytes.size()
    // Sums of them stay far below what an Int64 holds.
    guard size <= Self.bytesMaximum else { throw bytes.fail("\(size) is more than \(Self.bytesMaximum) bytes") }
    if let platform = try cursor.optional("platform") {
      let words = [
        try platform.optional("os")?.string(), try platform.optional("architecture")?.string(),
        try platform.optional("variant")?.string(),
      ]
      self.platform = words.compactMap(\.self).filter { !$0.isEmpty }.joined(separator: "/")
    }
    name = try cursor.optional("annotations")?.optional("org.opencontainers.image.ref.name")?.string()
  }

  /// A layer that is fetched from its vendor and that a registry need not have ("nondistributable" in OCI's words,
  /// "foreign" in Docker's).
  var isForeign: Bool {
    mediaType.hasPrefix("application/vnd.oci.image.layer.nondistributable.")
      || mediaType.hasPrefix("application/vnd.docker.image.rootfs.foreign.")
  }
}

/// A manifest and what it refers to. Whatever else it holds is left alone: its bytes travel as they are.
package struct RegistryManifest: Hashable, Sendable {
  package static let bytesMaximum = 4 << 20
  private static let referencesMaximum = 10_000

  package let bytes: [UInt8]
  package let mediaType: String
  package let digest: Digest
  /// Configuration and layers, in order, without those that registries do not keep.
  package let blobs: [RegistryContent]
  /// Of an index.
  package let manifests: [RegistryContent]

  package var content: RegistryContent {
    RegistryContent(mediaType: mediaType, digest: digest, size: Int64(bytes.count))
  }

  package var isIndex: Bool { MediaType.indexes.contains(mediaType) }

  /// - Parameters:
  ///   - mediaType: what it was given as; its own word counts where it has one.
  ///   - what: for the refusal.
  package init(_ bytes: [UInt8], mediaType: String?, what: String) throws {
    do {
      let json = try JSON(parsing: bytes, limits: JSONLimits(bytesMaximum: Self.bytesMaximum))
      try self.init(JSONCursor(json), bytes: bytes, mediaType: mediaType)
    } catch {
      throw ClientError.registry("\(what) is no manifest of an image: \(error)", mayHeal: false)
    }
  }

  private init(_ cursor: JSONCursor, bytes: [UInt8], mediaType: String?) throws(JSONShapeError) {
    let given = mediaType.map { String($0.prefix { $0 != ";" }.filter { $0 != " " }) } ?? ""
    let type = try cursor.optional("mediaType")?.string() ?? given
    let isIndex = MediaType.indexes.contains(type)
    guard isIndex || MediaType.manifests.contains(type) else {
      throw cursor.fail("the type \"\(type.prefix(100))\" is not supported")
    }
    // Read as one kind here and as another elsewhere, a document could mean two things.
    let isKnown = MediaType.indexes.contains(given) || MediaType.manifests.contains(given)
    guard type == given || !isKnown else { throw cursor.fail("it says to be \(type), and it came as \(given)") }
    self.bytes = bytes
    self.mediaType = type
    digest = SHA256.digest(of: bytes)
    if isIndex {
      blobs = []
      manifests = try Self.references(cursor, "manifests")
    } else {
      let config = try RegistryContent(cursor.require("config"))
      blobs = [config] + (try Self.references(cursor, "layers").filter { !$0.isForeign })
      manifests = []
    }
  }

  private static func references(_ cursor: JSONCursor, _ key: String) throws(JSONShapeError) -> [RegistryContent] {
    // Go writes an empty list as null.
    guard let list = try cursor.optional(key) else { return [] }
    let entries = try list.array()
    guard entries.count <= referencesMaximum else {
      throw list.fail("has \(entries.count) entries; \(referencesMaximum) is the limit")
    }
    return try list.list { (entry) throws(JSONShapeError) in try RegistryContent(entry) }
  }
}
