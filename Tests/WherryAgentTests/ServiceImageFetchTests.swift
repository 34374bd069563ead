import Testing
import WherryModel

@testable import WherryAgent

@Suite struct ServiceImageFetchTests {
  @Test func layersOfTheServicesOwnImagesComeFromTheService() throws {
    let bench = try Bench()
    var own = Bench.container("com.example.own", version: Version(2, 0, 0))
    own.image?.registry = PlannedImage.serviceRegistry
    let plan = bench.plan([Bench.container("com.example.other"), own])
    let work = FetchWork(for: plan, paths: bench.paths, exists: { _ in false })
    let other = try #require(plan.components.first?.image)
    let layer = try #require(other.layers.first)
    #expect(
      work.downloads.map(\.url) == ["http://registry:5000/v2/com.example.other/blobs/\(layer.digest)", nil])
    #expect(work.downloads.map(\.isLayer) == [true, true])
  }
}
