import Hummingbird
import NIOPosix
import WherryDatabase
import WherryModel
import WherryOCI

extension RegistryRoutes {
  // MARK: - Pull and delete

  func pullBlob(
    _ digest: Digest, in repository: RepositoryName, _ request: Request, as actor: RegistryActor,
    context: some RequestContext
  ) async throws -> Response {
    try actor.require(.pull, in: repository)
    // A client that asks whether a blob is there will not send it, and counts on it until its manifest is pushed.
    let isPushing = request.method == .head && actor.may(.push, in: repository)
    guard try await engine.hasRegistryBlob(digest, in: repository, isReserving: isPushing) else {
      throw RegistryError.noBlob(digest, in: repository.rawValue)
    }
    var response = try await blobs.serve(request, digest: "\(digest)", context: context)
    response.headers[.dockerContentDigest] = "\(digest)"
    // Not for caches between: another user may have no right to this repository.
    response.headers[.cacheControl] = "private, max-age=31536000, immutable"
    return response
  }

  func deleteBlob(_ digest: Digest, in repository: RepositoryName, by actor: RegistryActor) async throws -> Response {
    try actor.require(.delete, in: repository)
    try await engine.deleteRegistryBlob(digest, in: repository, by: actor.name)
    return Response(status: .accepted)
  }

  // MARK: - Begin

  /// `POST …/blobs/uploads/`: the whole blob with `digest=`, a blob of another repository with `mount=`, or the
  /// beginning of an upload.
  func beginUpload(
    _ request: Request, in repository: RepositoryName, as actor: RegistryActor
  ) async throws -> Response {
    try actor.require(.push, in: repository)
    if let algorithm = request.query("digest-algorithm"), algorithm != "sha256" {
      throw RegistryError(
        .badRequest, .digestInvalid, "digests of the algorithm \"\(algorithm.prefix(40))\" are not kept here",
        remedy: "use sha256")
    }
    if let text = request.query("mount") {
      let digest = try RegistryEndpoint.digest(text)
      if try await mount(digest, from: request.query("from"), to: repository, as: actor) {
        return Self.created(digest, in: repository)
      }
    }
    let whole = try request.query("digest").map { try RegistryEndpoint.digest($0) }
    let upload = try uploads.make(in: repository, by: actor.name, at: now)
    guard let whole else { return Response(status: .accepted, headers: await upload.headers) }
    do {
      return try await finish(upload, request, as: whole, at: nil)
    } catch {
      // Nobody knows its location, so nobody could go on with it.
      uploads.remove(upload)
      throw error
    }
  }

  /// False where it cannot be mounted: the client then sends the blob.
  private func mount(
    _ digest: Digest, from source: String?, to repository: RepositoryName, as actor: RegistryActor
  ) async throws -> Bool {
    guard let source else {
      // From wherever it is: whoever may pull everywhere could fetch it and push it again.
      guard actor.may(.pull, in: nil) else { return false }
      return try await engine.mountRegistryBlob(digest, from: nil, to: repository)
    }
    guard let other = RepositoryName(source), actor.may(.pull, in: other) else { return false }
    return try await engine.mountRegistryBlob(digest, from: other, to: repository)
  }

  // MARK: - Receive

  /// `PATCH`: a chunk with `Content-Range`, or a stream of any length without.
  func receiveChunk(_ request: Request, into upload: RegistryUpload) async throws -> Response {
    let range = try ChunkRange(request)
    try await upload.begin(at: range?.first)
    do {
      try await receive(request, into: upload, range: range)
    } catch {
      await upload.end()
      throw error
    }
    await upload.end()
    return Response(status: .accepted, headers: await upload.headers)
  }

