import WherryDatabase
import WherryModel
import WherryOCI

/// Images of the service's own registry are pinned without a request: their manifests are in the database and their
/// bytes in the store. Devices get the layers as the blobs that they are here.
extension InventoryEngine {
  /// Of whichever registry the reference names.
  func pinned(_ reference: String, platform: Platform) async throws -> PlannedImage {
    guard let own = try ownReference(reference) else {
      return try await environment.images.pin(reference, platform: platform)
    }
    return try pinOwn(own, as: reference, platform: platform)
  }

  /// nil for other registries, and for what is no reference at all: that is refused where it is resolved.
  ///
  /// Never inlined: Swift 6.3.1's optimiser crashes while it splits an async function that has one which throws a typed
  /// error inlined into it.
  @inline(never)
  private func ownReference(_ text: String) throws -> ImageReference? {
    if text.hasPrefix(ImageReference.serviceRegistry) {
      do throws(Failure) { return try ImageReference(parsing: text) } catch { throw Self.refusal(of: error) }
    }
    let endpoints = environment.endpoints
    guard let reference = try? ImageReference(parsing: text, defaultRegistry: endpoints.defaultRegistry),
      let host = RegistryHost(reference.registry)
    else { return nil }
    return endpoints.registryHosts.contains(host.authority) ? reference : nil
  }

  /// - Parameter text: the reference as the recipe writes it, which is what the plan shows.
  @inline(never)
  private func pinOwn(_ reference: ImageReference, as text: String, platform: Platform) throws -> PlannedImage {
    guard let repository = RepositoryName(reference.repository),
      let manifest = try ownManifest(reference, in: repository)
    else {
      throw Refusal(
        422, "image.notFound", "the service's own registry has no image \(text)",
        remedy: "push it with `wherry image push`; `wherry image list` shows what is there")
    }
    do throws(Failure) {
      // Under the digest, so that messages say which one it was that the tag named.
      let resolver = ImageResolver(http: OwnRegistry(store: environment.blobs, manifest: manifest))
      let pinned = "\(ImageReference.serviceRegistry)\(repository)@\(manifest.digest)"
      var image = try resolver.resolve(pinned, platform: platform)
      for layer in image.layers { try requireStored(layer, of: text) }
      image.reference = text
      image.registry = PlannedImage.serviceRegistry
      return image
    } catch { throw Self.refusal(of: error) }
  }

  private func ownManifest(
    _ reference: ImageReference, in repository: RepositoryName
  ) throws -> RegistryManifestRecord? {
    if let digest = reference.digest { return try database.manifest(digest, in: repository) }
    guard let tag = reference.tag.flatMap({ TagName($0) }) else { return nil }
    return try database.manifest(tagged: tag, in: repository)
  }

  /// A device would learn it only when it fetches.
  private func requireStored(_ layer: PlannedLayer, of text: String) throws(Failure) {
    guard environment.blobs.size(of: layer.digest) != layer.size else { return }
    throw OwnRegistry.incomplete("layer \(layer.digest) of \(text)")
  }

  private static func refusal(of failure: Failure) -> Refusal {
    Refusal(422, failure.code, failure.message, remedy: failure.remedy)
  }
}

/// The store, as the resolver asks a registry. Everything that a manifest of a repository refers to is in the
/// repository, too, so a digest says enough.
private struct OwnRegistry: HTTPGetting {
  let store: ContentStore
  /// What is asked for first: only the database knows the type with which it was pushed.
  let manifest: RegistryManifestRecord

  func get(_ url: String, headers: [(String, String)], bodyBytesMaximum: Int) throws(Failure) -> HTTPAnswer {
    guard let digest = url.split(separator: "/").last.flatMap({ Digest(String($0)) }),
      let size = store.size(of: digest), let bytes = try store.bytes(of: digest)
    else { throw Self.incomplete("content at \(url)") }
    guard size <= Int64(bodyBytesMaximum) else {
      throw Failure(
        .verify, code: "image.malformed",
        message: "the content \(digest) of an image has \(size) bytes, which is more "
          + "than the \(bodyBytesMaximum) that it declares or that are read", remedy: "rebuild and push the image")
    }
    let type = digest == manifest.digest ? manifest.mediaType : "application/octet-stream"
    return HTTPAnswer(status: 200, headers: ["content-type": type], body: bytes)
  }

  static func incomplete(_ what: String) -> Failure {
    Failure(
      .internalError, code: "image.incomplete", message: "the \(what) is not in the service's store as it should be",
      remedy: "push the image again; see the disk's health if it was not removed by hand")
  }
}
