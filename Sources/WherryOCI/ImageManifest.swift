import WherryJSON
import WherryModel

/// An image for one platform: its configuration and its layers, bottom first (OCI image-spec, manifest.md; Docker
/// image manifest version 2, schema 2).
package struct ImageManifest: Hashable, Sendable {
  package let config: Descriptor
  package let layers: [Descriptor]

  static let bytesMaximum = 4 << 20
  /// Overlayfs itself takes no more than 500; no image made by people has more than 127.
  static let layersMaximum = 127

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    let version = try cursor.require("schemaVersion")
    guard try version.integer() == 2 else { throw version.fail("only schema version 2 is supported") }
    // Who takes it for an index would run something else than who takes it for a manifest.
    if cursor.json["manifests"] != nil { throw cursor.fail("has \"manifests\", as only an index has") }
    config = try Descriptor(cursor.require("config"))
    let list = try cursor.require("layers")
    let entries = try list.array()
    guard entries.count <= Self.layersMaximum else {
      throw list.fail("has \(entries.count) layers; \(Self.layersMaximum) is the limit")
    }
    var layers: [Descriptor] = []
    for entry in entries {
      let layer = try Descriptor(entry)
      guard MediaType.compression(ofLayer: layer.mediaType) != nil, !layer.hasForeignURLs else {
        throw entry.fail(
          "is of type \(layer.mediaType.prefix(100))\(layer.hasForeignURLs ? " and fetched from elsewhere" : ""), "
            + "which is not a layer that can be unpacked")
      }
      layers.append(layer)
    }
    self.layers = layers
  }
}

/// The same image for several platforms (OCI image-spec, image-index.md; Docker manifest list).
package struct ImageIndex: Hashable, Sendable {
  package let manifests: [Descriptor]
  static let manifestsMaximum = 1_000

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    let version = try cursor.require("schemaVersion")
    guard try version.integer() == 2 else { throw version.fail("only schema version 2 is supported") }
    for member in ["config", "layers"] where cursor.json[member] != nil {
      throw cursor.fail("has \"\(member)\", as only a manifest has")
    }
    let list = try cursor.require("manifests")
    let entries = try list.array()
    guard entries.count <= Self.manifestsMaximum else {
      throw list.fail("has \(entries.count) manifests; \(Self.manifestsMaximum) is the limit")
    }
    var manifests: [Descriptor] = []
    for entry in entries { manifests.append(try Descriptor(entry)) }
    self.manifests = manifests
  }

  /// The manifest for the first of `platforms` that the index has. Nested indexes are not looked into: no known tool
  /// makes them for platforms, and they could go on for ever.
  package func manifest(for platforms: [ImagePlatform]) -> Descriptor? {
    for platform in platforms {
      if let found = manifests.first(where: { $0.platform == platform && MediaType.manifests.contains($0.mediaType) }) {
        return found
      }
    }
    return nil
  }

  /// The platforms that it has images for, in words; attestations and the like are none.
  var platformNames: [String] {
    let images = manifests.filter { MediaType.manifests.contains($0.mediaType) && $0.platform?.isUnknown != true }
    return Set(images.compactMap(\.platform?.description)).sorted()
  }

  var hasIndexes: Bool { manifests.contains { MediaType.indexes.contains($0.mediaType) } }
}

/// What an image says about running it (OCI image-spec, config.md).
package struct ImageConfig: Hashable, Sendable {
  package let platform: ImagePlatform
  package let diffIDs: [Digest]
  package let entrypoint: [String]
  package let command: [String]
  package let environment: [String]
  package let user: String
  package let workingDirectory: String
  package let stopSignal: String

  static let bytesMaximum = 4 << 20

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    platform = try ImagePlatform(cursor)
    var diffIDs: [Digest] = []
    for entry in try cursor.require("rootfs").require("diff_ids").array() {
      guard let digest = Digest(try entry.string()) else { throw entry.fail("expected a sha256 digest") }
      diffIDs.append(digest)
    }
    self.diffIDs = diffIDs
    let config = try cursor.optional("config")
    entrypoint = try Self.strings(config, "Entrypoint")
    command = try Self.strings(config, "Cmd")
    environment = try Self.strings(config, "Env")
    user = try config?.optional("User")?.string() ?? ""
    workingDirectory = try config?.optional("WorkingDir")?.string() ?? ""
    stopSignal = try config?.optional("StopSignal")?.string() ?? ""
  }

  private static func strings(_ config: JSONCursor?, _ key: String) throws(JSONShapeError) -> [String] {
    var strings: [String] = []
    for entry in try config?.optional(key)?.array() ?? [] { strings.append(try entry.string()) }
    return strings
  }
}
