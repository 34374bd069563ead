import Testing
import WherryCrypto
import WherryModel
import WherryTestSupport
import WherryTransfer

@Suite struct DownloaderTests {
  private let directory = TemporaryDirectory()
  private static let content: [UInt8] = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ ($0 >> 8)) }
  private var bytes: [UInt8] { Self.content }

  private func item(_ server: LoopbackServer, size: Int? = nil, digest: Digest? = nil, name: String = "p")
    -> DownloadItem
  {
    DownloadItem(
      url: server.origin + "/" + name, digest: digest ?? SHA256.digest(of: bytes), size: Int64(size ?? bytes.count),
      partialPath: directory.file(name), label: "com.example.web layer 1/2")
  }

  private var policy: DownloadPolicy {
    var policy = DownloadPolicy()
    policy.attemptsMaximum = 3
    policy.backoffMilliseconds = 1
    return policy
  }

  private func failure(_ item: DownloadItem) -> TransferError? {
    do throws(TransferError) {
      try HTTPClient().download(item, policy: policy)
      return nil
    } catch { return error }
  }

  @Test func aBlobIsFetchedAndVerified() throws {
    let bytes = bytes
    let server = LoopbackServer { .file(bytes, for: $0) }
    defer { server.stop() }
    try HTTPClient().download(item(server), policy: policy)
    #expect(TestFile.read(directory.file("p")) == bytes)
    #expect(server.requests.count == 1)
  }

  @Test func aPartialIsResumedByRange() throws {
    let bytes = bytes
    let server = LoopbackServer { .file(bytes, for: $0) }
    defer { server.stop() }
    TestFile.write(bytes[..<70_000], to: directory.file("p"))
    try HTTPClient().download(item(server), policy: policy)
    #expect(server.requests.map { $0.headers["range"] } == ["bytes=70000-"])
    #expect(TestFile.read(directory.file("p")) == bytes)
  }

  /// Only that it is not faster: how slow a machine is says nothing.
  @Test func aRateIsKeptOverAllTransfersTogether() throws {
    let bytes = [UInt8](repeating: 7, count: 3_000_000)
    let server = LoopbackServer { .file(bytes, for: $0) }
    defer { server.stop() }
    var limited = policy
    limited.bytesPerSecondMaximum = 2_000_000
    limited.parallel = 2
    let items = ["a", "b"].map { item(server, size: bytes.count, digest: SHA256.digest(of: bytes), name: $0) }
    let clock = ContinuousClock()
    let begin = clock.now
    try Downloader(policy: limited).run(items) { _ in }
    // 3 seconds; each transfer may begin with some pieces at full speed.
    #expect(clock.now - begin > .seconds(1))
    #expect(["a", "b"].allSatisfy { TestFile.read(directory.file($0)) == bytes })
  }

  @Test func aCompletePartialNeedsNoNetwork() throws {
    let server = LoopbackServer { _ in LoopbackServer.Response(500) }
    defer { server.stop() }
    TestFile.write(bytes, to: directory.file("p"))
    try HTTPClient().download(item(server), policy: policy)
    #expect(server.requests.isEmpty)
  }

  @Test func twentyCutsMoveEachByteOnce() throws {
    let bytes = bytes
    let server = LoopbackServer { request in
      var response = LoopbackServer.Response.file(bytes, for: request)
      if response.body.count > 10_000 { response.ending = .cut(after: 9_500) }
      return response
    }
    defer { server.stop() }
    try HTTPClient().download(item(server), policy: policy)
    #expect(TestFile.read(directory.file("p")) == bytes)
    #expect(server.requests.count == 21)
  }

  @Test func aPartialFromABrokenRunIsReplacedOnce() throws {
    let bytes = bytes
    let server = LoopbackServer { .file(bytes, for: $0) }
    defer { server.stop() }
    TestFile.write([UInt8](repeating: 0, count: 1_000), to: directory.file("p"))
    try HTTPClient().download(item(server), policy: policy)
    #expect(server.requests.map { $0.headers["range"] } == ["bytes=1000-", nil])
    #expect(TestFile.read(directory.file("p")) == bytes)
  }

  @Test func aPartialLongerThanTheBlobStartsAnew() throws {
    let bytes = bytes
    let server = LoopbackServer { .file(bytes, for: $0) }
    defer { server.stop() }
    TestFile.write(bytes + [0], to: directory.file("p"))
    try HTTPClient().download(item(server), policy: policy)
    #expect(server.requests.map { $0.headers["range"] } == [nil])
  }

  @Test func aServerWithoutRangesStartsAnew() throws {
    let bytes = bytes
    let server = LoopbackServer { _ in LoopbackServer.Response(body: bytes) }
    defer { server.stop() }
    TestFile.write(bytes[..<70_000], to: directory.file("p"))
    try HTTPClient().download(item(server), policy: policy)
    #expect(TestFile.read(directory.file("p")) == bytes)
  }

  @Test func aRangeThatWasNotAskedForIsRefused() {
    let bytes = bytes
    let server = LoopbackServer { _ in
      LoopbackServer.Response(206, headers: [("Content-Range", "bytes 0-199999/200000")], body: bytes)
    }
    defer { server.stop() }
    TestFile.write(bytes[..<70_000], to: directory.file("p"))
    #expect(failure(item(server))?.code == .invalidResponse)
  }

  @Test func contentWithAnotherDigestIsRefusedAndRemoved() {
    let server = LoopbackServer { [count = bytes.count] _ in
      LoopbackServer.Response(body: [UInt8](repeating: 1, count: count))
    }
    defer { server.stop() }
    let error = failure(item(server))
    #expect(error?.code == .digestMismatch)
    #expect(error?.message.contains("com.example.web layer 1/2") == true)
    #expect(error?.failure.failureClass == .verify)
    #expect(!TestFile.exists(directory.file("p")))
  }

  @Test func aDeclaredLengthThatDiffersIsRefusedBeforeAByteIsWritten() {
    let server = LoopbackServer { [bytes] _ in LoopbackServer.Response(body: bytes) }
    defer { server.stop() }
    #expect(failure(item(server, size: 199_999))?.code == .tooLarge)
    #expect(failure(item(server, size: 200_001, name: "q"))?.code == .invalidResponse)
    #expect(TestFile.read(directory.file("p")) == [])
  }

  @Test func anEndlessBodyStopsAtTheDeclaredSize() {
    let server = LoopbackServer { [bytes] _ in
      var response = LoopbackServer.Response(body: bytes)
      response.hasLength = false
      response.ending = .endless
      return response
    }
    defer { server.stop() }
    #expect(failure(item(server, size: 350_000))?.code == .tooLarge)
    #expect((TestFile.read(directory.file("p")) ?? []).count <= 350_000)
  }

  @Test(arguments: [401, 403, 404])
  func aRefusalIsNotTriedAgain(_ status: Int) {
    let server = LoopbackServer { _ in LoopbackServer.Response(status) }
    defer { server.stop() }
    let error = failure(item(server))
    #expect(error?.code == .status)
    #expect(error?.failure.isTransient == false)
    #expect(error?.status == status)
    #expect(error?.message.contains("\(status)") == true)
    #expect(error?.remedy.isEmpty == false)
    #expect(server.requests.count == 1)
  }

  @Test(arguments: [408, 425, 429, 500, 503])
  func aServersTroubleIsTriedAgainUpToTheLimit(_ status: Int) {
    let server = LoopbackServer { _ in LoopbackServer.Response(status) }
    defer { server.stop() }
    let error = failure(item(server))
    #expect(error?.status == status)
    #expect(error?.code == .unavailable)
    #expect(error?.failure.isTransient == true)
    #expect(server.requests.count == 3)
  }

  @Test func aRefusalOfCredentialsAsksForThemOnce() throws {
    let server = LoopbackServer { [bytes] request in
      request.headers["authorization"] == "Bearer t" ? .file(bytes, for: request) : LoopbackServer.Response(401)
    }
    defer { server.stop() }
    let downloader = Downloader(policy: policy)
    var asked = 0
    downloader.authorize = { _, _ in
      asked += 1
      return [("Authorization", "Bearer t")]
    }
    try downloader.run([item(server)]) { _ in }
    #expect(asked == 1)
  }

  @Test func manyItemsRunSideBySideAndReportProgress() throws {
    let server = LoopbackServer { [bytes] in .file(bytes, for: $0) }
    defer { server.stop() }
    let items = (0..<9).map { item(server, name: "item-\($0)") }
    var verified: Set<String> = []
    var progress: [Int64] = []
    try Downloader(policy: policy).run(items + items) { event in
      switch event {
      case .verified(_, let path): verified.insert(path)
      case .progress(let done, let total, let active):
        #expect(total == 1_800_000)
        #expect(active.count <= policy.parallel && active.allSatisfy { $0.bytesDone <= $0.bytesTotal })
        progress.append(done)
      }
    }
    #expect(verified.count == 9)
    #expect(server.requests.count == 9)
    #expect(progress == progress.sorted())
    #expect(progress.last == 1_800_000)
  }

  @Test func oneItemThatCannotBeHadEndsTheRunAndKeepsTheOthersPartials() {
    let server = LoopbackServer { [bytes] request in
      if request.target == "/bad" { return LoopbackServer.Response(404) }
      var response = LoopbackServer.Response.file(bytes, for: request)
      response.ending = .held(after: 5_000)
      return response
    }
    defer { server.stop() }
    #expect(throws: TransferError.self) {
      try Downloader(policy: policy).run([item(server, name: "good"), item(server, name: "bad")]) { _ in }
    }
    #expect(TestFile.exists(directory.file("good")))
  }
}
