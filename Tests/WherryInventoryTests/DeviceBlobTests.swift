import Testing
import WherryCrypto
import WherryJSON
import WherryModel
import WherryWire

@testable import WherryInventory

/// A device's certificate opens what the device was told to run.
@Suite struct DeviceBlobTests {
  private func recipe(_ version: String, of name: String = "com.example.hello") -> String {
    EngineFixture.recipe(version, of: name, extra: "    Artifacts:\n      - Uri: wherry:\(name)-\(version).sh")
  }

  private func artifact(_ version: String, of name: String = "com.example.hello") -> Digest {
    SHA256.digest(of: "\(name) \(version)")
  }

  private func publish(_ version: String, of name: String = "com.example.hello", in fleet: EngineFixture) async throws {
    let bytes = Array("\(name) \(version)".utf8)
    try fleet.blobs.add(bytes, as: SHA256.digest(of: bytes))
    let file = PublicationRequest.File(digest: SHA256.digest(of: bytes), size: Int64(bytes.count))
    _ = try await fleet.engine.publish(
      PublicationRequest(
        recipe: recipe(version, of: name), fileName: "recipe.yaml", artifacts: ["\(name)-\(version).sh": file]),
      by: "test")
  }

  private func mayFetch(_ digest: Digest, _ device: DeviceName, in fleet: EngineFixture) async throws -> Bool {
    do {
      try await fleet.engine.requireOrdered(digest, by: device)
      return true
    } catch let refusal as Refusal {
      #expect(refusal.status == 403 && refusal.code == "blob.notYours")
      #expect(refusal.detail.contains("\(device)") && refusal.detail.contains("\(digest)"))
      return false
    }
  }

  /// A fleet of two devices with deployments of their own.
  private func fleet() async throws -> EngineFixture {
    let fleet = try await EngineFixture()
    for version in ["1.0.0", "2.0.0", "3.0.0"] { try await publish(version, in: fleet) }
    try await publish("1.0.0", of: "com.example.other", in: fleet)
    for device: DeviceName in ["kiosk-1", "kiosk-2"] { try await fleet.provision(device, groups: []) }
    _ = try await fleet.deploy(["com.example.other": Version(1, 0, 0)], to: .device("kiosk-2"))
    return fleet
  }

  private func deploy(_ major: Int, in fleet: EngineFixture) async throws {
    _ = try await fleet.deploy(["com.example.hello": Version(major, 0, 0)], to: .device("kiosk-1"))
  }

  @Test func aDeviceFetchesWhatItsOrderNamesAndNothingElse() async throws {
    let fleet = try await fleet()
    #expect(try await !mayFetch(artifact("1.0.0"), "kiosk-1", in: fleet), "it was told nothing yet")
    try await deploy(1, in: fleet)
    let order = try #require(try fleet.orders(to: "kiosk-1").last)
    let component = try #require(order.plan?.components.first)
    #expect(component.artifacts.map(\.digest) == [artifact("1.0.0")])
    for digest in [order.statement.plan, component.recipe, artifact("1.0.0")] {
      #expect(try await mayFetch(digest, "kiosk-1", in: fleet), "\(digest)")
      #expect(try await !mayFetch(digest, "kiosk-2", in: fleet), "\(digest)")
    }
    let other = try #require(try fleet.orders(to: "kiosk-2").last)
    for digest in [other.statement.plan, artifact("1.0.0", of: "com.example.other"), artifact("2.0.0")] {
      #expect(try await !mayFetch(digest, "kiosk-1", in: fleet), "\(digest)")
    }
    #expect(try await mayFetch(artifact("1.0.0", of: "com.example.other"), "kiosk-2", in: fleet))
  }

  @Test func anOrderThatIsReplacedWhileTheDeviceIsAtWorkOnItIsFinishedAllTheSame() async throws {
    let fleet = try await fleet()
    try await deploy(1, in: fleet)
    try await fleet.report("kiosk-1", 1, .fetching)
    try await deploy(2, in: fleet)
    // It has not heard of the second yet, or has and did not say so.
    #expect(try await mayFetch(artifact("1.0.0"), "kiosk-1", in: fleet))
    #expect(try await mayFetch(artifact("2.0.0"), "kiosk-1", in: fleet))
    try await deploy(3, in: fleet)
    for version in ["1.0.0", "2.0.0", "3.0.0"] {
      #expect(try await mayFetch(artifact(version), "kiosk-1", in: fleet), "\(version)")
    }
    try await fleet.restart()
    #expect(try await mayFetch(artifact("1.0.0"), "kiosk-1", in: fleet))
    // At work on the third, it has no business with the first any more.
    await fleet.setOnline("kiosk-1", false)
    await fleet.setOnline("kiosk-1", true)
    try await fleet.report("kiosk-1", 2, .fetching)
    #expect(try await !mayFetch(artifact("1.0.0"), "kiosk-1", in: fleet))
    #expect(try await mayFetch(artifact("2.0.0"), "kiosk-1", in: fleet))
  }

  @Test func namingAnotherDevicesPlanOpensNothing() async throws {
    let fleet = try await fleet()
    try await deploy(1, in: fleet)
    let foreign = try #require(try fleet.orders(to: "kiosk-2").last).statement.plan
    var report = DeviceReport(sequence: 1, generation: Generation(1), status: .fetching, components: [])
    (report.plan, report.running) = (foreign, foreign)
    await fleet.deliver(Topic.reported("kiosk-1"), report.json)
    #expect(try await fleet.engine.device("kiosk-1").reportedGeneration == Generation(1), "it was taken")
    #expect(try await !mayFetch(foreign, "kiosk-1", in: fleet))
    #expect(try await !mayFetch(artifact("1.0.0", of: "com.example.other"), "kiosk-1", in: fleet))
    #expect(try await mayFetch(artifact("1.0.0"), "kiosk-1", in: fleet))
  }
}
