import Testing
import WherryJSON
import WherryModel
import WherryTestSupport

@testable import WherryAgent

/// `wherry-agent images`.
@Suite struct ImageListTests {
  private static func digest(_ byte: UInt8) -> Digest { Digest(bytes: [UInt8](repeating: byte, count: 32)) }

  private static func plan(_ name: ComponentName, manifest: UInt8, layers: [UInt8]) -> Plan {
    var component = Bench.container(name)
    component.image = PlannedImage(
      reference: "registry/app:\(manifest)", registry: "http://registry", repository: "app", manifest: digest(manifest),
      layers: layers.map { PlannedLayer(digest: digest($0 + 100), size: 1, compression: .gzip, diffID: digest($0)) })
    return Plan(deployments: [DeploymentID(1)], components: [component])
  }

  @Test func sizesSharesAndUsersAreTold() throws {
    var list = ImageList()
    list.add(Self.plan("com.example.a", manifest: 50, layers: [1, 2]), .former)
    list.add(Self.plan("com.example.b", manifest: 50, layers: [1, 2]), .running)
    list.add(Self.plan("com.example.a", manifest: 51, layers: [1, 3]), .coming)
    let sizes: [Digest: Int64] = [Self.digest(1): 1_000, Self.digest(2): 20]
    let json = list.json { sizes[$0] }
    let rows = try #require(json["images"]?.arrayValue)
    #expect(json["storedBytes"] == 1_020)
    #expect(rows.map { $0["use"] } == ["running", "coming"])
    #expect(rows.map { $0["bytes"] } == [1_020, 1_000] && rows.map { $0["sharedBytes"] } == [1_000, 1_000])
    #expect(rows.map { $0["layersPresent"] } == [2, 1], "the third layer has not come yet")
    #expect(rows[0]["components"] == ["com.example.a 1.0.0", "com.example.b 1.0.0"])
  }

  @Test func theAgentNamesWhatRunsAndWhatItKeeps() throws {
    let bench = try Bench()
    bench.start()
    bench.connect()
    for (generation, version) in [Version(1, 0, 0), Version(2, 0, 0)].enumerated() {
      let component = Bench.container("com.example.web", version: version)
      for layer in component.image?.layers ?? [] { bench.worker.blobs[layer.digest.description] = [1] }
      bench.order(bench.message(bench.plan([component]), generation: Int64(generation + 1)))
      bench.run(milliseconds: 3_000)
    }
    let list = try ImageList(try #require(bench.engine.imagesJSON.arrayValue))
    #expect(list.images.sorted { $0.use < $1.use }.map(\.use) == [.running, .former])
    #expect(list.images.first { $0.use == .running }?.users == ["com.example.web 2.0.0"])
  }
}
