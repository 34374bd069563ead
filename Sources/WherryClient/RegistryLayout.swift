import Glibc
import WherryCrypto
import WherryJSON
import WherryModel
import WherryOCI

/// Images in files: an OCI image layout (OCI image-spec, image-layout.md) as a directory or a tar archive, or what
/// `docker save` writes. Nothing is unpacked.
package final class RegistryLayout: RegistrySource {
  /// In the order in which they are listed; `name` is the tag under which an image was put there.
  package private(set) var images: [RegistryContent] = []
  private let path: String
  private let find: (String) -> RegistryFile?
  /// Of archives that have none: made of what they have.
  private var made: [Digest: RegistryManifest] = [:]
  private var places: [Digest: RegistryFile] = [:]

  private static let imagesMaximum = 1_000

  package init(path: String) throws {
    self.path = path
    var status = stat()
    guard stat(path, &status) == 0 else {
      throw ClientError.failed("\(path) cannot be read: \(String(cString: strerror(errno)))")
    }
    if status.st_mode & S_IFMT == S_IFDIR {
      find = { RegistryFile(whole: "\(path)/\($0)") }
    } else {
      let archive = try RegistryTar(path: path)
      find = { archive.files[$0] }
    }
    if find("oci-layout") != nil {
      try readIndex()
    } else if find("manifest.json") != nil {
      try readDockerManifest()
    } else {
      throw ClientError.failed(
        "\(path) is neither an OCI image layout nor an archive of images; make one with `docker save`, `podman save` "
          + "or `skopeo copy … oci:DIRECTORY:TAG`")
    }
    guard !images.isEmpty else { throw ClientError.failed("\(path) holds no image") }
  }

  // MARK: - As a source

  package var isLocal: Bool { true }

  package func manifest(_ content: RegistryContent) throws -> RegistryManifest {
    if let manifest = made[content.digest] { return manifest }
    let place = try self.place(of: content)
    let what = "\(content.digest) of \(path)"
    guard place.size <= Int64(RegistryManifest.bytesMaximum) else {
      throw ClientError.failed("\(what) is no manifest: it has \(place.size) bytes")
    }
    let manifest = try RegistryManifest(
      try RegistryFileReader(place).all(), mediaType: content.mediaType, what: what)
    guard manifest.digest == content.digest else {
      throw ClientError.failed(
        "\(what) has another digest, \(manifest.digest): the file is damaged; save the image anew")
    }
    return manifest
  }

  package func file(of blob: RegistryContent, onProgress: (Int64) -> Void) throws -> RegistryFile {
    try place(of: blob)
  }

  package func release(_ file: RegistryFile) {}

  private func place(of content: RegistryContent) throws -> RegistryFile {
    guard let file = places[content.digest] ?? find("blobs/sha256/\(content.digest.hex)") else {
      throw ClientError.failed("\(path) lacks \(content.digest), which an image in it needs; save the image anew")
    }
    guard file.size == content.size else {
      throw ClientError.failed(
        "\(content.digest) has \(file.size) bytes in \(path) and not the \(content.size) that are said of it; save the "
          + "image anew")
    }
    return file
  }

  // MARK: - What is in it

  private func json(_ name: String) throws -> JSONCursor {
    guard let file = find(name) else { throw ClientError.failed("\(path) has no \(name); save the image anew") }
    guard file.size <= Int64(RegistryManifest.bytesMaximum) else {
      throw ClientError.failed("\(name) of \(path) has \(file.size) bytes, too many for what it should be")
    }
    let limits = JSONLimits(bytesMaximum: RegistryManifest.bytesMaximum)
    do { return JSONCursor(try JSON(parsing: try RegistryFileReader(file).all(), limits: limits)) } catch {
      throw ClientError.failed("\(name) of \(path) cannot be understood: \(error)")
    }
  }

  private func readIndex() throws {
    let index = try json("index.json")
    do {
      for entry in try index.require("manifests").array().prefix(Self.imagesMaximum) {
        images.append(try RegistryContent(entry))
      }
    } catch { throw ClientError.failed("index.json of \(path) cannot be understood: \(error)") }
  }

  /// `[{"Config": …, "RepoTags": ["web:1"], "Layers": ["…/layer.tar", …]}]`: the layers are uncompressed, so their
  /// digests are those that the configuration lists.
  private func readDockerManifest() throws {
    let list = try json("manifest.json")
    do {
      for entry in try list.array().prefix(Self.imagesMaximum) {
        let manifest = try makeManifest(entry)
        made[manifest.digest] = manifest
        let tags = try entry.optional("RepoTags")?.array().map { try $0.string() } ?? []
        for tag in tags.isEmpty ? [nil] : tags.map({ Optional($0) }) {
          var image = manifest.content
          image.name = tag?.split(separator: ":").last.map(String.init)
          images.append(image)
        }
      }
    } catch let error as JSONShapeError {
      throw ClientError.failed("manifest.json of \(path) cannot be understood: \(error)")
    }
  }

  private func makeManifest(_ entry: JSONCursor) throws -> RegistryManifest {
    let configName = try entry.require("Config").string()
    let config = try json(configName)
    guard let configFile = find(configName) else { throw ClientError.failed("\(path) has no \(configName)") }
    let digest = SHA256.digest(of: try RegistryFileReader(configFile).all())
    places[digest] = configFile
    let names = try entry.require("Layers").array()
    let digests = try config.require("rootfs").require("diff_ids").array()
    guard names.count == digests.count else {
      throw entry.fail("has \(names.count) layers, and its configuration lists \(digests.count)")
    }
    var layers: [JSON] = []
    for (name, cursor) in zip(names, digests) {
      let text = try name.string()
      guard let layer = Digest(try cursor.string()) else { throw cursor.fail("is no sha256 digest") }
      guard let file = find(text) else { throw name.fail("names \(text), which is not in the archive") }
      places[layer] = file
      layers.append(RegistryContent(mediaType: MediaType.ociLayer(.none), digest: layer, size: file.size).descriptor)
    }
    let manifest: JSON = [
      "schemaVersion": 2, "mediaType": .string(MediaType.ociManifest), "layers": .array(layers),
      "config": RegistryContent(mediaType: MediaType.ociConfig, digest: digest, size: configFile.size).descriptor,
    ]
    return try RegistryManifest(manifest.canonicalBytes, mediaType: nil, what: "manifest.json of \(path)")
  }
}
