import Glibc
import Hummingbird
import NIOCore
import NIOPosix
import WherryCrypto
import WherryDatabase
import WherryModel
import WherryOCI

extension RegistryRoutes {
  /// "SHOULD support pushing at least 10 tags per request".
  private static let tagsMaximum = 64

  // MARK: - Pull

  func pullManifest(
    _ reference: RegistryReference, in repository: RepositoryName, _ request: Request, as actor: RegistryActor
  ) async throws -> Response {
    try actor.require(.pull, in: repository)
    guard let manifest = try await engine.registryManifest(reference, in: repository) else {
      throw RegistryError.noManifest(reference, in: repository.rawValue)
    }
    var headers: HTTPFields = [
      .contentType: manifest.mediaType, .dockerContentDigest: "\(manifest.digest)", .eTag: "\"\(manifest.digest)\"",
    ]
    if request.method == .head {
      headers[.contentLength] = String(manifest.size)
      return Response(status: .ok, headers: headers)
    }
    let bytes = try await NIOThreadPool.singleton.runIfActive { [store] in
      try store.bytes(of: manifest.digest)
    }
    guard let bytes else {
      note("the bytes of the manifest \(manifest.digest) of \(repository) are not in the store")
      throw RegistryError.noManifest(reference, in: repository.rawValue)
    }
    return Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
  }

  // MARK: - Push

  func pushManifest(
    _ request: Request, as reference: RegistryReference, in repository: RepositoryName, by actor: RegistryActor
  ) async throws -> Response {
    try actor.require(.push, in: repository)
    let tags = try Self.tags(of: request, reference)
    let bytes = try await Self.manifestBytes(of: request)
    let manifest = try RegistryManifest(bytes, contentType: request.headers[.contentType])
    if case .digest(let digest) = reference, digest != manifest.digest {
      throw RegistryError(
        .badRequest, .digestInvalid,
        "the \(bytes.count) bytes received have the digest \(manifest.digest), not \(digest)",
        remedy: "push the manifest under its own digest")
    }
    try await keep(manifest)
    try await engine.putRegistryManifest(manifest, in: repository, tags: tags, by: actor.name)
    var headers: HTTPFields = [
      .location: "/v2/\(repository)/manifests/\(manifest.digest)", .dockerContentDigest: "\(manifest.digest)",
    ]
    if let subject = manifest.subject { headers[.ociSubject] = "\(subject)" }
    if case .digest = reference, !tags.isEmpty {
      headers[.ociTag] = tags.map(\.rawValue).joined(separator: ", ")
    }
    return Response(status: .created, headers: headers)
  }

  /// The tag in the path, or those of the query when the path has the digest.
  private static func tags(of request: Request, _ reference: RegistryReference) throws -> [TagName] {
    switch reference {
    case .tag(let tag): return [tag]
    case .digest:
      let texts = request.uri.queryParameters[values: "tag"]
      guard texts.count <= tagsMaximum else {
        throw RegistryError(
          .uriTooLong, .unsupported, "\(texts.count) tags are more than the \(tagsMaximum) that one request may have",
          remedy: "push the manifest again with the others")
      }
      return try texts.map { try RegistryEndpoint.tag(String($0)) }
    }
  }

  private static func manifestBytes(of request: Request) async throws -> [UInt8] {
    do {
      return Array(try await request.body.collect(upTo: RegistryManifest.bytesMaximum).readableBytesView)
    } catch is NIOTooManyBytesError {
      throw RegistryError(
        .contentTooLarge, .manifestInvalid, "the manifest is larger than 4 MiB",
        remedy: "move what it carries into blobs that it refers to")
    } catch {
      throw RegistryError(
        .badRequest, .manifestInvalid, "the connection ended before the manifest did: \(error)",
        remedy: "push it again")
    }
  }

  /// Into the store, under a name of its own meanwhile: the same manifest may be coming twice.
  private func keep(_ manifest: RegistryManifest) async throws {
    let suffix = randomBytes(8).map { String($0, radix: 16) }.joined()
    try await NIOThreadPool.singleton.runIfActive { [store] in
      let partial = store.partialPath(of: manifest.digest) + ".\(suffix)"
      do {
        try SmallFile.write(manifest.bytes, to: partial, mode: 0o644)
        try store.commit(partial: partial, digest: manifest.digest)
      } catch {
        unlink(partial)
        throw error
      }
    }
  }

  // MARK: - Delete

  /// A tag goes alone; a manifest takes its tags with it.
  func deleteManifest(
    _ reference: RegistryReference, in repository: RepositoryName, by actor: RegistryActor
  ) async throws -> Response {
    try actor.require(.delete, in: repository)
    switch reference {
    case .tag(let tag): try await engine.deleteRegistryTag(tag, in: repository, by: actor.name)
    case .digest(let digest): try await engine.deleteRegistryManifest(digest, in: repository, by: actor.name)
    }
    return Response(status: .accepted)
  }
}
