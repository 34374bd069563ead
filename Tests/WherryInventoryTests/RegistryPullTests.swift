import Testing
import WherryCrypto
import WherryJSON
import WherryOCI
import WherryWire

@testable import WherryInventory

@Suite(
  .serialized, .timeLimit(.minutes(10)),
  .enabled(if: RunningService.isBrokerInstalled, "mosquitto is not installed: apt-get install mosquitto"))
struct RegistryPullTests {
  @Test func aClientIsChallengedAndLetInWithATokenAsBearerOrAsAnyUsersPassword() async throws {
    try await RegistryClient.with { client in
      let refused = try await client.service.get("/v2/")
      #expect(refused.status == 401)
      #expect(refused.headers["www-authenticate"] == "Basic realm=\"wherry\"")
      #expect(refused.headers["docker-distribution-api-version"] == "registry/2.0")
      #expect(refused.codes == ["UNAUTHORIZED"])
      func basic(_ text: String) async throws -> Int {
        let value = "Basic \(Base64.encode(Array(text.utf8)))"
        return try await client.service.get("/v2/", headers: [("Authorization", value)]).status
      }
      #expect(try await basic("anybody:\(client.token)") == 200)
      #expect(try await basic(":\(client.token)") == 200)
      for wrong in ["anybody:guess", "anybody:", client.token] { #expect(try await basic(wrong) == 401, "\(wrong)") }
      #expect(try await client.get("/v2/").status == 200)
      #expect(try await client.get("/v2").status == 200)
      #expect(try await client.head("/v2/").status == 200)
    }
  }

  @Test func aViewerPullsAndChangesNothing() async throws {
    try await RegistryClient.with { client in
      let digest = try await client.push(image: "one", to: "team/web", as: "1")
      let viewer = try await client.with(.viewer)
      #expect(try await viewer.get("/v2/team/web/manifests/1").status == 200)
      #expect(try await viewer.get("/v2/_catalog").status == 200)
      let push = try await viewer.send("POST", "/v2/team/web/blobs/uploads/")
      #expect(push.status == 403)
      #expect(push.codes == ["DENIED"])
      #expect(try await viewer.push(manifest: TestManifest("one").bytes, to: "team/web", as: "2").status == 403)
      #expect(try await viewer.send("DELETE", "/v2/team/web/manifests/\(digest)").status == 403)
      let operated = try await client.with(.operator)
      #expect(try await operated.send("DELETE", "/v2/team/web/manifests/\(digest)").status == 202)
    }
  }

  @Test func aManifestIsServedByTagAndByDigestAsItWasPushed() async throws {
    try await RegistryClient.with { client in
      let image = TestManifest("one")
      try await client.push(image: "one", to: "team/web", as: "1")
      for reference in ["1", "\(image.digest)"] {
        let answer = try await client.get("/v2/team/web/manifests/\(reference)")
        #expect(answer.status == 200)
        #expect(answer.body == image.bytes)
        let head = try await client.head("/v2/team/web/manifests/\(reference)")
        #expect(head.status == 200)
        #expect(head.body.isEmpty)
        for headers in [answer.headers, head.headers] {
          #expect(headers["content-type"] == MediaType.ociManifest)
          #expect(headers["content-length"] == "\(image.bytes.count)")
          #expect(headers["docker-content-digest"] == "\(image.digest)")
        }
      }
    }
  }

  @Test func aBlobIsServedInRangesAndOnlyInTheRepositoryThatItWasPushedTo() async throws {
    try await RegistryClient.with { client in
      let bytes = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
      let digest = try await client.push(blob: bytes, to: "team/web")
      let path = "/v2/team/web/blobs/\(digest)"
      let whole = try await client.get(path)
      #expect(whole.status == 200)
      #expect(whole.body == bytes)
      #expect(whole.headers["docker-content-digest"] == "\(digest)")
      let head = try await client.head(path)
      #expect(head.status == 200)
      #expect(head.headers["content-length"] == "300000")
      #expect(head.headers["docker-content-digest"] == "\(digest)")
      let part = try await client.get(path, headers: [("Range", "bytes=299000-400000")])
      #expect(part.status == 206)
      #expect(part.body == Array(bytes[299_000...]))
      #expect(part.headers["content-range"] == "bytes 299000-299999/300000")
      let beyond = try await client.get(path, headers: [("Range", "bytes=300000-")])
      #expect(beyond.status == 416)
      // In the store, and yet not in this repository.
      let elsewhere = try await client.get("/v2/team/other/blobs/\(digest)")
      #expect(elsewhere.status == 404)
      #expect(elsewhere.codes == ["BLOB_UNKNOWN"])
    }
  }

  @Test func whatIsNotThereIsRefusedInTheSpecificationsForm() async throws {
    try await RegistryClient.with { client in
      let absent = SHA256.digest(of: "absent")
      let refusals: [(String, Int, String)] = [
        ("team/web/manifests/latest", 404, "MANIFEST_UNKNOWN"),
        ("team/web/manifests/\(absent)", 404, "MANIFEST_UNKNOWN"),
        ("team/web/manifests/sha256:bad", 400, "DIGEST_INVALID"), ("team/web/blobs/\(absent)", 404, "BLOB_UNKNOWN"),
        ("team/web/tags/list", 404, "NAME_UNKNOWN"), ("Team/web/tags/list", 400, "NAME_INVALID"),
        ("team/web/blobs/uploads/none", 404, "BLOB_UPLOAD_UNKNOWN"), ("nothing", 404, "UNSUPPORTED"),
        // Under these names nothing can be, so it is not there either.
        ("team/web/blobs/sha512:\(absent.hex)\(absent.hex)", 404, "BLOB_UNKNOWN"),
        ("team/web/manifests/sha512:\(absent.hex)\(absent.hex)", 404, "MANIFEST_UNKNOWN"),
        ("team/web/manifests/.none", 404, "MANIFEST_UNKNOWN"),
        ("team/web/blobs/sha512:\(absent.hex)", 400, "DIGEST_INVALID"),
      ]
      for (path, status, code) in refusals {
        let answer = try await client.get("/v2/\(path)")
        #expect(answer.status == status, "\(path)")
        #expect(answer.codes == [code], "\(path)")
        #expect(answer.json["errors"]?.arrayValue?.first?["message"]?.stringValue?.contains("; ") == true, "\(path)")
        #expect(try await client.head("/v2/\(path)").status == status, "\(path)")
      }
      let method = try await client.send("PUT", "/v2/team/web/tags/list")
      #expect(method.status == 405)
      #expect(method.headers["allow"] == "GET, HEAD")
    }
  }
}
