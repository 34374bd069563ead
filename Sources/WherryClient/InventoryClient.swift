import WherryJSON
import WherryModel
import WherryTransfer
import WherryWire

/// Typed client of the inventory service's HTTP API (Docs/api.md). Blocking; one request at a time.
package final class InventoryClient {
  package let url: String
  private let token: String
  private let http: HTTPClient
  /// Answers larger than this are refused; a page of 100,000 devices fits.
  private static let bodyBytesMaximum = 256 << 20

  /// - Parameter authorityPEM: the fleet's CA; nil trusts the system's authorities.
  package init(url: String, token: String, authorityPEM: String?) {
    self.url = url.hasSuffix("/") ? String(url.dropLast()) : url
    self.token = token
    var configuration = HTTPClientConfiguration()
    configuration.caPEM = authorityPEM
    http = HTTPClient(configuration: configuration)
  }

  // MARK: Requests

  private func headers(_ contentType: String?) -> [(String, String)] {
    var headers = [("authorization", "Bearer " + token), ("accept", "application/json")]
    if let contentType { headers.append(("content-type", contentType)) }
    return headers
  }

  @discardableResult
  package func send(_ method: String, _ path: String, body: JSON? = nil) throws -> JSON {
    let request = HTTPRequest(
      method: method, url: url + path, headers: headers(body == nil ? nil : "application/json"),
      body: body?.canonicalBytes)
    return try answer(to: request, what: "\(method) \(path)")
  }

  private func answer(to request: HTTPRequest, what: String) throws -> JSON {
    let response: HTTPResponse
    do throws(TransferError) {
      response = try http.send(request, maximumBodyBytes: Self.bodyBytesMaximum)
    } catch {
      throw unreachable(error)
    }
    try check(response, what: what)
    guard !response.body.isEmpty else { return .null }
    do {
      return try JSON(
        parsing: response.body, limits: JSONLimits(bytesMaximum: Self.bodyBytesMaximum, depthMaximum: 64))
    } catch {
      throw ClientError.malformed(what: what, reason: "\(error)")
    }
  }

  private func unreachable(_ error: TransferError) -> ClientError {
    .unreachable(url: url, reason: "\(error)", mayHeal: error.isTransient)
  }

  private func check(_ response: HTTPResponse, what: String) throws {
    guard !(200..<300).contains(response.status) else { return }
    if let json = try? JSON(parsing: response.body), let problem = try? Problem(JSONCursor(json)) {
      throw ClientError.refused(problem)
    }
    throw ClientError.malformed(what: what, reason: "status \(response.status) without an explanation")
  }

  private func decode<T>(_ what: String, _ json: JSON, _ body: (JSONCursor) throws -> T) throws -> T {
    do {
      return try body(JSONCursor(json))
    } catch let error as JSONShapeError {
      throw ClientError.malformed(what: what, reason: error.description)
    }
  }

  private func list<T>(_ path: String, _ body: (JSONCursor) throws -> T) throws -> [T] {
    try decode(path, send("GET", path)) { try $0.array().map(body) }
  }

  // MARK: Devices

  package func fleet() throws -> FleetSummary {
    try decode("fleet", send("GET", "/v1/fleet")) { try FleetSummary($0) }
  }

  package func devices(group: GroupName?) throws -> [DeviceSummary] {
    try list("/v1/devices" + (group.map { "?group=\($0)" } ?? "")) { try DeviceSummary($0) }
  }

  package func device(_ name: DeviceName) throws -> DeviceSummary {
    try decode("device", send("GET", "/v1/devices/\(name)")) { try DeviceSummary($0) }
  }

  package func removeDevice(_ name: DeviceName) throws { try send("DELETE", "/v1/devices/\(name)") }

  package func restart(_ component: ComponentName, on device: DeviceName) throws {
    try send("POST", "/v1/devices/\(device)/restart", body: ["component": .string(component.rawValue)])
  }

  /// Hands each log line to `onLine` until it returns false or the log ends. What the device could not do is thrown,
  /// and so is an end that nobody meant.
  package func logs(
    of component: ComponentName, on device: DeviceName, tail: Int, follow: Bool, onLine: (String) -> Bool
  ) throws {
    let path = "/v1/devices/\(device)/logs?component=\(component)&tail=\(tail)&follow=\(follow ? 1 : 0)"
    try events(path, what: "the log of \(component) on \(device)") { event in
      switch event.name {
      case "end": return false
      case "failure": throw ClientError.failed(event.data)
      case "message": return onLine(event.data)
      // A later version may tell more.
      default: return true
      }
    }
  }

  // MARK: Claims

  package func createClaim(_ request: ClaimRequest) throws -> ClaimSummary {
    try decode("claim", send("POST", "/v1/claims", body: request.json)) { try ClaimSummary($0) }
  }

  package func claims() throws -> [ClaimSummary] { try list("/v1/claims") { try ClaimSummary($0) } }

  package func createToken(_ request: TokenRequest) throws -> TokenSummary {
    try decode("token", send("POST", "/v1/tokens", body: request.json)) { try TokenSummary($0) }
  }

  package func tokens() throws -> [TokenSummary] { try list("/v1/tokens") { try TokenSummary($0) } }

  package func revokeToken(_ name: String) throws { try send("DELETE", "/v1/tokens/\(name)") }

  package func collectRegistryGarbage(untagged: Bool, isDryRun: Bool) throws -> GarbageReport {
    let path = "/v1/registry/gc?untagged=\(untagged ? 1 : 0)&dryRun=\(isDryRun ? 1 : 0)"
    return try decode("report", send("POST", path, body: [:])) { try GarbageReport($0) }
  }

  package func revokeClaim(_ id: String) throws { try send("DELETE", "/v1/claims/\(id)") }

  /// For docker, podman, skopeo and oras, which log in to the service's registry with it.
  package func registryPassword() throws -> RegistryPassword {
    try decode("password", send("POST", "/v1/registry/password", body: [:])) { try RegistryPassword($0) }
  }

  // MARK: Groups

  package func groups() throws -> [GroupSummary] { try list("/v1/groups") { try GroupSummary($0) } }

  package func group(_ name: GroupName) throws -> GroupSummary {
    try decode("group", send("GET", "/v1/groups/\(name)")) { try GroupSummary($0) }
  }

  package func createGroup(_ name: GroupName) throws { try send("PUT", "/v1/groups/\(name)", body: [:]) }

  package func removeGroup(_ name: GroupName) throws { try send("DELETE", "/v1/groups/\(name)") }

  package func add(_ device: DeviceName, to group: GroupName) throws {
    try send("PUT", "/v1/groups/\(group)/devices/\(device)", body: [:])
  }

  package func remove(_ device: DeviceName, from group: GroupName) throws {
    try send("DELETE", "/v1/groups/\(group)/devices/\(device)")
  }

  // MARK: Components

  package func components() throws -> [ComponentVersionSummary] {
    try list("/v1/components") { try ComponentVersionSummary($0) }
  }

  package func versions(of name: ComponentName) throws -> [ComponentVersionSummary] {
    try list("/v1/components/\(name)") { try ComponentVersionSummary($0) }
  }

  package func recipe(_ name: ComponentName, _ version: Version) throws -> Recipe {
    try decode("component", send("GET", "/v1/components/\(name)/\(version)")) { try Recipe($0.require("recipe")) }
  }

  /// True when the service already holds the blob.
  package func hasBlob(_ digest: Digest) throws -> Bool {
    do {
      let response = try http.send(
        HTTPRequest(method: "HEAD", url: "\(url)/v1/blobs/\(digest)", headers: headers(nil)), maximumBodyBytes: 0)
      if response.status == 404 { return false }
      try check(response, what: "HEAD /v1/blobs/\(digest)")
      return true
    } catch let error as TransferError {
      throw unreachable(error)
    }
  }

  package func uploadBlob(_ digest: Digest, file: String) throws {
    let request = HTTPRequest(
      method: "PUT", url: "\(url)/v1/blobs/\(digest)", headers: headers("application/octet-stream"), bodyFile: file)
    _ = try answer(to: request, what: "PUT /v1/blobs/\(digest)")
  }

  /// Registers a component version. `artifacts`: file name → digest and size of each `wherry:` artifact.
  package func publish(
    recipe: String, fileName: String, artifacts: [String: (digest: Digest, size: Int64)]
  ) throws -> ComponentVersionSummary {
    let body: JSON = [
      "recipe": .string(recipe), "fileName": .string(fileName),
      "artifacts": .object(
        artifacts.mapValues { ["digest": .string($0.digest.description), "size": .integer($0.size)] }),
    ]
    return try decode("publish", send("POST", "/v1/components", body: body)) { try ComponentVersionSummary($0) }
  }

  // MARK: Deployments

  package func deploy(_ request: DeploymentRequest) throws -> DeploymentSummary {
    try decode("deploy", send("POST", "/v1/deployments", body: request.json)) { try DeploymentSummary($0) }
  }

  /// What it would do; nothing is created.
  package func preview(_ request: DeploymentRequest) throws -> DeploymentPreview {
    try decode("deploy", send("POST", "/v1/deployments?plan=1", body: request.json)) { try DeploymentPreview($0) }
  }

  package func deployments() throws -> [DeploymentSummary] {
    try list("/v1/deployments") { try DeploymentSummary($0) }
  }

  package func deployment(_ id: DeploymentID) throws -> DeploymentSummary {
    try decode("deployment", send("GET", "/v1/deployments/\(id)")) { try DeploymentSummary($0) }
  }

  /// `verb`: pause, resume or cancel.
  package func steer(_ id: DeploymentID, _ verb: String) throws -> DeploymentSummary {
    try decode(verb, send("POST", "/v1/deployments/\(id)/\(verb)")) { try DeploymentSummary($0) }
  }

  /// Hands over the deployment at each change until `onChange` returns false or it has ended.
  package func watch(_ id: DeploymentID, onChange: (DeploymentSummary) -> Bool) throws {
    try events("/v1/deployments/\(id)/watch", what: "deployment \(id)") { event in
      switch event.name {
      case "end": return false
      case "message":
        let summary = try decode("watch", try parse(event.data)) { try DeploymentSummary($0) }
        return onChange(summary) && !summary.hasEnded
      default: return true
      }
    }
  }

  private func parse(_ text: String) throws -> JSON {
    do {
      return try JSON(
        parsing: text, limits: JSONLimits(bytesMaximum: ServerSentEventParser.eventBytesMaximum, depthMaximum: 64))
    } catch {
      throw ClientError.malformed(what: "watch", reason: "\(error)")
    }
  }

  // MARK: Server-sent events

  /// Hands over events until `onEvent` returns false. A stream that ends before that was cut.
  private func events(_ path: String, what: String, onEvent: (ServerSentEvent) throws -> Bool) throws {
    var parser = ServerSentEventParser()
    var isComplete = false
    var failure: (any Error)?
    let request = HTTPRequest(
      method: "GET", url: url + path,
      headers: [("authorization", "Bearer " + token), ("accept", "text/event-stream")])
    let response: HTTPResponse
    do throws(TransferError) {
      response = try http.stream(request) { chunk in
        do {
          for event in try parser.feed(chunk) where try !onEvent(event) {
            isComplete = true
            return false
          }
          return true
        } catch {
          failure = error
          return false
        }
      }
    } catch {
      throw unreachable(error)
    }
    if let error = failure as? ServerSentEventTooLarge {
      throw ClientError.tooLarge(what: what, bytesMaximum: error.bytesMaximum)
    }
    if let failure { throw failure }
    try check(response, what: "GET \(path)")
    guard isComplete else { throw ClientError.interrupted(what: what) }
  }
}

extension DeploymentSummary {
  /// Nothing more will change by itself: a halt waits for a person.
  package var hasEnded: Bool { ["completed", "halted", "cancelled", "superseded"].contains(state) }
}
