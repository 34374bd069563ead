import WherryCrypto
import WherryJSON
import WherryModel
import WherryOCI
import WherryRecipe

/// Puts images together as `image.yaml` says, without running anything: layers are packed, the base's are taken over as
/// they are. The same definition, files and base give the same digest.
package struct ImageComposer {
  package struct Base {
    package var source: any RegistrySource
    package var image: RegistryContent
    /// For sentences and annotations.
    package var name: String

    package init(source: any RegistrySource, image: RegistryContent, name: String) {
      self.source = source
      self.image = image
      self.name = name
    }
  }

  private let definition: ImageDefinition
  private let directory: String
  private let base: Base?
  private let workDirectory: String

  /// - Parameters:
  ///   - directory: of the definition.
  ///   - workDirectory: layers are put there; it must outlive the image that is composed.
  package init(_ definition: ImageDefinition, directory: String, base: Base?, workDirectory: String) {
    self.definition = definition
    self.directory = directory
    self.base = base
    self.workDirectory = workDirectory
  }

  /// Of one platform an image, of several an index of them.
  package func compose(_ platforms: [ImagePlatform]) throws -> ComposedImage {
    let image = ComposedImage(base: base?.source)
    // Most layers are the same on all platforms.
    var packed: [[LayerEntry]: WrittenLayer] = [:]
    try image.join(platforms.map { ($0, try compose($0, into: image, &packed)) })
    return image
  }

  private func compose(
    _ platform: ImagePlatform, into image: ComposedImage, _ packed: inout [[LayerEntry]: WrittenLayer]
  ) throws -> RegistryContent {
    let base = try base.map { try ImageBase($0.image, of: $0.source, for: platform, name: $0.name) }
    let content = ImageContent(
      directory: directory, hasBase: base != nil, architecture: platform.architecture)
    let written = try content.layers(of: definition.entries).map { entries in
      if let layer = packed[entries] { return layer }
      let layer = try pack(entries, to: "\(workDirectory)/\(packed.count).tar.gz", into: image)
      packed[entries] = layer
      return layer
    }
    let config = try write(
      ImageSettings(definition).config(on: base?.config, platform: platform, diffIDs: written.map(\.diffID)),
      into: image)
    let layers =
      (base?.layers ?? [])
      + written.map { RegistryContent(mediaType: WrittenLayer.mediaType, digest: $0.digest, size: $0.size) }
    var manifest: JSON = [
      "schemaVersion": 2, "mediaType": .string(MediaType.ociManifest), "config": config.descriptor,
      "layers": .array(layers.map(\.descriptor)),
    ]
    // Where a layout lay on this machine is nobody's business.
    if let base, let origin = self.base, !origin.source.isLocal {
      manifest["annotations"] = [
        "org.opencontainers.image.base.name": .string(origin.name),
        "org.opencontainers.image.base.digest": .string("\(base.manifest.digest)"),
      ]
    }
    return try image.add(manifest)
  }

  private func pack(_ entries: [LayerEntry], to path: String, into image: ComposedImage) throws -> WrittenLayer {
    do throws(Failure) {
      let layer = try LayerWriter.write(entries, to: path)
      image.add(layer.digest, RegistryFile(path: path, size: layer.size))
      return layer
    } catch { throw ClientError.failed("\(error)") }
  }

  private func write(_ config: JSON, into image: ComposedImage) throws -> RegistryContent {
    let bytes = config.canonicalBytes
    let content = RegistryContent(
      mediaType: MediaType.ociConfig, digest: SHA256.digest(of: bytes), size: Int64(bytes.count))
    let path = "\(workDirectory)/\(content.digest.hex).json"
    let file = try NewFile(path)
    try file.write(bytes)
    image.add(content.digest, RegistryFile(path: path, size: content.size))
    return content
  }
}

extension RegistryContent {
  var descriptor: JSON {
    ["mediaType": .string(mediaType), "digest": .string("\(digest)"), "size": .integer(size)]
  }
}
