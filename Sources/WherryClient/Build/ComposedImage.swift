import WherryJSON
import WherryModel
import WherryOCI

/// An image that was just made: its own blobs are files here, the base's come from where that is.
package final class ComposedImage: RegistrySource {
  /// What is transferred as the image, once it is joined.
  package private(set) var content: RegistryContent?
  private let base: (any RegistrySource)?
  private var manifests: [Digest: RegistryManifest] = [:]
  private var files: [Digest: RegistryFile] = [:]

  package init(base: (any RegistrySource)? = nil) { self.base = base }

  func add(_ digest: Digest, _ file: RegistryFile) { files[digest] = file }

  func add(_ manifest: JSON) throws -> RegistryContent {
    let made = try RegistryManifest(manifest.canonicalBytes, mediaType: nil, what: "the image")
    manifests[made.digest] = made
    return made.content
  }

  /// What another program built for one platform. Its files stay where they are.
  package func take(_ image: RegistryContent, from layout: RegistryLayout) throws -> RegistryContent {
    var manifest = try layout.manifest(image)
    if manifest.isIndex, let only = manifest.manifests.first, manifest.manifests.count == 1 {
      manifest = try layout.manifest(only)
    }
    for blob in manifest.blobs { files[blob.digest] = try layout.file(of: blob) { _ in } }
    manifests[manifest.digest] = manifest
    return manifest.content
  }

  /// Of one platform the image is what was made for it, of several an index of all.
  package func join(_ parts: [(ImagePlatform, RegistryContent)]) throws {
    if parts.count == 1 {
      content = parts[0].1
      return
    }
    let entries: [JSON] = parts.map { platform, manifest in
      var words: JSON = ["os": .string(platform.os), "architecture": .string(platform.architecture)]
      if !platform.variant.isEmpty { words["variant"] = .string(platform.variant) }
      var entry = manifest.descriptor
      entry["platform"] = words
      return entry
    }
    content = try add(["schemaVersion": 2, "mediaType": .string(MediaType.ociIndex), "manifests": .array(entries)])
  }

  // MARK: - As a source

  package var isLocal: Bool { base?.isLocal ?? true }

  package func manifest(_ content: RegistryContent) throws -> RegistryManifest {
    if let manifest = manifests[content.digest] { return manifest }
    guard let base else { throw ClientError.failed("the image has no manifest \(content.digest)") }
    return try base.manifest(content)
  }

  package func file(of blob: RegistryContent, onProgress: (Int64) -> Void) throws -> RegistryFile {
    if let file = files[blob.digest] { return file }
    guard let base else { throw ClientError.failed("the image has no blob \(blob.digest)") }
    return try base.file(of: blob, onProgress: onProgress)
  }

  package func release(_ file: RegistryFile) {
    if !files.values.contains(file) { base?.release(file) }
  }
}
