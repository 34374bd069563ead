import Hummingbird
import Testing
import WherryCrypto
import WherryDatabase
import WherryModel
import WherryTestSupport

@testable import WherryInventory

@Suite(
  .serialized, .timeLimit(.minutes(10)),
  .enabled(if: RunningService.isBrokerInstalled, "mosquitto is not installed: apt-get install mosquitto"))
struct RegistryUploadTests {
  private let blob = Array("a blob in three pieces".utf8)
  private var digest: Digest { SHA256.digest(of: blob) }
  private var path: String { "/v2/team/web/blobs/\(digest)" }

  @Test func oneRequestUploadsAWholeBlob() async throws {
    try await RegistryClient.with { client in
      let answer = try await client.send("POST", "/v2/team/web/blobs/uploads/?digest=\(digest)", body: blob)
      #expect(answer.status == 201)
      #expect(answer.headers["location"] == path)
      #expect(answer.headers["docker-content-digest"] == "\(digest)")
      #expect(try await client.get(path).body == blob)
      let empty = try await client.push(blob: [], to: "team/web")
      #expect(try await client.head("/v2/team/web/blobs/\(empty)").headers["content-length"] == "0")
    }
  }

  @Test func anUploadBeginsWithPostAndEndsWithPut() async throws {
    try await RegistryClient.with { client in
      let begun = try await client.send("POST", "/v2/team/web/blobs/uploads/")
      #expect(begun.status == 202)
      let location = try #require(begun.headers["location"])
      let id = try #require(begun.headers["docker-upload-uuid"])
      #expect(location == "/v2/team/web/blobs/uploads/\(id)")
      #expect(begun.headers["range"] == "0-0")
      let ended = try await client.finish(location, digest, blob)
      #expect(ended.status == 201)
      #expect(ended.headers["location"] == path)
      #expect(try await client.get(path).body == blob)
      #expect(try await client.get(location).status == 404)
    }
  }

  @Test func chunksGoOnWhereTheLastOneEnded() async throws {
    try await RegistryClient.with { client in
      let location = try await client.begin("team/web")
      let first = try await client.patch(location, Array(blob[..<7]), range: "0-6")
      #expect(first.status == 202)
      #expect(first.headers["location"] == location)
      #expect(first.headers["range"] == "0-6")
      for wrong in [("9-15", Array(blob[9..<16])), ("0-6", Array(blob[..<7]))] {
        let refused = try await client.patch(location, wrong.1, range: wrong.0)
        #expect(refused.status == 416)
        #expect(refused.headers["range"] == "0-6")
        #expect(refused.codes == ["BLOB_UPLOAD_INVALID"])
      }
      let status = try await client.get(location)
      #expect(status.status == 204)
      #expect(status.headers["range"] == "0-6")
      #expect(status.headers["location"] == location)
      // Without a range it is a stream that goes on.
      #expect(try await client.patch(location, Array(blob[7..<10])).headers["range"] == "0-9")
      let rest = Array(blob[10...])
      let late = try await client.send(
        "PUT", "\(location)?digest=\(digest)", headers: [("Content-Range", "3-\(2 + rest.count)")], body: rest)
      #expect(late.status == 416)
      let ended = try await client.send(
        "PUT", "\(location)?digest=\(digest)", headers: [("Content-Range", "10-\(blob.count - 1)")], body: rest)
      #expect(ended.status == 201)
      #expect(try await client.get(path).body == blob)
    }
  }

  @Test func aRangeThatIsNoneOrOfAnotherLengthIsRefusedAndChangesNothing() async throws {
    try await RegistryClient.with { client in
      let location = try await client.begin("team/web")
      for (range, code) in [
        ("bytes 0-6/22", "BLOB_UPLOAD_INVALID"), ("6-0", "BLOB_UPLOAD_INVALID"), ("0-99", "SIZE_INVALID"),
        ("0-99999999999999999999", "BLOB_UPLOAD_INVALID"),
      ] {
        let refused = try await client.patch(location, Array(blob[..<7]), range: range)
        #expect(refused.status == 400, "\(range)")
        #expect(refused.codes == [code], "\(range)")
      }
      #expect(try await client.get(location).headers["range"] == "0-0")
      #expect(try await client.finish(location, digest, blob).status == 201)
    }
  }

