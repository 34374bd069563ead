import Glibc
import Logging
import WherryCrypto
import WherryJSON
import WherryModel
import WherryTestSupport
import WherryTransfer
import WherryWire

@testable import WherryInventory

/// The whole service in this process, on free ports, with a real mosquitto.
final class RunningService: Sendable {
  let endpoints: Endpoints
  let authority: String
  let token: String?
  let milliseconds: Int64
  let engine: InventoryEngine
  private let shutDown: @Sendable () async -> Void
  private let task: Task<Void, any Error>

  static let isBrokerInstalled = BrokerProcess.find("mosquitto") != nil

  static func configuration(_ directory: TemporaryDirectory) -> ServiceConfiguration {
    var configuration = ServiceConfiguration(dataDirectory: directory.path + "/data")
    configuration.listen.port = 0
    configuration.deviceListen.port = 0
    configuration.brokerListen.port = 0
    return configuration
  }

  static let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

  init(_ configuration: ServiceConfiguration, logger: Logger = RunningService.silent) async throws {
    let ports = [configuration.listen.port, configuration.deviceListen.port, configuration.brokerListen.port]
    var token: String?
    var run: Run?
    // A port that was free when it was chosen may be another test's when it is bound.
    for attemptsLeft in [4, 3, 2, 1, 0] where run == nil {
      do { run = try await Run(configuration, logger: logger) { token = $0 } } catch {
        guard attemptsLeft > 0, ports == [0, 0, 0], "\(error)".contains("in use") else { throw error }
      }
    }
    guard let run else { throw Refusal(500, "test", "the service never began", remedy: "") }
    self.token = token
    task = run.task
    endpoints = run.started.endpoints
    milliseconds = run.started.milliseconds
    authority = SmallFile.text(run.started.authorityFile) ?? ""
    shutDown = run.started.shutDown
    engine = run.engine
  }

  private struct Run {
    let started: InventoryService.Started
    let engine: InventoryEngine
    let task: Task<Void, any Error>

    init(_ configuration: ServiceConfiguration, logger: Logger, keepToken: (String) throws -> Void) async throws {
      let service = try await InventoryService(configuration, logger: logger, keepToken: keepToken)
      engine = service.engine
      let (stream, continuation) = AsyncStream.makeStream(of: InventoryService.Started.self)
      task = Task {
        defer { continuation.finish() }
        try await service.run(signals: []) { continuation.yield($0) }
      }
      var started: InventoryService.Started?
      for await value in stream {
        started = value
        break
      }
      guard let started else {
        try await task.value
        throw Refusal(500, "test", "the service ended before it was ready", remedy: "")
      }
      self.started = started
    }
  }

  /// As after SIGTERM.
  func stop() async {
    await shutDown()
    _ = await task.result
  }

  // MARK: - HTTP

  struct Answer: Sendable {
    var status: Int
    var headers: [String: String]
    var body: [UInt8]
    var text: String { String(decoding: body, as: UTF8.self) }
    var json: JSON { (try? JSON(parsing: body)) ?? .null }
    var cursor: JSONCursor { JSONCursor(json) }
    var problem: Problem? { try? Problem(cursor) }
  }

  struct Identity: Sendable {
    var certificate: String
    var key: String
  }

  private func client(_ identity: Identity?) -> HTTPClient {
    var configuration = HTTPClientConfiguration()
    configuration.caPEM = authority
    configuration.clientCertificatePEM = identity?.certificate
    configuration.clientKeyPEM = identity?.key
    return HTTPClient(configuration: configuration)
  }

  func send(
    _ method: String, _ url: String, token: String? = nil, headers: [(String, String)] = [],
    body: [UInt8]? = nil, identity: Identity? = nil
  ) async throws -> Answer {
    let address = url.hasPrefix("https://") ? url : endpoints.operatorURL + url
    var all = headers
    if let token { all.append(("Authorization", "Bearer \(token)")) }
    let sent = all
    return try await OwnThread.run {
      let request = HTTPRequest(method: method, url: address, headers: sent, body: body)
      let response = try self.client(identity).send(request, maximumBodyBytes: 32 << 20)
      return Answer(status: response.status, headers: response.headers, body: response.body)
    }
  }

  func get(
    _ url: String, token: String? = nil, headers: [(String, String)] = [], identity: Identity? = nil
  ) async throws -> Answer {
    try await send("GET", url, token: token, headers: headers, identity: identity)
  }

  /// Blocks until `onChunk` returns false or the service ends the stream.
  func stream(_ path: String, token: String, onChunk: ([UInt8]) -> Bool) throws {
    let request = HTTPRequest(url: endpoints.operatorURL + path, headers: [("Authorization", "Bearer \(token)")])
    _ = try client(nil).stream(request, onChunk: onChunk)
  }

  /// The first `count` events of a stream.
  func events(_ path: String, token: String, count: Int) async throws -> [String] {
    try await OwnThread.run {
      var text = ""
      func data() -> [String] {
        text.split(separator: "\n").filter { $0.hasPrefix("data: ") }.map { String($0.dropFirst(6)) }
      }
      try? self.stream(path, token: token) { chunk in
        text += String(decoding: chunk, as: UTF8.self)
        return data().count < count
      }
      return Array(data().prefix(count))
    }
  }

  /// As `wherry-agent provision` does it, over HTTP.
  func provision(
    _ name: DeviceName, token: String
  ) async throws -> (Identity, ProvisioningResponse) {
    let request = ClaimRequest(device: name, groups: ["kiosks"], labels: [:], expiresInSeconds: 60, uses: 1)
    let answer = try await send("POST", "/v1/claims", token: token, body: request.json.canonicalBytes)
    let claim = try Claim(text: try ClaimSummary(answer.cursor).claim ?? "")
    let key = try PrivateKey.generate()
    let body = ProvisioningRequest(
      device: name, csr: try key.certificateRequest(commonName: name.rawValue),
      platform: Platform(["os": "linux", "architecture": "amd64"]), labels: [:])
    let response = try await send(
      "POST", claim.url + "/v1/provision", token: claim.token, body: body.json.canonicalBytes)
    let provisioned = try ProvisioningResponse(response.cursor)
    return (Identity(certificate: provisioned.certificate, key: key.pem), provisioned)
  }
}
