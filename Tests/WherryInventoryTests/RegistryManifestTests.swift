import Testing
import WherryCrypto
import WherryJSON
import WherryModel
import WherryOCI

@testable import WherryInventory

@Suite(
  .serialized, .timeLimit(.minutes(10)),
  .enabled(if: RunningService.isBrokerInstalled, "mosquitto is not installed: apt-get install mosquitto"))
struct RegistryManifestTests {
  @Test func aManifestIsTakenOnlyWhenWhatItNeedsIsInItsRepository() async throws {
    try await RegistryClient.with { client in
      let image = TestManifest("one")
      // In another repository, which does not count.
      try await client.push(image: "one", to: "team/other", as: "1")
      let refused = try await client.push(manifest: image.bytes, to: "team/web", as: "1")
      #expect(refused.status == 404)
      #expect(refused.codes == ["MANIFEST_BLOB_UNKNOWN", "MANIFEST_BLOB_UNKNOWN"])
      #expect(try await client.head("/v2/team/web/manifests/1").status == 404)
      let index = TestManifest.index([image.descriptor])
      let early = try await client.push(manifest: index, type: MediaType.ociIndex, to: "team/web", as: "all")
      #expect(early.codes == ["MANIFEST_BLOB_UNKNOWN"])

      try await client.push(image: "one", to: "team/web", as: "1")
      let pushed = try await client.push(manifest: index, type: MediaType.ociIndex, to: "team/web", as: "all")
      #expect(pushed.status == 201)
      #expect(try await client.get("/v2/team/web/manifests/all").headers["content-type"] == MediaType.ociIndex)
    }
  }

  @Test func layersThatAreFetchedFromTheirVendorNeedNotBeThere() async throws {
    try await RegistryClient.with { client in
      var image = TestManifest("one")
      for blob in image.blobs { try await client.push(blob: blob, to: "team/web") }
      let type = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
      image.members["layers"] = [
        TestManifest.descriptor(image.layer, "application/vnd.oci.image.layer.v1.tar"),
        TestManifest.descriptor(Array("the vendor's own".utf8), type),
      ]
      #expect(try await client.push(manifest: image.bytes, to: "team/web", as: "1").status == 201)
    }
  }

  @Test func bytesAreKeptExactlyAndAnswerToTheirDigestOnly() async throws {
    try await RegistryClient.with { client in
      let image = TestManifest("one")
      for blob in image.blobs { try await client.push(blob: blob, to: "team/web") }
      let bytes = Array("  ".utf8) + image.bytes + Array("\n\n".utf8)
      let digest = SHA256.digest(of: bytes)
      let wrong = try await client.push(manifest: bytes, to: "team/web", as: "\(image.digest)")
      #expect(wrong.status == 400)
      #expect(wrong.codes == ["DIGEST_INVALID"])
      let pushed = try await client.push(manifest: bytes, to: "team/web", as: "\(digest)")
      #expect(pushed.status == 201)
      #expect(pushed.headers["docker-content-digest"] == "\(digest)")
      let location = try #require(pushed.headers["location"])
      #expect(location == "/v2/team/web/manifests/\(digest)")
      #expect(try await client.get(location).body == bytes)
      #expect(try await client.push(manifest: bytes, to: "team/web", as: "\(digest)").status == 201)
    }
  }

  @Test func whatIsNoManifestIsRefusedWithItsReason() async throws {
    try await RegistryClient.with { client in
      let image = TestManifest("one")
      for blob in image.blobs { try await client.push(blob: blob, to: "team/web") }
      var lying = image
      lying.members["config"]?["size"] = 7
      let refusals: [([UInt8], String, Int, String)] = [
        (Array("{".utf8), MediaType.ociManifest, 400, "MANIFEST_INVALID"),
        (Array("{\"schemaVersion\":2,\"schemaVersion\":2}".utf8), MediaType.ociManifest, 400, "MANIFEST_INVALID"),
        (Array("{\"schemaVersion\":1}".utf8), MediaType.ociManifest, 400, "MANIFEST_INVALID"),
        (image.bytes, MediaType.ociIndex, 400, "MANIFEST_INVALID"),
        (image.bytes, "application/json", 400, "MANIFEST_INVALID"),
        (lying.bytes, MediaType.ociManifest, 400, "SIZE_INVALID"),
        (Array(repeating: 32, count: (4 << 20) + 1), MediaType.ociManifest, 413, "MANIFEST_INVALID"),
      ]
      for (number, (bytes, type, status, code)) in refusals.enumerated() {
        let answer = try await client.push(manifest: bytes, type: type, to: "team/web", as: "1")
        #expect(answer.status == status, "\(number)")
        #expect(answer.codes == [code], "\(number)")
      }
      // The type's parameters do not count.
      let type = "\(MediaType.ociManifest); charset=utf-8"
      #expect(try await client.push(manifest: image.bytes, type: type, to: "team/web", as: "1").status == 201)
      #expect(try await client.head("/v2/team/web/manifests/1").headers["content-type"] == MediaType.ociManifest)
    }
  }

