import WherryJSON
import WherryOCI

/// The image that another one is built on, for one platform.
struct ImageBase {
  private static let configBytesMaximum = 4 << 20

  let manifest: RegistryManifest
  /// As the new manifest lists them: Docker's names are OCI's there.
  let layers: [RegistryContent]
  let config: JSON

  init(_ image: RegistryContent, of source: any RegistrySource, for platform: ImagePlatform, name: String) throws {
    var manifest = try source.manifest(image)
    if manifest.isIndex {
      let wanted = Self.acceptable(platform)
      guard
        let entry = wanted.lazy.compactMap({ wish in manifest.manifests.first { $0.platform == "\(wish)" } }).first
      else {
        let there = manifest.manifests.map(\.platform).filter { !$0.isEmpty && !$0.hasPrefix("unknown") }
        throw ClientError.failed(
          "the base \(name) is not there for \(platform), but for \(there.joined(separator: ", ")); mend Platforms")
      }
      manifest = try source.manifest(entry)
    }
    guard let blob = manifest.blobs.first, !manifest.isIndex, blob.size <= Int64(Self.configBytesMaximum) else {
      throw ClientError.failed("the base \(name) is no image that can be built on; name another Base")
    }
    let file = try source.file(of: blob) { _ in }
    defer { source.release(file) }
    let limits = JSONLimits(bytesMaximum: Self.configBytesMaximum)
    guard let config = try? JSON(parsing: try RegistryFileReader(file).all(), limits: limits),
      config.objectValue != nil, let diffIDs = config["rootfs"]?["diff_ids"]?.arrayValue
    else { throw ClientError.failed("the configuration of the base \(name) cannot be read; name another Base") }
    layers = try manifest.blobs.dropFirst().map { try Self.asOCI($0, name: name) }
    guard layers.count == diffIDs.count else {
      throw ClientError.failed(
        "the base \(name) has \(layers.count) layers here and \(diffIDs.count) in its configuration; layers that come "
          + "from elsewhere cannot be built on")
    }
    let own = ImagePlatform(
      os: config["os"]?.stringValue ?? "", architecture: config["architecture"]?.stringValue ?? "",
      variant: config["variant"]?.stringValue ?? "")
    guard own.os == platform.os, own.architecture == platform.architecture else {
      throw ClientError.failed("the base \(name) is for \(own) and not for \(platform); mend Platforms or Base")
    }
    self.manifest = manifest
    self.config = config
  }

  /// The best first.
  private static func acceptable(_ platform: ImagePlatform) -> [ImagePlatform] {
    let plain = ImagePlatform(os: platform.os, architecture: platform.architecture)
    guard platform.variant.isEmpty else { return [platform, plain] }
    let usual = ["arm64": ["v8"], "amd64": ["v1"], "arm": ["v7", "v6", "v5"]][platform.architecture] ?? []
    return [plain] + usual.map { ImagePlatform(os: platform.os, architecture: platform.architecture, variant: $0) }
  }

  private static func asOCI(_ layer: RegistryContent, name: String) throws -> RegistryContent {
    guard let compression = MediaType.compression(ofLayer: layer.mediaType) else {
      throw ClientError.failed("the base \(name) has a layer of the type \(layer.mediaType), which is not known here")
    }
    return RegistryContent(mediaType: MediaType.ociLayer(compression), digest: layer.digest, size: layer.size)
  }
}