  private func receive(_ request: Request, into upload: RegistryUpload, range: ChunkRange?) async throws {
    let before = await upload.size
    do {
      for try await buffer in request.body {
        try await upload.append(buffer)
        uploads.touch(upload, at: now)
      }
    } catch let error as RegistryError {
      throw error
    } catch {
      // The client hung up: no fault of the service, whose log would otherwise fill with it.
      throw RegistryError(
        .badRequest, .blobUploadInvalid, "the connection ended before the request did: \(error)",
        remedy: "ask the upload how far it came and go on from there", headers: await upload.headers)
    }
    let received = await upload.size - before
    let declared = range?.count ?? request.headers[.contentLength].flatMap { Int64($0) }
    guard declared == nil || declared == received else {
      throw RegistryError(
        .badRequest, .sizeInvalid, "\(received) bytes came instead of \(declared ?? 0)",
        remedy: "ask the upload how far it came and go on from there", headers: await upload.headers)
    }
  }

  // MARK: - Finish

  /// `PUT …?digest=`, with or without the last bytes.
  func finish(_ upload: RegistryUpload, _ request: Request, by actor: RegistryActor) async throws -> Response {
    guard let text = request.query("digest") else {
      throw RegistryError(
        .badRequest, .digestInvalid, "the upload's end has no digest", remedy: "add ?digest=sha256:… to the location")
    }
    let range = try ChunkRange(request)
    let digest: Digest
    do {
      digest = try RegistryEndpoint.digest(text)
    } catch {
      // The client knows its blob under no other digest; left alone, its uploads would fill what its token may have.
      uploads.remove(upload)
      throw error
    }
    return try await finish(upload, request, as: digest, at: range)
  }

  private func finish(
    _ upload: RegistryUpload, _ request: Request, as digest: Digest, at range: ChunkRange?
  ) async throws -> Response {
    try await upload.begin(at: range?.first)
    let actual: Digest
    do {
      try await receive(request, into: upload, range: range)
      actual = try await upload.seal()
    } catch {
      await upload.end()
      throw error
    }
    await upload.end()
    // Whatever comes now, the upload is at its end.
    defer { uploads.remove(upload) }
    guard actual == digest else {
      throw RegistryError(
        .badRequest, .digestInvalid, "the \(await upload.size) bytes received have the digest \(actual), not \(digest)",
        remedy: "send the blob again under its own digest; nothing was stored")
    }
    try await NIOThreadPool.singleton.runIfActive { [store, path = upload.path] in
      try store.commit(partial: path, digest: digest)
    }
    try await engine.linkRegistryBlob(digest, to: upload.repository)
    return Self.created(digest, in: upload.repository)
  }

  private static func created(_ digest: Digest, in repository: RepositoryName) -> Response {
    Response(
      status: .created,
      headers: [.location: "/v2/\(repository)/blobs/\(digest)", .dockerContentDigest: "\(digest)"])
  }
}

/// The bytes of a blob that a chunk carries, from `Content-Range: FIRST-LAST`, both inclusive.
struct ChunkRange: Hashable, Sendable {
  let first: Int64
  let count: Int64

  /// nil without the header.
  init?(_ request: Request) throws {
    guard let text = request.headers[.contentRange] else { return nil }
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    let numbers = parts.compactMap { part in
      part.utf8.allSatisfy { (48...57).contains($0) } ? Int64(part) : nil
    }
    guard parts.count == 2, numbers.count == 2, numbers[0] <= numbers[1], numbers[1] < Int64.max else {
      throw RegistryError(
        .badRequest, .blobUploadInvalid, "\"\(text.prefix(80))\" is no range of a chunk",
        remedy: "write Content-Range: FIRST-LAST, two offsets in bytes, both included")
    }
    first = numbers[0]
    count = numbers[1] - numbers[0] + 1
    if let length = request.headers[.contentLength], Int64(length) != count {
      throw RegistryError(
        .badRequest, .sizeInvalid, "the range \(text.prefix(80)) has \(count) bytes and Content-Length says \(length)",
        remedy: "send the chunk with its own length")
    }
  }
}
