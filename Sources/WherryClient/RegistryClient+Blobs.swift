import WherryCrypto
import WherryModel
import WherryTransfer

extension RegistryClient {
  /// Before each new attempt of an upload; together half a minute. Every byte that gets through starts the row again.
  static let pausesMilliseconds = [250, 500, 1_000, 2_000, 4_000, 8_000, 15_000]
  private static let bytes = [("content-type", "application/octet-stream")]

  // MARK: - Asking

  package func hasBlob(_ digest: Digest, in repository: String) throws -> Bool {
    let response = try send("HEAD", "/v2/\(repository)/blobs/\(digest)")
    if response.status == 404 { return false }
    guard response.isSuccess else { throw refusal(response, "say whether \(repository) has the blob \(digest)") }
    return true
  }

  /// A small one.
  package func bytes(of blob: RegistryContent, in repository: String, bytesMaximum: Int) throws -> [UInt8] {
    guard blob.size <= Int64(bytesMaximum) else {
      throw ClientError.registry(
        "the blob \(blob.digest) of \(repository) has \(blob.size) bytes; \(bytesMaximum) is the limit here",
        mayHeal: false)
    }
    let response = try send("GET", "/v2/\(repository)/blobs/\(blob.digest)", bytesMaximum: Int(blob.size))
    guard response.status == 200 else { throw refusal(response, "give the blob \(blob.digest) of \(repository)") }
    guard SHA256.digest(of: response.body) == blob.digest else {
      throw ClientError.registry(
        "\(base) sent other bytes in place of the blob \(blob.digest); look for a proxy that alters them",
        mayHeal: false)
    }
    return response.body
  }

  // MARK: - Fetching

  /// Into a file of its own, verified. What a broken connection has brought is not fetched again.
  package func fetch(
    _ blob: RegistryContent, from repository: String, to path: String, onProgress: (Int64) -> Void
  ) throws {
    var headers: [(String, String)] = []
    // Other registries' tokens are for one thing each: they are asked for when the answer is 401.
    if hasToken, let authorization { headers = [("authorization", authorization)] }
    let item = DownloadItem(
      url: "\(base)/v2/\(repository)/blobs/\(blob.digest)", headers: headers, digest: blob.digest, size: blob.size,
      partialPath: path, label: "blob \(blob.digest) of \(repository)", configuration: configuration)
    let downloader = Downloader()
    downloader.authorize = { [self] _, answer in
      guard (try? authorize(answer)) == true, let authorization else { return nil }
      return [("authorization", authorization)]
    }
    do throws(TransferError) {
      try downloader.run([item]) { (event) throws(TransferError) in
        if case .progress(let done, _, _) = event { onProgress(done) }
      }
    } catch { throw ClientError.registry("\(error)", mayHeal: error.isTransient) }
  }

  // MARK: - Pushing

  /// Shows a blob of another repository of this registry; false when it has to be pushed.
  package func mount(_ digest: Digest, from source: String, to repository: String) throws -> Bool {
    let response = try send(
      "POST", "/v2/\(repository)/blobs/uploads/?mount=\(digest)&from=\(source)", headers: Self.bytes, body: [])
    if response.status == 201 { return true }
    // An upload was begun in its place, which nobody goes on with. If it stays, the registry forgets it by itself.
    if response.status == 202, let location = response.headers["location"] {
      _ = try? send("DELETE", path(of: location))
    }
    return false
  }

  /// An upload under way, and how much of it the registry has.
  private final class Upload {
    var location: String
    var offset: Int64 = 0
    init(location: String) { self.location = location }
  }

  /// In chunks, so that a broken connection costs one of them.
  package func push(
    _ blob: RegistryContent, from file: RegistryFile, to repository: String, onProgress: (Int64) -> Void
  ) throws {
    let reader = try RegistryFileReader(file)
    var upload: Upload?
    var pauses = Self.pausesMilliseconds[...]
    while true {
      let start = upload?.offset ?? 0
      do {
        let current = try ready(upload, for: blob, in: repository)
        upload = current
        try send(blob, from: reader, to: repository, through: current, onProgress: onProgress)
        return
      } catch let error as ClientError where error.isTransient {
        if let upload, upload.offset > start { pauses = Self.pausesMilliseconds[...] }
        guard let milliseconds = pauses.popFirst() else { throw error }
        pause(milliseconds)
      }
    }
  }

  /// A new upload, or the old one where the registry still knows it.
  private func ready(_ upload: Upload?, for blob: RegistryContent, in repository: String) throws -> Upload {
    if let upload {
      let response = try send("GET", upload.location)
      let last = response.headers["range"]?.split(separator: "-").last.flatMap { Int64($0) }
      if response.status == 204, let last, last < blob.size {
        upload.location = try path(of: response.headers["location"] ?? upload.location)
        // "0-0" is how Docker's registry says that there is nothing; of one byte it says the same.
        upload.offset = last == 0 ? 0 : last + 1
        return upload
      }
    }
    let response = try send("POST", "/v2/\(repository)/blobs/uploads/", headers: Self.bytes, body: [])
    guard response.status == 202, let location = response.headers["location"] else {
      throw refusal(response, "begin an upload to \(repository)")
    }
    return Upload(location: try path(of: location))
  }

  private func send(
    _ blob: RegistryContent, from reader: RegistryFileReader, to repository: String, through upload: Upload,
    onProgress: (Int64) -> Void
  ) throws {
    func headers(_ count: Int) -> [(String, String)] {
      guard count > 0 else { return Self.bytes }
      return Self.bytes + [("content-range", "\(upload.offset)-\(upload.offset + Int64(count) - 1)")]
    }
    onProgress(upload.offset)
    while blob.size - upload.offset > Int64(chunkBytes) {
      let piece = try reader.read(at: upload.offset, count: chunkBytes)
      let response = try send("PATCH", upload.location, headers: headers(piece.count), body: piece)
      guard response.isSuccess else { throw refusal(response, "take a part of the blob \(blob.digest)") }
      upload.location = try path(of: response.headers["location"] ?? upload.location)
      upload.offset += Int64(piece.count)
      onProgress(upload.offset)
    }
    let rest = try reader.read(at: upload.offset, count: Int(max(0, blob.size - upload.offset)))
    // The registry holds everything that it got against the digest.
    let end = upload.location + (upload.location.contains("?") ? "&" : "?") + "digest=\(blob.digest)"
    let isWhole = upload.offset == 0
    let response = try send("PUT", end, headers: isWhole ? Self.bytes : headers(rest.count), body: rest)
    guard response.isSuccess else { throw refusal(response, "take the blob \(blob.digest) into \(repository)") }
    onProgress(blob.size)
  }
}
