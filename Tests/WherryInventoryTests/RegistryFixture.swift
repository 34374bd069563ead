import Testing
import WherryCrypto
import WherryDatabase
import WherryJSON
import WherryModel
import WherryOCI
import WherryTestSupport

@testable import WherryInventory

/// The registry of a whole running service, spoken to as a client would.
struct RegistryClient: Sendable {
  let service: RunningService
  let token: String

  static func with(_ body: (RegistryClient) async throws -> Void) async throws {
    let directory = TemporaryDirectory()
    // The service's files stay until it has ended.
    defer { withExtendedLifetime(directory) {} }
    let service = try await RunningService(RunningService.configuration(directory))
    do {
      try await body(RegistryClient(service: service, token: try #require(service.token)))
    } catch {
      await service.stop()
      throw error
    }
    await service.stop()
  }

  /// The same service with another token, which is made for it.
  func with(_ role: OperatorRole) async throws -> RegistryClient {
    let token = "wherry_\(role.rawValue)"
    try await service.engine.setToken(OperatorToken(name: role.rawValue, role: role), token)
    return RegistryClient(service: service, token: token)
  }

  // MARK: - Requests

  @discardableResult
  func send(
    _ method: String, _ path: String, headers: [(String, String)] = [], body: [UInt8]? = nil
  ) async throws -> RunningService.Answer {
    let needsBody = ["POST", "PUT", "PATCH"].contains(method)
    return try await service.send(method, path, token: token, headers: headers, body: body ?? (needsBody ? [] : nil))
  }

  func get(_ path: String, headers: [(String, String)] = []) async throws -> RunningService.Answer {
    try await send("GET", path, headers: headers)
  }

  func head(_ path: String) async throws -> RunningService.Answer { try await send("HEAD", path) }

  /// Begins an upload and gives its location.
  func begin(_ repository: String) async throws -> String {
    let answer = try await send("POST", "/v2/\(repository)/blobs/uploads/")
    #expect(answer.status == 202)
    return try #require(answer.headers["location"])
  }

  func patch(_ location: String, _ bytes: [UInt8], range: String? = nil) async throws -> RunningService.Answer {
    var headers = [("Content-Type", "application/octet-stream")]
    if let range { headers.append(("Content-Range", range)) }
    return try await send("PATCH", location, headers: headers, body: bytes)
  }

  func finish(_ location: String, _ digest: Digest, _ bytes: [UInt8] = []) async throws -> RunningService.Answer {
    try await send(
      "PUT", "\(location)?digest=\(digest)", headers: [("Content-Type", "application/octet-stream")], body: bytes)
  }

  @discardableResult
  func push(blob: [UInt8], to repository: String) async throws -> Digest {
    let digest = SHA256.digest(of: blob)
    let answer = try await send(
      "POST", "/v2/\(repository)/blobs/uploads/?digest=\(digest)",
      headers: [("Content-Type", "application/octet-stream")], body: blob)
    #expect(answer.status == 201)
    return digest
  }

  @discardableResult
  func push(
    manifest: [UInt8], type: String = MediaType.ociManifest, to repository: String, as reference: String
  ) async throws -> RunningService.Answer {
    try await send(
      "PUT", "/v2/\(repository)/manifests/\(reference)", headers: [("Content-Type", type)], body: manifest)
  }

  /// An image of one small layer, with its blobs, under the tag; its manifest's digest.
  @discardableResult
  func push(image text: String, to repository: String, as tag: String) async throws -> Digest {
    let image = TestManifest(text)
    for blob in image.blobs { try await push(blob: blob, to: repository) }
    #expect(try await push(manifest: image.bytes, to: repository, as: tag).status == 201)
    return image.digest
  }
}

extension RunningService.Answer {
  /// Of the registry's errors.
  var codes: [String] { (json["errors"]?.arrayValue ?? []).compactMap { $0["code"]?.stringValue } }
}

/// An image manifest over a configuration and one layer, made of a text.
struct TestManifest {
  let config: [UInt8]
  let layer: [UInt8]
  var members: [String: JSON]

  init(_ text: String, extra: [String: JSON] = [:]) {
    config = Array("{\"os\":\"linux\",\"about\":\"\(text)\"}".utf8)
    layer = Array("layer of \(text)".utf8)
    members = [
      "schemaVersion": 2, "mediaType": .string(MediaType.ociManifest),
      "config": Self.descriptor(config, "application/vnd.oci.image.config.v1+json"),
      "layers": [Self.descriptor(layer, "application/vnd.oci.image.layer.v1.tar")],
    ]
    members.merge(extra) { $1 }
  }

  var blobs: [[UInt8]] { [config, layer] }
  var bytes: [UInt8] { JSON.object(members).canonicalBytes }
  var digest: Digest { SHA256.digest(of: bytes) }
  var descriptor: JSON { Self.descriptor(bytes, MediaType.ociManifest) }

  static func descriptor(_ bytes: [UInt8], _ type: String) -> JSON {
    [
      "mediaType": .string(type), "digest": .string("\(SHA256.digest(of: bytes))"),
      "size": .integer(Int64(bytes.count)),
    ]
  }

  static func index(_ manifests: [JSON], extra: [String: JSON] = [:]) -> [UInt8] {
    var members: [String: JSON] = [
      "schemaVersion": 2, "mediaType": .string(MediaType.ociIndex), "manifests": .array(manifests),
    ]
    members.merge(extra) { $1 }
    return JSON.object(members).canonicalBytes
  }
}