  @Test func aWrongDigestStoresNothingAndEndsTheUpload() async throws {
    try await RegistryClient.with { client in
      let other = SHA256.digest(of: "something else")
      let whole = try await client.send("POST", "/v2/team/web/blobs/uploads/?digest=\(other)", body: blob)
      #expect(whole.status == 400)
      #expect(whole.codes == ["DIGEST_INVALID"])
      let location = try await client.begin("team/web")
      _ = try await client.patch(location, blob)
      #expect(try await client.send("PUT", location).codes == ["DIGEST_INVALID"])
      let ended = try await client.finish(location, other)
      #expect(ended.status == 400)
      #expect(ended.codes == ["DIGEST_INVALID"])
      #expect(try await client.get(location).status == 404)
      for digest in [digest, other] { #expect(try await client.head("/v2/team/web/blobs/\(digest)").status == 404) }
    }
  }

  @Test func otherDigestsThanSHA256AreRefusedBeforeAnythingIsSent() async throws {
    try await RegistryClient.with { client in
      let other = "sha512:\(digest.hex)\(digest.hex)"
      for query in ["digest=\(other)", "digest-algorithm=sha512", "mount=\(other)"] {
        let refused = try await client.send("POST", "/v2/team/web/blobs/uploads/?\(query)", body: blob)
        #expect(refused.status == 400, "\(query)")
        #expect(refused.codes == ["DIGEST_INVALID"], "\(query)")
        #expect(refused.text.contains("sha256"), "\(query)")
      }
      // Nobody will ever finish this one.
      let location = try await client.begin("team/web")
      let ended = try await client.send("PUT", "\(location)?digest=\(other)", body: blob)
      #expect(ended.status == 400)
      #expect(ended.codes == ["DIGEST_INVALID"])
      #expect(try await client.get(location).status == 404)
    }
  }

  @Test func aCancelledUploadIsGone() async throws {
    try await RegistryClient.with { client in
      let location = try await client.begin("team/web")
      _ = try await client.patch(location, blob)
      #expect(try await client.send("DELETE", location).status == 204)
      for method in ["GET", "PATCH", "DELETE"] {
        let refused = try await client.send(method, location)
        #expect(refused.status == 404, "\(method)")
        #expect(refused.codes == ["BLOB_UPLOAD_UNKNOWN"], "\(method)")
      }
    }
  }

  @Test func anUploadIsItsTokensAndItsRepositorysOwn() async throws {
    try await RegistryClient.with { client in
      let location = try await client.begin("team/web")
      let other = try await client.with(.operator)
      #expect(try await other.get(location).status == 404)
      #expect(try await client.get(location.replacing("team/web", with: "team/other")).status == 404)
      #expect(try await client.get(location).status == 204)
    }
  }

  @Test func aBlobIsMountedFromAnotherRepositoryOrElseAnUploadBegins() async throws {
    try await RegistryClient.with { client in
      try await client.push(blob: blob, to: "team/web")
      let begin = "/v2/team/copy/blobs/uploads/?mount=\(digest)"
      for source in ["&from=team/none", "&from=Not/A/Name"] {
        let fallback = try await client.send("POST", begin + source)
        #expect(fallback.status == 202, "\(source)")
        #expect(fallback.headers["location"]?.hasPrefix("/v2/team/copy/blobs/uploads/") == true)
      }
      #expect(try await client.head("/v2/team/copy/blobs/\(digest)").status == 404)
      let mounted = try await client.send("POST", begin + "&from=team/web")
      #expect(mounted.status == 201)
      #expect(mounted.headers["location"] == "/v2/team/copy/blobs/\(digest)")
      #expect(mounted.headers["docker-content-digest"] == "\(digest)")
      #expect(try await client.get("/v2/team/copy/blobs/\(digest)").body == blob)
      // Without `from`, from wherever it is.
      let anywhere = try await client.send("POST", "/v2/team/third/blobs/uploads/?mount=\(digest)")
      #expect(anywhere.status == 201)
      let absent = SHA256.digest(of: "absent")
      #expect(try await client.send("POST", "/v2/team/third/blobs/uploads/?mount=\(absent)").status == 202)
    }
  }
}

/// Bounds that would take too many requests, and clients that hang up.
@Suite struct RegistryUploadsTests {
  private let directory = TemporaryDirectory()
  private let web = RepositoryName(trusted: "team/web")

