import Glibc
import Hummingbird
import NIOPosix
import WherryCrypto
import WherryDatabase
import WherryModel

/// A blob on its way in: a file of the store's incoming directory, its digest so far and how far it has come. It lives
/// as long as the service: what a restart leaves behind is removed at the next start.
actor RegistryUpload {
  nonisolated let id: String
  nonisolated let repository: RepositoryName
  nonisolated let path: String
  /// Bytes that are written and in the digest; what the file holds behind them does not count.
  private(set) var size: Int64 = 0
  private var hash = SHA256()
  /// Open while a request writes: there is one at a time.
  private var descriptor: Int32?
  private var isFileMade = false

  init(id: String, repository: RepositoryName, directory: String) {
    self.id = id
    self.repository = repository
    path = "\(directory)/upload-\(id)"
  }

  nonisolated var location: String { "/v2/\(repository)/blobs/uploads/\(id)" }

  /// Of every answer about the upload. An empty one has the range 0-0, as clients know it from Docker's registry.
  var headers: HTTPFields {
    [.location: location, .range: "0-\(max(0, size - 1))", .dockerUploadUUID: id]
  }

  // MARK: - One request

  /// Takes the upload for one request; `end` gives it back.
  /// - Parameter first: the offset that the request's bytes claim; nil = wherever the upload stands.
  func begin(at first: Int64?) throws {
    guard descriptor == nil else {
      throw RegistryError(
        .conflict, .blobUploadInvalid, "another request is writing to the upload \(id)",
        remedy: "wait for it, or begin another upload", headers: headers)
    }
    guard first == nil || first == size else {
      throw RegistryError(
        .rangeNotSatisfiable, .blobUploadInvalid,
        "the upload \(id) has \(size) bytes and the chunk begins at \(first ?? 0)",
        remedy: "send the chunk that begins at \(size)", headers: headers)
    }
    // A file that is gone is not made again: it would lack the bytes that the digest has seen.
    let opened = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | (isFileMade ? 0 : O_CREAT | O_EXCL), 0o644)
    guard opened >= 0 else {
      if errno == ENOENT, isFileMade { throw RegistryError.noUpload(id) }
      throw Self.failure("opened", path)
    }
    descriptor = opened
    isFileMade = true
  }

  /// What was received stays, also after an error: the client asks how far it came and goes on from there.
  func end() {
    if let descriptor { close(descriptor) }
    descriptor = nil
  }

  func append(_ buffer: ByteBuffer) async throws {
    guard let descriptor else { preconditionFailure("bytes for the upload \(id) before its request began") }
    let count = Int64(buffer.readableBytes)
    guard size + count <= BlobRoutes.blobMaximum else {
      throw RegistryError(.contentTooLarge, .sizeInvalid, "the blob is larger than 16 GiB", remedy: "split it")
    }
    try await NIOThreadPool.singleton.runIfActive { [size, path] in
      try Self.write(buffer, to: descriptor, at: size, path: path)
    }
    buffer.withUnsafeReadableBytes { hash.update($0) }
    size += count
  }

  /// Ends the upload: the file holds exactly what the digest is of.
  func seal() async throws -> Digest {
    guard let descriptor else { preconditionFailure("the upload \(id) was sealed before its request began") }
    try await NIOThreadPool.singleton.runIfActive { [size, path] in
      guard ftruncate(descriptor, off_t(size)) == 0 else { throw Self.failure("cut", path) }
    }
    return hash.finish()
  }

  // MARK: - Files

  /// At its place, so that a write that failed half way is written over by the next.
  private static func write(_ buffer: ByteBuffer, to descriptor: Int32, at start: Int64, path: String) throws {
    try buffer.withUnsafeReadableBytes { bytes in
      var done = 0
      while done < bytes.count {
        let count = pwrite(
          descriptor, bytes.baseAddress?.advanced(by: done), bytes.count - done, off_t(start) + off_t(done))
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { throw failure("written", path) }
        done += count
      }
    }
  }

  private static func failure(_ verb: String, _ path: String) -> RegistryError {
    let number = errno
    if number == ENOSPC || number == EDQUOT {
      return RegistryError(
        RegistryError.insufficientStorage, .unknown, "no space is left on the disk for \(path)",
        remedy: "free some space on the service's machine; the upload goes on from where it stands")
    }
    return RegistryError(
      .internalServerError, .unknown, "\(path) cannot be \(verb): \(String(cString: strerror(number)))",
      remedy: "check the data directory's owner and mode and the disk's health")
  }
}
