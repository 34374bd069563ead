import Glibc
import Synchronization
import Testing
import WherryCrypto
import WherryJSON
import WherryModel
import WherryTestSupport

@testable import WherryOCI

/// `wherry-fetch download`, the program, with what its job says about registries.
@Suite struct FetchRegistryTests {
  private let directory = TemporaryDirectory()
  private let store: ContentStore
  private static let content: [UInt8] = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ ($0 >> 8)) }
  private static let digest = SHA256.digest(of: content)
  private static let blobPath = "/v2/team/web/blobs/\(digest)"
  /// kiosk:secret
  private static let basic = "Basic a2lvc2s6c2VjcmV0"

  init() throws { store = try ContentStore(root: directory.file("blobs")) }

  private func job(_ server: LoopbackServer, _ registries: [JSON]) -> JSON {
    [
      "store": .string(store.root), "attempts": 2, "backoffMilliseconds": 1, "stallSeconds": 20,
      "registries": .array(registries),
      "items": [
        [
          "digest": .string(Self.digest.description), "size": .integer(Int64(Self.content.count)), "kind": "layer",
          "url": .string(server.origin + Self.blobPath), "label": "com.example.web layer 1/2",
        ]
      ],
    ]
  }

  private func registry(_ server: LoopbackServer, _ more: JSON = ["username": "kiosk", "password": "secret"]) -> JSON {
    var entry = more
    entry["host"] = .string("127.0.0.1:\(server.port)")
    return entry
  }

  private static func challenge(_ text: String) -> LoopbackServer.Response {
    LoopbackServer.Response(401, headers: [("WWW-Authenticate", text)])
  }

  @Test func aRegistryThatWantsAPasswordGetsTheOneOfItsJob() throws {
    let server = LoopbackServer { request in
      request.headers["authorization"] == Self.basic
        ? .file(Self.content, for: request) : Self.challenge("Basic realm=\"x\"")
    }
    defer { server.stop() }
    let result = try FetchProgram.run("download", job(server, [registry(server)]))
    #expect(result.code == 0, "\(result.events)")
    #expect(try store.bytes(of: Self.digest) == Self.content)
    #expect(server.requests.map { $0.headers["authorization"] } == [nil, Self.basic])
  }

  @Test func anotherRegistrysPasswordStaysWhereItIs() throws {
    let server = LoopbackServer { _ in Self.challenge("Basic realm=\"x\"") }
    defer { server.stop() }
    let other: JSON = ["host": "127.0.0.1:1", "username": "kiosk", "password": "secret"]
    let result = try FetchProgram.run("download", job(server, [other]))
    #expect(result.failure?.code == "download.status")
    #expect(server.requests.map { $0.headers["authorization"] } == [nil])
  }

  @Test func aRefusedPasswordIsTriedOnceAndNotRepeatedToPeople() throws {
    let server = LoopbackServer { _ in Self.challenge("Basic realm=\"x\"") }
    defer { server.stop() }
    let result = try FetchProgram.run("download", job(server, [registry(server)]))
    #expect(result.failure?.message.contains("refuses the credentials") == true)
    #expect(server.requests.count == 2)
    #expect(!result.events.map(\.canonical).joined().contains("secret"))
  }

  /// Tokens that last for one request: a pull that is cut several times needs one more after each cut.
  @Test func aTokenThatExpiresInTheMiddleOfAPullIsFetchedAgain() throws {
    let issued = Mutex(0)
    let spent = Mutex<Set<String>>([])
    let tokens = LoopbackServer { request in
      guard request.headers["authorization"] == Self.basic else { return LoopbackServer.Response(401) }
      let number = issued.withLock { count in
        count += 1
        return count
      }
      return LoopbackServer.Response(text: "{\"token\":\"t\(number)\"}")
    }
    let realm = tokens.origin + "/token"
    let server = LoopbackServer { request in
      let token = request.headers["authorization"] ?? ""
      let isGood = token.hasPrefix("Bearer ") && spent.withLock { $0.insert(token).inserted }
      guard isGood else { return Self.challenge("Bearer realm=\"\(realm)\",service=\"r\"") }
      var response = LoopbackServer.Response.file(Self.content, for: request)
      if response.body.count > 100_000 { response.ending = .cut(after: 90_000) }
      return response
    }
    defer {
      server.stop()
      tokens.stop()
    }
    let result = try FetchProgram.run("download", job(server, [registry(server)]))
    #expect(result.code == 0, "\(result.events)")
    #expect(try store.bytes(of: Self.digest) == Self.content)
    #expect(issued.withLock { $0 } == 4)
    #expect(server.requests.allSatisfy { $0.headers["authorization"] != Self.basic })
  }

  @Test func aTokenThatIsNeverAcceptedIsNotFetchedForEver() throws {
    let tokens = LoopbackServer { _ in LoopbackServer.Response(text: #"{"token":"t"}"#) }
    let realm = tokens.origin + "/token"
    let server = LoopbackServer { _ in Self.challenge("Bearer realm=\"\(realm)\"") }
    defer {
      server.stop()
      tokens.stop()
    }
    #expect(try FetchProgram.run("download", job(server, [])).failure?.code == "download.status")
    #expect(tokens.requests.count == 1 && server.requests.count == 2)
  }

  @Test func aForeignTokenServerGetsNothing() throws {
    let evil = LoopbackServer { _ in LoopbackServer.Response(text: #"{"token":"t"}"#) }
    let realm = "http://localhost:\(evil.port)/token"
    let server = LoopbackServer { request in
      request.headers["authorization"] == "Bearer t"
        ? .file(Self.content, for: request) : Self.challenge("Bearer realm=\"\(realm)\"")
    }
    defer {
      server.stop()
      evil.stop()
    }
    let refused = try FetchProgram.run("download", job(server, [registry(server)]))
    #expect(refused.failure?.code == "image.unauthorized")
    #expect(refused.failure?.remedy.contains("registry_token_server") == true)
    #expect(evil.requests.isEmpty)
    let allowed: JSON = ["username": "kiosk", "password": "secret", "tokenServers": ["localhost"]]
    #expect(try FetchProgram.run("download", job(server, [registry(server, allowed)])).code == 0)
    #expect(evil.requests.map { $0.headers["authorization"] } == [Self.basic])
  }

  // MARK: Mirrors

  @Test func aMirrorServesTheLayerUnderItsOwnName() throws {
    let mirror = LoopbackServer { .file(Self.content, for: $0) }
    let server = LoopbackServer { _ in LoopbackServer.Response(500) }
    defer {
      server.stop()
      mirror.stop()
    }
    let entry = registry(server, ["mirrors": [.string("http://127.0.0.1:\(mirror.port)/hub")]])
    #expect(try FetchProgram.run("download", job(server, [entry])).code == 0)
    #expect(mirror.requests.map(\.target) == ["/v2/hub/team/web/blobs/\(Self.digest)"])
    #expect(server.requests.isEmpty)
  }

  @Test func whatAMirrorHasNotComesFromTheRegistryFromWhereTheMirrorStopped() throws {
    let mirror = LoopbackServer { request in
      var response = LoopbackServer.Response.file(Self.content, for: request)
      response.ending = .cut(after: 120_000)
      return response
    }
    let server = LoopbackServer { .file(Self.content, for: $0) }
    defer {
      server.stop()
      mirror.stop()
    }
    let entry = registry(server, ["mirrors": [.string("http://127.0.0.1:\(mirror.port)")]])
    #expect(try FetchProgram.run("download", job(server, [entry])).code == 0)
    #expect(try store.bytes(of: Self.digest) == Self.content)
    #expect(server.requests.map { $0.headers["range"] } == ["bytes=120000-"])
  }

  @Test func aMirrorThatLiesCostsOneMoreDownload() throws {
    let mirror = LoopbackServer { request in .file([UInt8](repeating: 1, count: 300_000), for: request) }
    let server = LoopbackServer { .file(Self.content, for: $0) }
    defer {
      server.stop()
      mirror.stop()
    }
    let entry = registry(server, ["mirrors": [.string("http://127.0.0.1:\(mirror.port)")]])
    #expect(try FetchProgram.run("download", job(server, [entry])).code == 0)
    #expect(try store.bytes(of: Self.digest) == Self.content)
    #expect(server.requests.map { $0.headers["range"] } == [nil])
  }

  // MARK: The job

  /// A secret is on standard input and nowhere else that another user of the machine can look at.
  @Test func aSecretIsNeitherAnArgumentNorInTheEnvironment() throws {
    let server = LoopbackServer { request in
      guard request.headers["authorization"] != nil else { return Self.challenge("Basic realm=\"x\"") }
      var response = LoopbackServer.Response.file(Self.content, for: request)
      response.ending = .held(after: 1_000)
      return response
    }
    defer { server.stop() }
    let entry = registry(server, ["username": "kiosk", "password": "sesame-7261"])
    let child = try FetchProgram.start("download", job(server, [entry]), in: directory)
    let partial = store.partialPath(of: Self.digest)
    #expect(FetchProgram.wait { TestFile.read(partial)?.count == 1_000 })
    for file in ["cmdline", "environ"] {
      let bytes = try #require(TestFile.read("/proc/\(child.processID)/\(file)"))
      #expect(!String(decoding: bytes, as: UTF8.self).contains("sesame"), "\(file)")
    }
  }

  @Test(
    arguments: [
      [:], ["host": "a b"], ["host": "a", "mirrors": ["ftp://x"]], ["host": "a", "username": "u"],
      ["host": "a", "username": "u:v", "password": "p"], ["host": "a", "tokenServers": "x"],
    ] as [JSON])
  func aRegistryThatIsDescribedWronglyIsRefusedAloud(_ entry: JSON) throws {
    let job: JSON = ["store": .string(store.root), "items": [], "registries": [entry]]
    #expect(try FetchProgram.run("download", job).failure?.code == "worker.job")
  }
}
