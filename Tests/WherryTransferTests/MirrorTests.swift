import Synchronization
import Testing
import WherryCrypto
import WherryModel
import WherryTestSupport

@testable import WherryTransfer

/// Downloads with other places to get them from, and with credentials that come and go.
@Suite struct MirrorTests {
  private let directory = TemporaryDirectory()
  private static let content: [UInt8] = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ ($0 >> 8)) }

  private func item(_ url: String, mirrors: [String], name: String = "p") -> DownloadItem {
    DownloadItem(
      url: url, mirrors: mirrors, digest: SHA256.digest(of: Self.content), size: Int64(Self.content.count),
      partialPath: directory.file(name), label: "com.example.web layer 1/2")
  }

  private var downloader: Downloader {
    var policy = DownloadPolicy()
    policy.attemptsMaximum = 3
    policy.backoffMilliseconds = 1
    policy.parallel = 1
    return Downloader(policy: policy)
  }

  private func failure(_ items: [DownloadItem]) -> TransferError? {
    do throws(TransferError) {
      try downloader.run(items) { _ in }
      return nil
    } catch { return error }
  }

  /// Each way to fail, at a mirror.
  @Test(arguments: ["/401", "/404", "/500", "/429", "/longer", "/shorter", "/other", "/redirect", "/range"])
  func whateverGoesWrongAtAMirrorTheNextPlaceIsAsked(_ path: String) throws {
    let answers: [String: LoopbackServer.Response] = [
      "/401": LoopbackServer.Response(401), "/404": LoopbackServer.Response(404), "/500": LoopbackServer.Response(500),
      "/429": LoopbackServer.Response(429, headers: [("Retry-After", "299")]),
      "/longer": LoopbackServer.Response(body: Self.content + [0]),
      "/shorter": LoopbackServer.Response(body: Array(Self.content.dropLast())),
      "/other": LoopbackServer.Response(body: Self.content.map { $0 ^ 1 }),
      "/redirect": LoopbackServer.Response(302, headers: [("Location", "file:///etc/passwd")]),
      "/range": LoopbackServer.Response(206, headers: [("Content-Range", "bytes 5-9/10")], body: [1, 2, 3, 4, 5]),
    ]
    let mirror = LoopbackServer { answers[$0.target] ?? LoopbackServer.Response(404) }
    let server = LoopbackServer { .file(Self.content, for: $0) }
    defer {
      mirror.stop()
      server.stop()
    }
    try downloader.run([item(server.origin, mirrors: [mirror.origin + path])]) { _ in }
    #expect(TestFile.read(directory.file("p")) == Self.content)
    #expect(mirror.requests.count == 1 && server.requests.count == 1)
  }

  @Test func aMirrorThatIsGoneLeavesTheOthers() throws {
    let server = LoopbackServer { .file(Self.content, for: $0) }
    defer { server.stop() }
    // Nobody listens at the first one.
    let mirror = LoopbackServer { .file(Self.content, for: $0) }
    defer { mirror.stop() }
    let gone = "http://127.0.0.1:1/blob"
    let items = (0..<4).map { item(server.origin, mirrors: [gone, mirror.origin], name: "item-\($0)") }
    try downloader.run(items) { _ in }
    #expect(mirror.requests.count == 4 && server.requests.isEmpty)
  }

  @Test func onlyAMirrorThatGivesNoAnswerIsLeftOutAfterwards() {
    let health = MirrorHealth()
    let url = "https://mirror.example.com/v2/a/blobs/x"
    for code in [TransferError.Code.status, .unavailable, .truncated, .digestMismatch] {
      health.note(TransferError(code, "no"), at: url)
      #expect(!health.isGone(url), "\(code)")
    }
    health.note(TransferError(.unreachable, "no"), at: url)
    #expect(health.isGone(url) && health.isGone("https://MIRROR.example.com:443/v2/b/blobs/y"))
    #expect(!health.isGone("https://mirror.example.com:5000/v2/a/blobs/x"))
  }

  @Test func aFailureOfAllPlacesNamesTheRegistryFirst() {
    let server = LoopbackServer { _ in LoopbackServer.Response(404) }
    defer { server.stop() }
    let error = failure([item(server.origin + "/a", mirrors: ["http://127.0.0.1:1/blob"])])
    #expect(error?.code == .status && error?.status == 404)
    #expect(error?.message.hasPrefix(server.origin + "/a ") == true)
    #expect(error?.message.contains("answered with status 404") == true)
    #expect(error?.message.contains("of its mirror: http://127.0.0.1:1/blob cannot be reached") == true)
  }

  @Test func bytesOfAMirrorThatDoNotFitAreThrownAwayOnce() throws {
    let mirror = LoopbackServer { _ in
      var response = LoopbackServer.Response(body: [UInt8](repeating: 1, count: 200_000))
      response.ending = .cut(after: 50_000)
      return response
    }
    let server = LoopbackServer { .file(Self.content, for: $0) }
    defer {
      mirror.stop()
      server.stop()
    }
    try downloader.run([item(server.origin, mirrors: [mirror.origin])]) { _ in }
    #expect(TestFile.read(directory.file("p")) == Self.content)
    #expect(server.requests.map { $0.headers["range"] } == ["bytes=50000-", nil])
  }

  @Test func eachPlaceGetsItsOwnCredentials() throws {
    let wanting: @Sendable (LoopbackServer.Request) -> LoopbackServer.Response = { request in
      request.headers["authorization"] == nil ? LoopbackServer.Response(401) : LoopbackServer.Response(403)
    }
    let mirror = LoopbackServer(wanting)
    let server = LoopbackServer(wanting)
    defer {
      mirror.stop()
      server.stop()
    }
    let downloader = downloader
    downloader.authorize = { item, _ in [("Authorization", "for \(item.url)")] }
    #expect(throws: TransferError.self) {
      try downloader.run([item(server.origin, mirrors: [mirror.origin])]) { _ in }
    }
    #expect(mirror.requests.map { $0.headers["authorization"] } == [nil, "for \(mirror.origin)"])
    #expect(server.requests.map { $0.headers["authorization"] } == [nil, "for \(server.origin)"])
  }

  // MARK: Credentials that end

  @Test func whatWasGoodOnceIsRenewedAndWhatNeverWasIsNot() throws {
    let spent = Mutex<Set<String>>([])
    let server = LoopbackServer { request in
      let given = request.headers["authorization"] ?? ""
      guard !given.isEmpty, spent.withLock({ $0.insert(given).inserted }) else { return LoopbackServer.Response(401) }
      var response = LoopbackServer.Response.file(Self.content, for: request)
      if response.body.count > 30_000 { response.ending = .cut(after: 25_000) }
      return response
    }
    defer { server.stop() }
    let downloader = downloader
    var given = 0
    downloader.authorize = { _, _ in
      given += 1
      return [("Authorization", "token \(given)")]
    }
    try downloader.run([item(server.origin, mirrors: [])]) { _ in }
    #expect(TestFile.read(directory.file("p")) == Self.content)
    #expect(given == 8)
  }

  @Test func aServerThatIsNeverContentIsAskedTwice() {
    let server = LoopbackServer { _ in LoopbackServer.Response(401) }
    defer { server.stop() }
    let downloader = downloader
    var given = 0
    downloader.authorize = { _, _ in
      given += 1
      return [("Authorization", "token \(given)")]
    }
    #expect(throws: TransferError.self) { try downloader.run([item(server.origin, mirrors: [])]) { _ in } }
    #expect(given == 1 && server.requests.count == 2)
  }

  @Test func aTokenServerThatCannotNowIsAskedAgainLater() throws {
    let server = LoopbackServer { request in
      request.headers["authorization"] == nil ? LoopbackServer.Response(401) : .file(Self.content, for: request)
    }
    defer { server.stop() }
    let downloader = downloader
    var asked = 0
    downloader.authorize = { (_, _) throws(TransferError) in
      asked += 1
      guard asked > 2 else { throw TransferError(.unavailable, "the token server has too much to do", status: 503) }
      return [("Authorization", "t")]
    }
    try downloader.run([item(server.origin, mirrors: [])]) { _ in }
    #expect(asked == 3)
  }

  @Test func aChallengeFromWhereARedirectLedIsNotMet() throws {
    let other = LoopbackServer { _ in LoopbackServer.Response(401) }
    let target = other.origin
    let server = LoopbackServer { _ in LoopbackServer.Response(307, headers: [("Location", target)]) }
    defer {
      other.stop()
      server.stop()
    }
    let downloader = downloader
    var asked = 0
    downloader.authorize = { _, _ in
      asked += 1
      return [("Authorization", "t")]
    }
    #expect(throws: TransferError.self) { try downloader.run([item(server.origin, mirrors: [])]) { _ in } }
    #expect(asked == 0)
  }
}
