import WherryCrypto
import WherryJSON
import WherryModel

/// Turns an image reference into exactly the content it means now, for one platform: what a plan pins.
package struct ImageResolver {
  private let http: any HTTPGetting
  /// `host[:port]` of the registries that may be spoken to without TLS.
  private let insecureRegistries: Set<String>
  private let defaultRegistry: String

  /// Of one image, as transferred.
  private static let bytesMaximum: Int64 = 64 << 30

  package init(
    http: any HTTPGetting, insecureRegistries: Set<String> = [],
    defaultRegistry: String = ImageReference.defaultRegistry
  ) {
    self.http = http
    self.insecureRegistries = insecureRegistries
    self.defaultRegistry = defaultRegistry
  }

  package func resolve(_ text: String, platform: Platform) throws(Failure) -> PlannedImage {
    let reference = try ImageReference(parsing: text, defaultRegistry: defaultRegistry)
    let session = RegistrySession(base: base(of: reference.registry), repository: reference.repository, http: http)
    let wanted = ImagePlatform.runnable(on: platform)
    let (digest, manifest) = try manifest(of: reference, wanted: wanted, session: session)
    let configBytes = try session.blob(
      manifest.config, bytesMaximum: ImageConfig.bytesMaximum, what: "configuration of \(reference)")
    let config = try parse(configBytes, "configuration of \(reference)") { (cursor) throws(JSONShapeError) in
      try ImageConfig(cursor)
    }
    // An index was asked for the platform already; a lone manifest tells it only here.
    guard wanted.contains(where: { $0.os == config.platform.os && $0.architecture == config.platform.architecture })
    else { throw noPlatform(reference, wanted, has: config.platform.description) }
    return try planned(text, reference, session.base, digest, manifest, config)
  }

  private func base(of registry: String) -> String {
    if insecureRegistries.contains(registry) { return "http://\(registry)" }
    return "https://" + (registry == "docker.io" ? "registry-1.docker.io" : registry)
  }

  private func manifest(of reference: ImageReference, wanted: [ImagePlatform], session: RegistrySession)
    throws(Failure) -> (Digest, ImageManifest)
  {
    let (bytes, headerType) = try session.manifest(reference.manifestName, what: "image \(reference)")
    let json = try parse(bytes, "manifest of \(reference)") { (cursor) throws(JSONShapeError) in cursor }
    let type = json.json["mediaType"]?.stringValue ?? headerType ?? ""
    if MediaType.manifests.contains(type) {
      return (SHA256.digest(of: bytes), try parseManifest(bytes, reference))
    }
    guard MediaType.indexes.contains(type) else {
      throw malformed("manifest of \(reference)", "its type \"\(type.prefix(100))\" is none that is known")
    }
    let index = try parse(bytes, "index of \(reference)") { (cursor) throws(JSONShapeError) in try ImageIndex(cursor) }
    guard let descriptor = index.manifest(for: wanted) else {
      let has = Set(index.manifests.compactMap(\.platform?.description)).sorted().prefix(20).joined(separator: ", ")
      throw noPlatform(reference, wanted, has: has.isEmpty ? "none" : has)
    }
    guard descriptor.size <= Int64(ImageManifest.bytesMaximum) else {
      throw malformed("index of \(reference)", "it declares a manifest of \(descriptor.size) bytes")
    }
    let what = "manifest \(descriptor.digest) of \(reference)"
    let (manifestBytes, _) = try session.manifest(descriptor.digest.description, what: what)
    try session.check(manifestBytes, digest: descriptor.digest, size: descriptor.size, what: what)
    return (descriptor.digest, try parseManifest(manifestBytes, reference))
  }

  private func parseManifest(_ bytes: [UInt8], _ reference: ImageReference) throws(Failure) -> ImageManifest {
    try parse(bytes, "manifest of \(reference)") { (cursor) throws(JSONShapeError) in try ImageManifest(cursor) }
  }

  private func planned(
    _ text: String, _ reference: ImageReference, _ base: String, _ digest: Digest, _ manifest: ImageManifest,
    _ config: ImageConfig
  ) throws(Failure) -> PlannedImage {
    guard config.diffIDs.count == manifest.layers.count else {
      throw malformed(
        "configuration of \(reference)",
        "it lists \(config.diffIDs.count) layers where the manifest has \(manifest.layers.count)")
    }
    var layers: [PlannedLayer] = []
    var total: Int64 = 0
    for (layer, diffID) in zip(manifest.layers, config.diffIDs) {
      guard let compression = MediaType.compression(ofLayer: layer.mediaType) else {
        throw malformed("manifest of \(reference)", "layer type \(layer.mediaType.prefix(100)) is not supported")
      }
      total = total.addingReportingOverflow(layer.size).overflow ? .max : total + layer.size
      layers.append(PlannedLayer(digest: layer.digest, size: layer.size, compression: compression, diffID: diffID))
    }
    guard total <= Self.bytesMaximum else {
      throw malformed("manifest of \(reference)", "its layers add up to \(total) bytes")
    }
    var image = PlannedImage(
      reference: text, registry: base, repository: reference.repository, manifest: digest, layers: layers)
    image.entrypoint = config.entrypoint
    image.command = config.command
    image.environment = config.environment
    image.user = config.user
    image.workingDirectory = config.workingDirectory
    image.stopSignal = config.stopSignal
    return image
  }

  private func parse<T>(
    _ bytes: [UInt8], _ what: String, _ body: (JSONCursor) throws(JSONShapeError) -> T
  ) throws(Failure) -> T {
    let json: JSON
    do throws(JSONError) {
      json = try JSON(parsing: bytes, limits: JSONLimits(bytesMaximum: ImageManifest.bytesMaximum, depthMaximum: 32))
    } catch { throw malformed(what, error.description) }
    do throws(JSONShapeError) { return try body(JSONCursor(json)) } catch {
      throw malformed(what, error.description)
    }
  }

  private func malformed(_ what: String, _ reason: String) -> Failure {
    Failure(
      .verify, code: "image.malformed", message: "the \(what) cannot be used: \(reason)",
      remedy: "rebuild and push the image")
  }

  private func noPlatform(_ reference: ImageReference, _ wanted: [ImagePlatform], has: String) -> Failure {
    Failure(
      .rejected, code: "image.platform",
      message: "image \(reference) is not there for \(wanted.first?.description ?? "this platform"), only for \(has)",
      remedy: "build the image for that platform too, or choose another")
  }
}
