import Testing
import WherryCrypto
import WherryJSON
import WherryModel
import WherryOCI

@testable import WherryInventory

@Suite(
  .serialized, .timeLimit(.minutes(10)),
  .enabled(if: RunningService.isBrokerInstalled, "mosquitto is not installed: apt-get install mosquitto"))
struct RegistryDiscoveryTests {
  private func names(_ answer: RunningService.Answer, _ key: String) -> [String]? {
    answer.json[key]?.arrayValue?.compactMap(\.stringValue)
  }

  @Test func tagsAreListedInOrderAndInPages() async throws {
    try await RegistryClient.with { client in
      let image = TestManifest("one")
      for blob in image.blobs { try await client.push(blob: blob, to: "team/web") }
      let none = try await client.get("/v2/team/web/tags/list")
      #expect(names(none, "tags") == [])
      for tag in ["b", "a", "A", "1.0", "_x"] {
        #expect(try await client.push(manifest: image.bytes, to: "team/web", as: tag).status == 201)
      }
      let all = try await client.get("/v2/team/web/tags/list")
      #expect(all.json["name"] == "team/web")
      #expect(names(all, "tags") == ["1.0", "A", "_x", "a", "b"])
      #expect(all.headers["link"] == nil)
      let page = try await client.get("/v2/team/web/tags/list?n=2")
      #expect(names(page, "tags") == ["1.0", "A"])
      #expect(page.headers["link"] == "</v2/team/web/tags/list?n=2&last=A>; rel=\"next\"")
      #expect(names(try await client.get("/v2/team/web/tags/list?n=2&last=A"), "tags") == ["_x", "a"])
      let last = try await client.get("/v2/team/web/tags/list?n=2&last=_x")
      #expect(names(last, "tags") == ["a", "b"])
      #expect(last.headers["link"] == nil)
      #expect(names(try await client.get("/v2/team/web/tags/list?last=a"), "tags") == ["b"])
      let zero = try await client.get("/v2/team/web/tags/list?n=0")
      #expect(names(zero, "tags") == [])
      #expect(zero.headers["link"] == nil)
      for wrong in ["-1", "x", ""] {
        #expect(try await client.get("/v2/team/web/tags/list?n=\(wrong)").status == 400, "\(wrong)")
      }
    }
  }

  @Test func theCatalogNamesEveryRepositoryInPages() async throws {
    try await RegistryClient.with { client in
      #expect(names(try await client.get("/v2/_catalog"), "repositories") == [])
      for repository in ["team/web", "base", "team/api"] { try await client.push(blob: [1], to: repository) }
      #expect(names(try await client.get("/v2/_catalog"), "repositories") == ["base", "team/api", "team/web"])
      let page = try await client.get("/v2/_catalog?n=2")
      #expect(names(page, "repositories") == ["base", "team/api"])
      #expect(page.headers["link"] == "</v2/_catalog?n=2&last=team%2Fapi>; rel=\"next\"")
      let next = try await client.get("/v2/_catalog?n=2&last=team%2Fapi")
      #expect(names(next, "repositories") == ["team/web"])
    }
  }

  @Test func referrersAreAnIndexOfWhatHasTheSubjectFilteredByType() async throws {
    try await RegistryClient.with { client in
      let subject = TestManifest("one")
      // The subject need not be there when something is said about it.
      let note = TestManifest(
        "note",
        extra: [
          "subject": subject.descriptor, "annotations": ["org.example.by": "me"], "artifactType": "a/note+json",
        ])
      let plain = TestManifest("plain", extra: ["subject": subject.descriptor])
      for manifest in [note, plain] {
        for blob in manifest.blobs { try await client.push(blob: blob, to: "team/web") }
        let pushed = try await client.push(manifest: manifest.bytes, to: "team/web", as: "\(manifest.digest)")
        #expect(pushed.status == 201)
        #expect(pushed.headers["oci-subject"] == "\(subject.digest)")
      }
      let index = TestManifest.index([], extra: ["subject": subject.descriptor])
      try await client.push(manifest: index, type: MediaType.ociIndex, to: "team/web", as: "index")

      let all = try await client.get("/v2/team/web/referrers/\(subject.digest)")
      #expect(all.status == 200)
      #expect(all.headers["content-type"] == MediaType.ociIndex)
      #expect(all.json["schemaVersion"] == 2)
      #expect(all.json["mediaType"]?.stringValue == MediaType.ociIndex)
      var described = note.descriptor
      described["artifactType"] = "a/note+json"
      described["annotations"] = ["org.example.by": "me"]
      var plainly = plain.descriptor
      plainly["artifactType"] = "application/vnd.oci.image.config.v1+json"
      let expected: Set<JSON> = [described, plainly, TestManifest.descriptor(index, MediaType.ociIndex)]
      #expect(Set(all.json["manifests"]?.arrayValue ?? []) == expected)

      let filtered = try await client.get(
        "/v2/team/web/referrers/\(subject.digest)?artifactType=a%2Fnote%2Bjson")
      #expect(filtered.headers["oci-filters-applied"] == "artifactType")
      #expect(filtered.json["manifests"] == .array([described]))
      #expect(all.headers["oci-filters-applied"] == nil)

      #expect(try await client.send("DELETE", "/v2/team/web/manifests/\(note.digest)").status == 202)
      let fewer = try await client.get("/v2/team/web/referrers/\(subject.digest)")
      #expect(fewer.json["manifests"]?.arrayValue?.count == 2)
    }
  }

  @Test func whereNothingRefersTheListIsEmptyAndNotMissing() async throws {
    try await RegistryClient.with { client in
      let absent = SHA256.digest(of: "absent")
      let answer = try await client.get("/v2/no/such/referrers/\(absent)")
      #expect(answer.status == 200)
      #expect(answer.json["manifests"] == .array([]))
      let other = try await client.get("/v2/no/such/referrers/sha512:\(absent.hex)\(absent.hex)?artifactType=a")
      #expect(other.status == 200)
      #expect(other.headers["content-type"] == MediaType.ociIndex)
      #expect(other.json["manifests"] == .array([]))
      for wrong in ["sha256:bad", "sha512:bad"] {
        #expect(try await client.get("/v2/no/such/referrers/\(wrong)").status == 400, "\(wrong)")
      }
    }
  }

  @Test func aListOfReferrersThatIsTooLongForOneManifestHasPages() async throws {
    try await RegistryClient.with { client in
      let subject = TestManifest("one")
      let long = JSON.string(String(repeating: "x", count: 900_000))
      var digests: Set<String> = []
      for number in 1...4 {
        let manifest = TestManifest(
          "\(number)", extra: ["subject": subject.descriptor, "annotations": ["long": long]])
        for blob in manifest.blobs { try await client.push(blob: blob, to: "team/web") }
        #expect(try await client.push(manifest: manifest.bytes, to: "team/web", as: "\(number)").status == 201)
        digests.insert("\(manifest.digest)")
      }
      var path: String? = "/v2/team/web/referrers/\(subject.digest)"
      var pages = 0
      while let next = path, pages < 4 {
        let answer = try await client.get(next)
        let page = try JSON(parsing: answer.body, limits: JSONLimits(bytesMaximum: 4 << 20))
        for manifest in page["manifests"]?.arrayValue ?? [] {
          #expect(digests.remove(manifest["digest"]?.stringValue ?? "") != nil)
        }
        pages += 1
        path = answer.headers["link"].map { String($0.dropFirst().prefix { $0 != ">" }) }
      }
      #expect(pages == 2)
      #expect(digests.isEmpty)
    }
  }
}
