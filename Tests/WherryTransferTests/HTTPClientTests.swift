import Testing
import WherryModel
import WherryTestSupport
import WherryTransfer

@Suite struct HTTPClientTests {
  private func failure(_ body: () throws(TransferError) -> some Any) -> TransferError? {
    do throws(TransferError) {
      _ = try body()
      return nil
    } catch { return error }
  }

  @Test func sendsMethodHeadersAndBodyAndReadsTheAnswer() throws {
    let server = LoopbackServer { request in
      LoopbackServer.Response(201, headers: [("X-Was", request.method)], body: request.body + Array("!".utf8))
    }
    defer { server.stop() }
    let client = HTTPClient()
    for method in ["POST", "PUT", "DELETE"] {
      let response = try client.send(
        HTTPRequest(method: method, url: server.origin + "/a?b=c", headers: [("X-One", "1")], body: Array("hi".utf8)),
        maximumBodyBytes: 100)
      #expect(response.status == 201)
      #expect(response.headers["x-was"] == method)
      #expect(response.body == Array("hi!".utf8))
    }
    let request = try #require(server.requests.first)
    #expect(request.target == "/a?b=c")
    #expect(request.headers["x-one"] == "1")
    #expect(request.headers["expect"] == nil)
  }

  @Test func anEmptyBodyIsSentWithLengthZero() throws {
    let server = LoopbackServer { _ in LoopbackServer.Response(204) }
    defer { server.stop() }
    _ = try HTTPClient().send(HTTPRequest(method: "POST", url: server.origin, body: []), maximumBodyBytes: 0)
    #expect(server.requests.first?.headers["content-length"] == "0")
  }

  @Test func uploadsAFileAsTheBody() throws {
    let server = LoopbackServer { request in LoopbackServer.Response(text: "\(request.body.count)") }
    defer { server.stop() }
    let directory = TemporaryDirectory()
    let bytes = (0..<300_000).map { UInt8(truncatingIfNeeded: $0) }
    TestFile.write(bytes, to: directory.file("blob"))
    let response = try HTTPClient().send(
      HTTPRequest(method: "PUT", url: server.origin + "/blob", bodyFile: directory.file("blob")),
      maximumBodyBytes: 100)
    #expect(response.body == Array("300000".utf8))
    #expect(server.requests.first?.body == bytes)
  }

  @Test func headRequestsDoNotWaitForABody() throws {
    let server = LoopbackServer { _ in LoopbackServer.Response(body: [1, 2, 3]) }
    defer { server.stop() }
    let response = try HTTPClient().send(
      HTTPRequest(method: "HEAD", url: server.origin), maximumBodyBytes: 0)
    #expect(response.status == 200)
    #expect(response.headers["content-length"] == "3")
  }

  @Test(arguments: [401, 404, 503])
  func aStatusThatIsNotSuccessIsAnAnswerWithItsBody(_ status: Int) throws {
    let server = LoopbackServer { _ in LoopbackServer.Response(status, text: "why") }
    defer { server.stop() }
    let response = try HTTPClient().send(HTTPRequest(url: server.origin), maximumBodyBytes: 100)
    #expect(response.status == status)
    #expect(response.body == Array("why".utf8))
  }

  @Test func aBodyLargerThanAllowedIsRefusedByItsDeclaredLength() {
    let server = LoopbackServer { _ in LoopbackServer.Response(body: [UInt8](repeating: 7, count: 101)) }
    defer { server.stop() }
    let error = failure { () throws(TransferError) in
      try HTTPClient().send(HTTPRequest(url: server.origin), maximumBodyBytes: 100)
    }
    #expect(error?.code == .tooLarge)
  }

  @Test func anEndlessBodyIsCutAtTheLimit() {
    let server = LoopbackServer { _ in
      var response = LoopbackServer.Response(body: [UInt8](repeating: 7, count: 1_000))
      response.hasLength = false
      response.ending = .endless
      return response
    }
    defer { server.stop() }
    let error = failure { () throws(TransferError) in
      try HTTPClient().send(HTTPRequest(url: server.origin), maximumBodyBytes: 100_000)
    }
    #expect(error?.code == .tooLarge)
  }

  @Test func aBodyThatEndsBeforeItsDeclaredLengthIsTruncated() {
    let server = LoopbackServer { _ in
      var response = LoopbackServer.Response(body: [UInt8](repeating: 7, count: 100))
      response.ending = .cut(after: 40)
      return response
    }
    defer { server.stop() }
    let error = failure { () throws(TransferError) in
      try HTTPClient().send(HTTPRequest(url: server.origin), maximumBodyBytes: 1_000)
    }
    #expect(error?.code == .truncated)
  }

