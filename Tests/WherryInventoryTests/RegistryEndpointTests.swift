import Hummingbird
import Testing
import WherryDatabase
import WherryModel

@testable import WherryInventory

/// What a path means, without a service.
@Suite struct RegistryEndpointTests {
  @Test func aPathIsReadFromItsEnd() throws {
    let digest = Digest(bytes: Array(repeating: 0xab, count: 32))
    let web = RepositoryName(trusted: "team/web")
    let one = RegistryReference.tag(TagName(trusted: "1"))
    let endpoints: [(String, RegistryEndpoint)] = [
      ("/v2", .base), ("/v2/", .base), ("/v2/_catalog", .catalog), ("/v2/team/web/tags/list", .tags(web)),
      ("/v2/team/web/manifests/1", .manifest(web, one)),
      ("/v2/team/web/manifests/\(digest)", .manifest(web, .digest(digest))),
      ("/v2/team/web/blobs/\(digest)", .blob(web, digest)),
      ("/v2/team/web/referrers/\(digest)", .referrers(web, digest)),
      ("/v2/team/web/referrers/sha512:\(digest.hex)\(digest.hex)", .referrers(web, nil)),
      ("/v2/team/web/referrers/multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8", .referrers(web, nil)),
      ("/v2/team/web/blobs/uploads/", .uploads(web)), ("/v2/team/web/blobs/uploads", .uploads(web)),
      ("/v2/team/web/blobs/uploads/0a1b", .upload(web, id: "0a1b")),
      // Repositories that are called as the endpoints are.
      ("/v2/blobs/uploads/manifests/1", .manifest(RepositoryName(trusted: "blobs/uploads"), one)),
      ("/v2/tags/list/tags/list", .tags(RepositoryName(trusted: "tags/list"))),
      ("/v2/manifests/blobs/uploads/1", .upload(RepositoryName(trusted: "manifests"), id: "1")),
    ]
    for (path, endpoint) in endpoints { #expect(try RegistryEndpoint(path: path) == endpoint, "\(path)") }
  }

  @Test(
    arguments: [
      "/v2x", "/v2/web", "/v2/_catalog/", "/v2/tags/list", "/v2//tags/list", "/v2/team/../tags/list",
      "/v2/team//web/tags/list", "/v2/Team/tags/list", "/v2/-web/tags/list", "/v2/we%62/tags/list", "/v2/web/tags/all",
      "/v2/web/manifests/", "/v2/web/manifests/-1", "/v2/web/manifests/a%2fb", "/v2/web/manifests/sha256:12",
      "/v2/web/blobs/latest", "/v2/web/referrers/latest", "/v2/web/referrers/sha512:12", "/v2/web/referrers/a..b:12",
      "/v2/web/referrers/A:12", "/v2/web/referrers/a:", "/v2/web/referrers/a:1:2", "/v2/web/referrers/sha256:12",
      "/v1/web/tags/list",
      "/v2/\(String(repeating: "a", count: 201))/tags/list", "/v2/\(String(repeating: "a/", count: 300))tags/list",
    ])
  func everyOtherPathIsRefused(path: String) {
    let refused = #expect(throws: RegistryError.self) { _ = try RegistryEndpoint(path: path) }
    #expect((400..<500).contains(refused?.status.code ?? 0))
    if path.contains("/referrers/") { #expect(refused?.status == .badRequest) }
  }

  @Test func whatNothingCanBeCalledIsAbsentForAPullAndWrongForAPush() {
    let other = "sha512:\(String(repeating: "ab", count: 64))"
    for (name, code) in [(".none", RegistryError.Code.nameInvalid), (other, .digestInvalid)] {
      let path = "/v2/team/web/manifests/\(name)"
      for method in [HTTPRequest.Method.get, .head, .delete] {
        let absent = #expect(throws: RegistryError.self) { _ = try RegistryEndpoint(path: path, method: method) }
        #expect(absent?.status == .notFound, "\(method) \(name)")
        #expect(absent?.entries.first?.code == .manifestUnknown, "\(method) \(name)")
      }
      let wrong = #expect(throws: RegistryError.self) { _ = try RegistryEndpoint(path: path, method: .put) }
      #expect(wrong?.status == .badRequest, "\(name)")
      #expect(wrong?.entries.first?.code == code, "\(name)")
    }
    let blob = #expect(throws: RegistryError.self) { _ = try RegistryEndpoint(path: "/v2/team/web/blobs/\(other)") }
    #expect(blob?.status == .notFound)
    #expect(blob?.entries.first?.code == .blobUnknown)
  }

  @Test(arguments: ["web", "team/web", "a.b_c__d-e---f/0/x9", String(repeating: "a", count: 200)])
  func repositoriesAreNamedByTheSpecificationsGrammar(name: String) {
    #expect(RepositoryName(name)?.rawValue == name)
  }

  @Test(
    arguments: [
      "", "/", "web/", "/web", "a//b", "Web", "wéb", "a..b", "a___b", "a._b", "a-_b", ".a", "a.", "_a", "a_", "-a",
      "a-",
      "a b", "a:b", "a@b", String(repeating: "a", count: 201),
    ])
  func otherNamesAreNoRepositories(name: String) { #expect(RepositoryName(name) == nil) }

  @Test func tagsAreWordsWithDotsAndDashes() {
    for tag in ["latest", "1.4", "_x", "A-b.C_d", String(repeating: "a", count: 128)] {
      #expect(TagName(tag)?.rawValue == tag)
    }
    for text in ["", ".a", "-a", "a/b", "a b", "é", "a:b", String(repeating: "a", count: 129)] {
      #expect(TagName(text) == nil, "\(text)")
    }
  }

  @Test func queriesAreEncodedByteByByte() {
    #expect(RegistryRoutes.percentEncoded("team/a+b ü~") == "team%2Fa%2Bb%20%C3%BC~")
  }
}
