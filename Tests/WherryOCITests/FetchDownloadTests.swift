import Glibc
import Synchronization
import Testing
import WherryCrypto
import WherryJSON
import WherryModel
import WherryTestSupport

@testable import WherryOCI

/// `wherry-fetch download`, the program, against servers on loopback.
@Suite struct FetchDownloadTests {
  private let directory = TemporaryDirectory()
  private let store: ContentStore
  private static let content: [UInt8] = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ ($0 >> 8)) }
  private var digest: Digest { SHA256.digest(of: Self.content) }

  init() throws { store = try ContentStore(root: directory.file("blobs")) }

  private func item(_ url: String, _ digest: Digest? = nil, size: Int? = nil) -> JSON {
    [
      "digest": .string((digest ?? self.digest).description), "size": .integer(Int64(size ?? Self.content.count)),
      "url": .string(url), "kind": "layer", "label": "com.example.web layer 1/2",
    ]
  }

  private func job(_ items: [JSON]) -> JSON {
    [
      "store": .string(store.root), "items": .array(items), "attempts": 2, "backoffMilliseconds": 1, "stallSeconds": 20,
    ]
  }

  private func run(_ items: [JSON]) throws -> FetchProgram.Result { try FetchProgram.run("download", job(items)) }

  private var partials: [String] {
    (try? TestDirectory.names(directory.file("blobs/incoming"))) ?? []
  }

  @Test func blobsAreFetchedVerifiedAndReported() throws {
    let server = LoopbackServer { .file(Self.content, for: $0) }
    defer { server.stop() }
    let result = try run([item(server.origin + "/a")])
    #expect(result.code == 0)
    #expect(result.finished == [digest.description])
    let progress = result.events.compactMap { $0["progress"] }
    #expect(progress.last?["done"] == 300_000 && progress.last?["total"] == 300_000)
    #expect(progress.last?["active"] == .array([]), "what is done is not on its way")
    #expect(try store.bytes(of: digest) == Self.content)
    #expect(partials.isEmpty)
  }

  @Test func whatIsPresentCausesNoRequestAtAll() throws {
    let server = LoopbackServer { _ in LoopbackServer.Response(500) }
    defer { server.stop() }
    try store.add(Self.content, as: digest)
    let result = try run([item(server.origin + "/a"), item("http://unresolvable.invalid/b")])
    #expect(result.code == 0)
    #expect(result.finished == [digest.description])
    #expect(server.requests.isEmpty)
  }

  @Test func killedInTheMiddleItGoesOnFromWhereItWas() throws {
    let isHeld = Mutex(true)
    let server = LoopbackServer { request in
      var response = LoopbackServer.Response.file(Self.content, for: request)
      if isHeld.withLock({ $0 }) { response.ending = .held(after: 170_000) }
      return response
    }
    defer { server.stop() }
    let child = try FetchProgram.start("download", job([item(server.origin + "/a")]), in: directory)
    let partial = store.partialPath(of: digest)
    #expect(FetchProgram.wait { TestFile.read(partial)?.count == 170_000 })
    child.signal(SIGKILL)
    #expect(child.wait() == 128 + SIGKILL)
    #expect(!store.contains(digest))

    isHeld.withLock { $0 = false }
    let result = try run([item(server.origin + "/a")])
    #expect(result.code == 0)
    #expect(server.requests.map { $0.headers["range"] } == [nil, "bytes=170000-"])
    #expect(try store.bytes(of: digest) == Self.content)
  }

  @Test func aSecondWorkerWaitsForTheFirstAndThenFindsNothingToDo() throws {
    let isHeld = Mutex(true)
    let server = LoopbackServer { request in
      var response = LoopbackServer.Response.file(Self.content, for: request)
      if isHeld.withLock({ $0 }) { response.ending = .held(after: 170_000) }
      return response
    }
    defer { server.stop() }
    let first = try FetchProgram.start("download", job([item(server.origin + "/a")]), in: directory)
    let partial = store.partialPath(of: digest)
    #expect(FetchProgram.wait { TestFile.read(partial)?.count == 170_000 })
    let second = try FetchProgram.start("download", job([item(server.origin + "/a")]), in: TemporaryDirectory())
    isHeld.withLock { $0 = false }
    first.signal(SIGKILL)
    #expect(second.wait() == 0)
    #expect(try store.bytes(of: digest) == Self.content)
  }

  @Test func otherContentIsRefusedAndNothingStays() throws {
    let server = LoopbackServer { _ in LoopbackServer.Response(body: [UInt8](repeating: 1, count: 300_000)) }
    defer { server.stop() }
    let result = try run([item(server.origin + "/a")])
    #expect(result.code == 1)
    let failure = try #require(result.failure)
    #expect(failure.code == "blob.digestMismatch")
    #expect(failure.failureClass == "verify")
    #expect(failure.message.contains("com.example.web layer 1/2"))
    #expect(!failure.remedy.isEmpty)
    #expect(!store.contains(digest))
    #expect(partials.isEmpty)
  }

  @Test func eachWayToFailIsOneFailureWithACodeAndARemedy() throws {
    let answers: [String: LoopbackServer.Response] = [
      "/401": LoopbackServer.Response(401), "/404": LoopbackServer.Response(404), "/500": LoopbackServer.Response(500),
      "/longer": LoopbackServer.Response(body: Self.content + [0]),
      "/endless": {
        var response = LoopbackServer.Response(body: Self.content)
        response.hasLength = false
        response.ending = .endless
        return response
      }(),
      "/cut": {
        var response = LoopbackServer.Response(body: [])
        response.declaredLength = 300_000
        return response
      }(),
    ]
    let server = LoopbackServer { answers[$0.target] ?? LoopbackServer.Response(404) }
    defer { server.stop() }
    let expected = [
      ("/401", "download.status"), ("/404", "download.status"), ("/500", "download.unavailable"),
      ("/longer", "download.tooLarge"), ("/endless", "download.tooLarge"), ("/cut", "download.truncated"),
    ]
    for (path, code) in expected + [("unreachable", "download.unreachable")] {
      let url = path == "unreachable" ? "http://127.0.0.1:1/a" : server.origin + path
      let result = try run([item(url)])
      #expect(result.code == 1, "\(path)")
      let failure = try #require(result.failure, "\(path): \(result.events)")
      #expect(failure.code == code, "\(path)")
      #expect(failure.failureClass == "download", "\(path)")
      #expect(failure.message.contains(url) && !failure.remedy.isEmpty, "\(path)")
      #expect(try store.all().isEmpty, "\(path)")
    }
  }

  @Test func whatDoesNotFitIsRefusedBeforeAnythingIsFetched() throws {
    guard let disk = SmallDisk(directory.file("disk"), mebibytes: 4) else {
      return print("skipped: only root may mount a small disk")
    }
    let server = LoopbackServer { _ in LoopbackServer.Response(500) }
    defer { server.stop() }
    let result = try FetchProgram.run(
      "download",
      [
        "store": .string(disk.path + "/blobs"),
        "items": [item(server.origin + "/a", SHA256.digest(of: "large"), size: 8 << 20)],
      ])
    #expect(result.code == 1)
    let failure = try #require(result.failure)
    #expect(failure.code == "space.full")
    #expect(failure.failureClass == "space")
    #expect(failure.message.contains("8388608"))
    #expect(server.requests.isEmpty)
    #expect(try TestDirectory.names(disk.path + "/blobs/incoming").isEmpty)
  }

  @Test func aDiskThatFillsUpMeanwhileLeavesNoPartials() throws {
    guard let disk = SmallDisk(directory.file("disk"), mebibytes: 2) else {
      return print("skipped: only root may mount a small disk")
    }
    let ballast = disk.path + "/ballast"
    // Each item is checked when its turn comes; by then the first answer has filled the disk.
    let server = LoopbackServer { request in
      if !TestFile.exists(ballast) { TestFile.write([UInt8](repeating: 1, count: 1_500_000), to: ballast) }
      return .file(Self.content, for: request)
    }
    defer { server.stop() }
    let other = Self.content.map { $0 ^ 1 }
    var first = job([item(server.origin + "/a"), item(server.origin + "/b", SHA256.digest(of: other))])
    first["store"] = .string(disk.path + "/blobs")
    first["parallel"] = 1
    let result = try FetchProgram.run("download", first)
    #expect(result.failure?.code == "space.full")
    #expect(try TestDirectory.names(disk.path + "/blobs/incoming").isEmpty)
  }

  @Test func itRunsAsTheUserOfTheJob() throws {
    guard geteuid() == 0 else { return print("skipped: only root may become another user") }
    for path in ["", "/blobs", "/blobs/sha256", "/blobs/incoming"] { chmod(directory.path + path, 0o755) }
    for path in ["/blobs", "/blobs/sha256", "/blobs/incoming"] { chown(directory.path + path, 65_534, 65_534) }
    let server = LoopbackServer { .file(Self.content, for: $0) }
    defer { server.stop() }
    var job = job([item(server.origin + "/a")])
    job["user"] = ["uid": 65_534, "gid": 65_534]
    #expect(try FetchProgram.run("download", job).code == 0)
    var status = stat()
    #expect(lstat(store.path(of: digest), &status) == 0)
    #expect(status.st_uid == 65_534 && status.st_gid == 65_534)
    // What only root may write is out of its reach.
    chown(directory.file("blobs/incoming"), 0, 0)
    chown(directory.file("blobs/sha256"), 0, 0)
    job["items"] = [item(server.origin + "/b", SHA256.digest(of: "other"), size: 5)]
    #expect(try FetchProgram.run("download", job).failure?.code == "download.localFile")
  }

  @Test func theServicesOwnBlobsAreFetchedWithTheDevicesCertificate() throws {
    let server = try TLSFileServer(directory: directory, content: Self.content, path: "v1/blobs/\(digest)")
    let device: JSON = [
      "url": .string("https://127.0.0.1:\(server.port)"), "caPEM": .string(server.authorityPEM),
      "certificatePEM": .string(server.clientCertificatePEM), "keyPEM": .string(server.clientKeyPEM),
    ]
    var job = job([["digest": .string(digest.description), "size": 300_000, "source": "wherry:", "kind": "artifact"]])
    job["device"] = device
    let result = try FetchProgram.run("download", job)
    #expect(result.code == 0, "\(result.events)")
    #expect(try store.bytes(of: digest) == Self.content)

    try store.remove(digest)
    let other = try CertificateAuthority.create(commonName: "another fleet", days: 1)
    job["device"]?["caPEM"] = .string(other.certificatePEM)
    #expect(try FetchProgram.run("download", job).failure?.code == "download.untrusted")
  }

  @Test(arguments: [
    "{}", "[]", "", #"{"store":"/tmp","items":[{"digest":"sha256:1","size":1,"url":"http://x/"}]}"#,
    #"{"store":"/tmp","items":[],"parallel":0}"#,
  ])
  func aJobOfTheWrongShapeIsRefusedAloud(_ text: String) throws {
    TestFile.write(text.utf8, to: directory.file("job"))
    let child = try #require(
      ChildProcess(
        FetchProgram.path, ["download"], inputPath: directory.file("job"), outputPath: directory.file("out")))
    #expect(child.wait() == 1)
    let events = try FetchProgram.events(directory.file("out"))
    #expect(events.count == 1)
    #expect(events.first?["failed"]?["code"]?.stringValue == "worker.job")
  }

  @Test func anUnknownModeIsRefusedAndNoModeIsMisuse() throws {
    #expect(try FetchProgram.run("upload", [:]).failure?.code == "worker.usage")
    #expect(ChildProcess.run(try FetchProgram.path, [])?.code == 2)
    #expect(ChildProcess.run(try FetchProgram.path, ["--help"])?.output.contains("usage: wherry-fetch") == true)
  }

  @Test func oneRequestIsExchangedForItsAnswer() throws {
    let server = LoopbackServer { request in
      LoopbackServer.Response(201, headers: [("X-Method", request.method)], body: request.body)
    }
    defer { server.stop() }
    let result = try FetchProgram.run(
      "exchange",
      [
        "url": .string(server.origin + "/v1/provision"), "method": "POST",
        "headers": ["Authorization": "Bearer claim"], "body": ["device": "kiosk-1"],
      ])
    #expect(result.code == 0)
    #expect(result.events.count == 1)
    #expect(result.events.first?["status"]?.integerValue == 201)
    #expect(result.events.first?["headers"]?["x-method"]?.stringValue == "POST")
    #expect(result.events.first?["body"]?.stringValue == #"{"device":"kiosk-1"}"#)
    #expect(server.requests.first?.headers["authorization"] == "Bearer claim")
    let refused = try FetchProgram.run("exchange", ["url": "http://127.0.0.1:1/"])
    #expect(refused.code == 1 && refused.failure?.code == "download.unreachable")
  }
}