  @Test func aServerThatIsNotThereIsUnreachableAndNamed() {
    let server = LoopbackServer { _ in LoopbackServer.Response() }
    server.stop()
    // A port that was just given up answers with a refusal; one that nobody may bind does so for certain.
    let error = failure { () throws(TransferError) in
      try HTTPClient().send(HTTPRequest(url: "http://127.0.0.1:1/x"), maximumBodyBytes: 0)
    }
    #expect(error?.code == .unreachable)
    #expect(error?.message.contains("http://127.0.0.1:1/x") == true)
    #expect(error?.isTransient == true)
  }

  @Test(arguments: ["ftp://127.0.0.1/x", "file:///etc/passwd", "no address", ""])
  func onlyHTTPAddressesAreTaken(_ url: String) {
    let error = failure { () throws(TransferError) in
      try HTTPClient().send(HTTPRequest(url: url), maximumBodyBytes: 0)
    }
    #expect(error?.code == .invalidRequest)
  }

  @Test func aHeaderCannotSmuggleAnother() {
    let error = failure { () throws(TransferError) in
      try HTTPClient().send(
        HTTPRequest(url: "http://127.0.0.1:1/", headers: [("a", "b\r\nAuthorization: x")]), maximumBodyBytes: 0)
    }
    #expect(error?.code == .invalidRequest)
  }

  @Test func redirectsAreFollowedWithCredentialsOnTheSameOrigin() throws {
    let server = LoopbackServer { request in
      request.target == "/from"
        ? LoopbackServer.Response(307, headers: [("Location", "/to")], text: "ignored")
        : LoopbackServer.Response(text: request.headers["authorization"] ?? "none")
    }
    defer { server.stop() }
    let response = try HTTPClient().send(
      HTTPRequest(url: server.origin + "/from", headers: [("Authorization", "Bearer t")]), maximumBodyBytes: 100)
    #expect(response.body == Array("Bearer t".utf8))
  }

  @Test func credentialsDoNotFollowARedirectToAnotherOrigin() throws {
    let other = LoopbackServer { _ in LoopbackServer.Response(text: "content") }
    let target = other.origin + "/blob"
    let server = LoopbackServer { _ in LoopbackServer.Response(302, headers: [("Location", target)]) }
    defer {
      server.stop()
      other.stop()
    }
    let response = try HTTPClient().send(
      HTTPRequest(
        url: server.origin, headers: [("authorization", "Bearer t"), ("Cookie", "c=1"), ("Accept", "x/y")]),
      maximumBodyBytes: 100)
    #expect(response.body == Array("content".utf8))
    let request = try #require(other.requests.first)
    #expect(request.headers["authorization"] == nil)
    #expect(request.headers["cookie"] == nil)
    #expect(request.headers["accept"] == "x/y")
  }

  @Test func aRedirectLoopAndARedirectToAFileAreRefused() {
    let loop = LoopbackServer { _ in LoopbackServer.Response(302, headers: [("Location", "/again")]) }
    let file = LoopbackServer { _ in LoopbackServer.Response(302, headers: [("Location", "file:///etc/passwd")]) }
    defer {
      loop.stop()
      file.stop()
    }
    for server in [loop, file] {
      let error = failure { () throws(TransferError) in
        try HTTPClient().send(HTTPRequest(url: server.origin), maximumBodyBytes: 100)
      }
      #expect(error?.code == .invalidResponse)
    }
    #expect(loop.requests.count == 6)
  }

  @Test func aStreamIsHandedOnAsItComesUntilTheTakerHasEnough() throws {
    let server = LoopbackServer { _ in
      var response = LoopbackServer.Response(body: Array("data: x\n\n".utf8))
      response.hasLength = false
      response.ending = .endless
      return response
    }
    defer { server.stop() }
    var count = 0
    let head = try HTTPClient().stream(HTTPRequest(url: server.origin)) { chunk in
      count += chunk.count
      return count < 1_000
    }
    #expect(head.status == 200)
    #expect(count >= 1_000)
  }

  @Test func aRefusedStreamKeepsTheExplanation() throws {
    let server = LoopbackServer { _ in LoopbackServer.Response(404, text: "no such thing") }
    defer { server.stop() }
    let head = try HTTPClient().stream(HTTPRequest(url: server.origin)) { _ in
      Issue.record("the explanation is not part of the stream")
      return true
    }
    #expect(head.status == 404)
    #expect(head.body == Array("no such thing".utf8))
  }

  @Test func aServerThatGoesSilentIsGivenUp() {
    let server = LoopbackServer { _ in
      var response = LoopbackServer.Response(body: [UInt8](repeating: 7, count: 100))
      response.ending = .held(after: 10)
      return response
    }
    defer { server.stop() }
    var configuration = HTTPClientConfiguration()
    configuration.stallSeconds = 1
    let client = HTTPClient(configuration: configuration)
    let error = failure { () throws(TransferError) in
      try client.send(HTTPRequest(url: server.origin), maximumBodyBytes: 1_000)
    }
    #expect(error?.code == .stalled)
    #expect(error?.failure.isTransient == true)
  }
}