  @Test func aTokenHasSoManyUploadsAndIdleOnesMakeRoom() throws {
    let uploads = RegistryUploads(directory: directory.path)
    let start = Instant(milliseconds: 1_000_000)
    var last: RegistryUpload?
    for _ in 0..<RegistryUploads.countMaximum { last = try uploads.make(in: web, by: "ci", at: start) }
    let refused = #expect(throws: RegistryError.self) { _ = try uploads.make(in: web, by: "ci", at: start) }
    #expect(refused?.entries.first?.code == .tooManyRequests)
    #expect(refused?.headers[.retryAfter] != nil)
    _ = try uploads.make(in: web, by: "somebody", at: start)

    let upload = try #require(last)
    let later = start.advanced(bySeconds: RegistryUploads.idleSecondsMaximum + 1)
    uploads.touch(upload, at: later)
    _ = try uploads.make(in: web, by: "ci", at: later)
    #expect(uploads.count == 2)
    #expect(try uploads.find(upload.id, in: web, by: "ci", at: later).id == upload.id)
  }

  @Test func aTokenThatHasThemAllGivesUpTheOneThatRestedLongest() throws {
    let uploads = RegistryUploads(directory: directory.path)
    let start = Instant(milliseconds: 1_000_000)
    let used = try uploads.make(in: web, by: "ci", at: start)
    let left = try uploads.make(in: web, by: "ci", at: start.advanced(bySeconds: 1))
    let after = start.advanced(bySeconds: 2)
    for _ in 2..<RegistryUploads.countMaximum { _ = try uploads.make(in: web, by: "ci", at: after) }
    let soon = start.advanced(bySeconds: RegistryUploads.restSecondsMinimum)
    #expect(throws: RegistryError.self) { _ = try uploads.make(in: web, by: "ci", at: soon) }

    uploads.touch(used, at: soon)
    let later = soon.advanced(bySeconds: 2)
    _ = try uploads.make(in: web, by: "ci", at: later)
    #expect(uploads.count == RegistryUploads.countMaximum)
    #expect(try uploads.find(used.id, in: web, by: "ci", at: later).id == used.id)
    #expect(throws: RegistryError.self) { _ = try uploads.find(left.id, in: web, by: "ci", at: later) }
  }

  @Test func oneRequestAtATimeWritesToAnUpload() async throws {
    let upload = RegistryUpload(id: "1", repository: web, directory: directory.path)
    try await upload.begin(at: nil)
    let refused = await #expect(throws: RegistryError.self) { try await upload.begin(at: nil) }
    #expect(refused?.status == .conflict)
    await upload.end()
    try await upload.begin(at: 0)
    await upload.end()
  }

  private struct HungUp: Error {}

  private func hangingUp(_ method: HTTPRequest.Method) -> Request {
    let (body, continuation) = AsyncThrowingStream<ByteBuffer, any Error>.makeStream()
    continuation.yield(ByteBuffer(string: "half"))
    continuation.finish(throwing: HungUp())
    let head = HTTPRequest(method: method, scheme: "https", authority: "localhost", path: "/")
    return Request(head: head, body: RequestBody(asyncSequence: body))
  }

  /// An answer of 500 would be a line in the log for every connection that breaks.
  @Test func aClientThatHangsUpIsNoFailureOfTheServiceAndWhatCameStays() async throws {
    let fleet = try await EngineFixture()
    defer { withExtendedLifetime(fleet) {} }
    let blobs = BlobRoutes(store: fleet.blobs) { _ in nil }
    let routes = RegistryRoutes(engine: fleet.engine, blobs: blobs, note: { _ in })
    let upload = RegistryUpload(id: "1", repository: web, directory: directory.path)
    let chunk = hangingUp(.patch)
    let cut = await #expect(throws: RegistryError.self) { _ = try await routes.receiveChunk(chunk, into: upload) }
    #expect(cut?.status == .badRequest)
    #expect(cut?.headers[.range] == "0-3")
    #expect(await upload.size == 4)

    let manifest = hangingUp(.put)
    let actor = RegistryActor(OperatorToken(name: "ci", role: .operator))
    var refused: RegistryError?
    do {
      _ = try await routes.pushManifest(manifest, as: .tag(TagName(trusted: "1")), in: web, by: actor)
    } catch let error as RegistryError { refused = error }
    #expect(refused?.status == .badRequest)
  }

  /// A store that was tidied while the upload rested has taken the bytes that the digest has seen.
  @Test func anUploadWhoseFileIsGoneIsNotGoneOnWith() async throws {
    let upload = RegistryUpload(id: "1", repository: web, directory: directory.path)
    try await upload.begin(at: nil)
    await upload.end()
    TemporaryDirectory.remove(upload.path)
    let refused = await #expect(throws: RegistryError.self) { try await upload.begin(at: nil) }
    #expect(refused?.entries.first?.code == .blobUploadUnknown)
  }
}
