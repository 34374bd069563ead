import Testing
import WherryJSON
import WherryModel

@Suite struct PlanTests {
  private static func digest(_ byte: UInt8) -> Digest { Digest(bytes: Array(repeating: byte, count: 32)) }

  private static func image(registry: String) -> PlannedImage {
    let layer = PlannedLayer(digest: digest(5), size: 10, compression: .gzip, diffID: digest(6))
    return PlannedImage(
      reference: "x", registry: registry, repository: "team/web", manifest: digest(4), layers: [layer])
  }

  @Test("a plan's blobs are what its device has to fetch: recipes, artifacts, manifests and layers as they travel")
  func blobs() {
    var hello = PlannedComponent(name: "hello", version: Version(1, 0, 0), recipe: Self.digest(1))
    hello.artifacts = [PlannedArtifact(fileName: "a", digest: Self.digest(2), size: 1)]
    // A digest that somebody writes into a configuration is a text.
    hello.configuration.merge = ["secret": .string("\(Self.digest(9))")]
    var web = PlannedComponent(name: "web", version: Version(1, 0, 0), recipe: Self.digest(3))
    web.image = Self.image(registry: "https://registry.example.com")
    #expect(Plan(components: [hello, web]).blobs == Set([1, 2, 3, 4, 5].map(Self.digest)))
    #expect(Plan(components: []).blobs.isEmpty)
  }

  @Test("layers of the service's own images come from the service")
  func layers() throws {
    let other = Self.image(registry: "https://registry.example.com")
    let layer = try #require(other.layers.first)
    #expect(other.url(of: layer) == "https://registry.example.com/v2/team/web/blobs/\(Self.digest(5))")
    #expect(Self.image(registry: PlannedImage.serviceRegistry).url(of: layer) == nil)
  }
}
