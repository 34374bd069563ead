import WherryCrypto
import WherryJSON
import WherryModel

/// Turns an image reference into exactly the content it means now, for one platform: what a plan pins.
package struct ImageResolver {
  private let http: any HTTPGetting
  /// Those that may be spoken to without TLS.
  private let insecureRegistries: Set<RegistryHost>
  private let defaultRegistry: String
  private let access: RegistryAccess

  /// Of one image, as transferred.
  private static let bytesMaximum: Int64 = 64 << 30

  /// - Parameter insecureRegistries: `host[:port]` each; what is no host is in nobody's way.
  package init(
    http: any HTTPGetting, insecureRegistries: Set<String> = [],
    defaultRegistry: String = ImageReference.defaultRegistry, access: RegistryAccess = RegistryAccess()
  ) {
    self.http = http
    self.insecureRegistries = Set(insecureRegistries.compactMap { RegistryHost($0) })
    self.defaultRegistry = defaultRegistry
    self.access = access
  }

  /// A mirror is asked first, for tags, too: which content a tag means is then the mirror's to say. Whatever it cannot
  /// do is asked of the registry itself, which is also the one that the plan names: devices have mirrors of their own.
  package func resolve(_ text: String, platform: Platform) throws(Failure) -> PlannedImage {
    let reference = try ImageReference(parsing: text, defaultRegistry: defaultRegistry)
    let wanted = ImagePlatform.runnable(on: platform)
    let authorization = RegistryAuthorization(http: http, access: access)
    let origin = endpoint(of: reference.registry)
    var complaints: [String] = []
    for mirror in origin.host.flatMap({ access.mirrors[$0] }) ?? [] {
      let session = RegistrySession(
        endpoint: endpoint(of: mirror), repository: mirror.repository(reference.repository), http: http,
        authorization: authorization)
      do throws(Failure) {
        var image = try resolve(reference, text, wanted, session)
        (image.registry, image.repository) = (origin.base, reference.repository)
        return image
      } catch { complaints.append(error.message) }
    }
    let session = RegistrySession(
      endpoint: origin, repository: reference.repository, http: http, authorization: authorization)
    do throws(Failure) { return try resolve(reference, text, wanted, session) } catch {
      var failure = error
      for complaint in complaints { failure.message += "; before that, of its mirror: \(complaint)" }
      throw failure
    }
  }

  private func resolve(
    _ reference: ImageReference, _ text: String, _ wanted: [ImagePlatform], _ session: RegistrySession
  ) throws(Failure) -> PlannedImage {
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

  private func endpoint(of registry: String) -> RegistryEndpoint {
    // What is no host is the service's own registry, which answers without a network.
    guard let host = RegistryHost(registry) else { return RegistryEndpoint(base: "https://\(registry)", host: nil) }
    let scheme = insecureRegistries.contains(host) ? "http://" : "https://"
    return RegistryEndpoint(base: scheme + host.address, host: host)
  }

  private func endpoint(of mirror: RegistryMirror) -> RegistryEndpoint {
    insecureRegistries.contains(mirror.host) ? endpoint(of: mirror.host.authority) : RegistryEndpoint(mirror)
  }

  private func manifest(of reference: ImageReference, wanted: [ImagePlatform], session: RegistrySession)
    throws(Failure) -> (Digest, ImageManifest)
  {
    let (bytes, headerType) = try session.manifest(reference.manifestName, what: "image \(reference)")
    let type = try agreedType(of: bytes, header: headerType, expected: nil, "manifest of \(reference)")
    if MediaType.manifests.contains(type) {
      return (SHA256.digest(of: bytes), try parseManifest(bytes, reference))
    }
    guard MediaType.indexes.contains(type) else {
      throw malformed("manifest of \(reference)", "its type \"\(type.prefix(100))\" is none that is known")
    }
    let index = try parse(bytes, "index of \(reference)") { (cursor) throws(JSONShapeError) in try ImageIndex(cursor) }
    guard let descriptor = index.manifest(for: wanted) else {
      let has = index.platformNames.prefix(20).joined(separator: ", ")
      let others = index.hasIndexes ? "further indexes, which are not looked into" : "none"
      throw noPlatform(reference, wanted, has: has.isEmpty ? others : has)
    }
    guard descriptor.size <= Int64(ImageManifest.bytesMaximum) else {
      throw malformed("index of \(reference)", "it declares a manifest of \(descriptor.size) bytes")
    }
    let what = "manifest \(descriptor.digest) of \(reference)"
    let (manifestBytes, manifestHeader) = try session.manifest(descriptor.digest.description, what: what)
    try session.check(manifestBytes, digest: descriptor.digest, size: descriptor.size, what: what)
    _ = try agreedType(of: manifestBytes, header: manifestHeader, expected: descriptor.mediaType, what)
    return (descriptor.digest, try parseManifest(manifestBytes, reference))
  }

  private func agreedType(
    of bytes: [UInt8], header: String?, expected: String?, _ what: String
  ) throws(Failure) -> String {
    let json = try parse(bytes, what) { (cursor) throws(JSONShapeError) in cursor.json }
    let document = json["mediaType"]?.stringValue
    guard let type = MediaType.agreed(document: document, header: header, expected: expected) else {
      let said = [expected, document, header].compactMap { $0 }.map { "\"\($0.prefix(100))\"" }
      throw malformed(what, "it is said to be of different types: \(said.joined(separator: ", "))")
    }
    return type
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
