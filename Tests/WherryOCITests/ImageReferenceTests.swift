import Testing
import WherryModel

@testable import WherryOCI

@Suite struct ImageReferenceTests {
  private static let hex = String(repeating: "ab", count: 32)

  @Test(arguments: [
    ("nginx", "docker.io/library/nginx:latest"),
    ("nginx:1.25", "docker.io/library/nginx:1.25"),
    ("team/web", "docker.io/team/web:latest"),
    ("docker.io/nginx", "docker.io/library/nginx:latest"),
    ("localhost/web", "localhost/web:latest"),
    ("localhost:5000/web:1", "localhost:5000/web:1"),
    ("127.0.0.1:5055/example/web:1.0.0", "127.0.0.1:5055/example/web:1.0.0"),
    ("registry.example.com/a/b-c/d__e/f.g:Tag_1.2-3", "registry.example.com/a/b-c/d__e/f.g:Tag_1.2-3"),
    ("registry.example.com/a/b----c", "registry.example.com/a/b----c:latest"),
    ("r.example.com/a@sha256:\(hex)", "r.example.com/a@sha256:\(hex)"),
    ("r.example.com/a:1@sha256:\(hex)", "r.example.com/a:1@sha256:\(hex)"),
    ("wherry:web", "wherry:web:latest"),
    ("wherry:my.team/web:1.0.0", "wherry:my.team/web:1.0.0"),
    ("wherry:team/web@sha256:\(hex)", "wherry:team/web@sha256:\(hex)"),
    ("wherry.example.com/web:1", "wherry.example.com/web:1"),
  ])
  func isReadAsDockerReadsIt(_ text: String, _ full: String) throws {
    #expect(try ImageReference(parsing: text).description == full)
  }

  @Test(arguments: [
    "", ":1", "@", "/", "a/", "/a", "A", "a/B", "a:", "a:-x", "a:b c", "a..b", "a___b", ".a", "a.", "a//b",
    "a@sha256:12",
    "a@sha512:\(hex)", "a@sha256:\(hex.uppercased())", "example.com:0/a", "example.com:99999/a", "exa mple.com/a",
    "wherry:", "wherry:/a", "wherry:a:", "wherry:A", "wherry:a//b", "wherry:host:5000/a",
    "-x.com/a", "https://example.com/a", "a/../b", "a\n", "ä", "example.com:/a",
    String(repeating: "a", count: 256), "a:" + String(repeating: "b", count: 129),
  ])
  func whatIsNotAReferenceIsRefusedWithTheReason(_ text: String) {
    let failure = #expect(throws: Failure.self) { try ImageReference(parsing: text) }
    #expect(failure?.code == "image.reference")
    #expect(failure?.remedy.isEmpty == false)
  }

  @Test func theDefaultRegistryCanBeConfigured() throws {
    let reference = try ImageReference(parsing: "web:1", defaultRegistry: "r.example.com")
    #expect(reference.registry == "r.example.com")
    #expect(reference.repository == "web")
  }

  @Test func theServicesOwnRegistryHasNoHost() throws {
    let own = try ImageReference(parsing: "wherry:web:1")
    #expect(own.isOfService)
    #expect(own.registry == PlannedImage.serviceRegistry && own.repository == "web" && own.tag == "1")
    #expect(try ImageReference(parsing: "web:1", defaultRegistry: ImageReference.serviceRegistry) == own)
    #expect(try !ImageReference(parsing: "web:1").isOfService)
  }

  @Test func aDigestIsWhatIsAskedFor() throws {
    #expect(try ImageReference(parsing: "a:1@sha256:\(Self.hex)").manifestName == "sha256:\(Self.hex)")
    #expect(try ImageReference(parsing: "a:1").manifestName == "1")
  }
}