  @Test func oneManifestGetsSeveralTagsWithItsDigest() async throws {
    try await RegistryClient.with { client in
      let image = TestManifest("one")
      for blob in image.blobs { try await client.push(blob: blob, to: "team/web") }
      let pushed = try await client.push(
        manifest: image.bytes, to: "team/web", as: "\(image.digest)?tag=1.2.3&tag=1.2&tag=latest")
      #expect(pushed.status == 201)
      #expect(pushed.headers["oci-tag"] == "1.2.3, 1.2, latest")
      for tag in ["1.2.3", "1.2", "latest"] {
        #expect(try await client.head("/v2/team/web/manifests/\(tag)").status == 200, "\(tag)")
      }
      let many = (0..<65).map { "tag=t\($0)" }.joined(separator: "&")
      let refused = try await client.push(manifest: image.bytes, to: "team/web", as: "\(image.digest)?\(many)")
      #expect(refused.status == 414)
      let wrong = try await client.push(manifest: image.bytes, to: "team/web", as: "\(image.digest)?tag=-no")
      #expect(wrong.codes == ["NAME_INVALID"])
    }
  }

  @Test func aTagMovesAndIsDeletedWithoutItsManifest() async throws {
    try await RegistryClient.with { client in
      let first = try await client.push(image: "one", to: "team/web", as: "1")
      let second = try await client.push(image: "two", to: "team/web", as: "1")
      #expect(try await client.head("/v2/team/web/manifests/1").headers["docker-content-digest"] == "\(second)")
      #expect(try await client.head("/v2/team/web/manifests/\(first)").status == 200)
      #expect(try await client.send("DELETE", "/v2/team/web/manifests/1").status == 202)
      #expect(try await client.head("/v2/team/web/manifests/1").status == 404)
      #expect(try await client.head("/v2/team/web/manifests/\(second)").status == 200)
      let again = try await client.send("DELETE", "/v2/team/web/manifests/1")
      #expect(again.status == 404)
      #expect(again.codes == ["MANIFEST_UNKNOWN"])
    }
  }

  @Test func aDeletedManifestTakesItsTagsAndWhatItNeededIsFree() async throws {
    try await RegistryClient.with { client in
      let image = TestManifest("one")
      try await client.push(image: "one", to: "team/web", as: "1")
      let index = TestManifest.index([image.descriptor])
      try await client.push(manifest: index, type: MediaType.ociIndex, to: "team/web", as: "all")
      let layer = "/v2/team/web/blobs/\(SHA256.digest(of: image.layer))"
      let manifest = "/v2/team/web/manifests/\(image.digest)"
      // What is referred to stays, so that a pull never finds half an image.
      for needed in [layer, manifest] {
        let refused = try await client.send("DELETE", needed)
        #expect(refused.status == 405)
        #expect(refused.codes == ["DENIED"])
      }
      for path in ["/v2/team/web/manifests/\(SHA256.digest(of: index))", manifest, layer] {
        #expect(try await client.send("DELETE", path).status == 202, "\(path)")
        #expect(try await client.head(path).status == 404, "\(path)")
        #expect(try await client.send("DELETE", path).status == 404, "\(path)")
      }
      for tag in ["1", "all"] { #expect(try await client.head("/v2/team/web/manifests/\(tag)").status == 404) }
    }
  }
}
