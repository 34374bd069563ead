import Glibc
import Hummingbird
import NIOPosix
import WherryCrypto
import WherryModel
import WherryOCI

/// Blobs by digest: uploads are verified while they stream, downloads honour `Range` so that they can be resumed and
/// cached.
struct BlobRoutes: Sendable {
  /// 16 GiB: larger than any image layer; a limit nonetheless.
  static let blobMaximum: Int64 = 16 << 30

  let store: ContentStore
  /// Plans are kept in the database and travel as blobs.
  let plan: @Sendable (Digest) async throws -> String?

  private func digest(_ text: String) throws(Refusal) -> Digest {
    guard let digest = Digest(text) else {
      throw .badRequest(
        "\"\(text.prefix(80))\" is no digest", remedy: "write sha256: and 64 lower-case hexadecimal digits")
    }
    return digest
  }

  // MARK: - Upload

  func store(_ request: Request, digest text: String) async throws -> Response {
    let digest = try digest(text)
    if store.contains(digest) {
      // The body is not read: the connection closes after this answer if there is one.
      return Response(status: .ok)
    }
    let suffix = randomBytes(8).map { String($0, radix: 16) }.joined()
    let partial = store.partialPath(of: digest) + ".\(suffix)"
    let descriptor = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw SmallFile.failure("create", partial) }
    do {
      try await receive(request, into: descriptor, path: partial, digest: digest)
      close(descriptor)
    } catch {
      close(descriptor)
      unlink(partial)
      throw error
    }
    try await NIOThreadPool.singleton.runIfActive { [store] in
      do { try store.commit(partial: partial, digest: digest) } catch {
        unlink(partial)
        throw error
      }
    }
    return Response(status: .created)
  }

  private func receive(_ request: Request, into descriptor: Int32, path: String, digest: Digest) async throws {
    var hash = SHA256()
    var size: Int64 = 0
    for try await buffer in request.body {
      size += Int64(buffer.readableBytes)
      guard size <= Self.blobMaximum else {
        throw Refusal(413, "blob.tooLarge", "the blob is larger than 16 GiB", remedy: "split it")
      }
      buffer.withUnsafeReadableBytes { hash.update($0) }
      try await NIOThreadPool.singleton.runIfActive { try Self.write(buffer, to: descriptor, path: path) }
    }
    let actual = hash.finish()
    guard actual == digest else {
      throw Refusal(
        422, "blob.digestMismatch", "the \(size) bytes received have the digest \(actual), not \(digest)",
        remedy: "upload the file again under its own digest; nothing was stored")
    }
  }

  private static func write(_ buffer: ByteBuffer, to descriptor: Int32, path: String) throws {
    try buffer.withUnsafeReadableBytes { bytes in
      var offset = 0
      while offset < bytes.count {
        let count = Glibc.write(descriptor, bytes.baseAddress?.advanced(by: offset), bytes.count - offset)
        guard count > 0 else { throw SmallFile.failure("write", path) }
        offset += count
      }
    }
  }

  // MARK: - Download

  func serve(_ request: Request, digest text: String, context: some RequestContext) async throws -> Response {
    let digest = try digest(text)
    var status = stat()
    let path = store.path(of: digest)
    guard stat(path, &status) == 0 else { return try await servePlan(request, digest) }
    let size = Int(status.st_size)
    var headers = Self.headers(digest)
    guard let range = try Self.range(request, size: size) else {
      if request.method == .head {
        headers[.contentLength] = String(size)
        return Response(
          status: .ok, headers: headers, body: ResponseBody(contentLength: size) { try await $0.finish(nil) })
      }
      return Response(status: .ok, headers: headers, body: try await FileIO().loadFile(path: path, context: context))
    }
    headers[.contentRange] = "bytes \(range.lowerBound)-\(range.upperBound)/\(size)"
    return Response(
      status: .partialContent, headers: headers,
      body: try await FileIO().loadFile(path: path, range: range, context: context))
  }

  func servePlan(_ request: Request, _ digest: Digest) async throws -> Response {
    guard let text = try await plan(digest) else {
      throw Refusal.notFound("blob \(digest)", remedy: "upload it, or publish the component that needs it again")
    }
    let bytes = Array(text.utf8)
    guard let range = try Self.range(request, size: bytes.count) else {
      let response = Response(
        status: .ok, headers: Self.headers(digest), body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
      // An answer to HEAD has no body; one would be taken for the beginning of the next answer.
      return request.method == .head ? response.createHeadResponse() : response
    }
    var headers = Self.headers(digest)
    headers[.contentRange] = "bytes \(range.lowerBound)-\(range.upperBound)/\(bytes.count)"
    return Response(
      status: .partialContent, headers: headers,
      body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes[range])))
  }

  /// What has a digest for a name never changes.
  private static func headers(_ digest: Digest) -> HTTPFields {
    [
      .contentType: "application/octet-stream", .acceptRanges: "bytes", .eTag: "\"\(digest)\"",
      .cacheControl: "public, max-age=31536000, immutable",
    ]
  }

  /// One range, `bytes=A-`, `bytes=A-B` or `bytes=-N` (RFC 9110 §14); nil = the whole; several are served as the whole.
  static func range(_ request: Request, size: Int) throws -> ClosedRange<Int>? {
    guard request.method == .get, let header = request.headers[.range], header.hasPrefix("bytes="), size > 0,
      !header.contains(",")
    else { return nil }
    let parts = header.dropFirst(6).split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count == 2 else { return nil }
    let first: Int
    let last: Int
    if parts[0].isEmpty {
      guard let count = Int(parts[1]), count > 0 else { return nil }
      (first, last) = (max(0, size - count), size - 1)
    } else {
      guard let lower = Int(parts[0]), parts[1].isEmpty || Int(parts[1]) != nil else { return nil }
      (first, last) = (lower, min(size - 1, Int(parts[1]) ?? size - 1))
    }
    guard first < size, first <= last else {
      throw Refusal(
        416, "range.outside", "the range \(header) lies outside the blob's \(size) bytes", remedy: "start within it")
    }
    return first...last
  }
}
