import Testing
import WherryCrypto
import WherryDatabase
import WherryJSON
import WherryModel
import WherryOCI

@testable import WherryInventory

/// Images of the service's own registry are pinned in the process and reach devices as blobs of the service.
@Suite struct OwnImageTests {
  /// An image of one layer that could be unpacked.
  private struct Image {
    let layer: [UInt8]
    let manifest: TestManifest

    init(_ text: String, architecture: String = "amd64") {
      layer = Array("layer of \(text)".utf8)
      let config: JSON = [
        "os": "linux", "architecture": .string(architecture),
        "config": ["Entrypoint": ["/serve"], "Cmd": [.string(text)], "User": "1000"],
        "rootfs": ["type": "layers", "diff_ids": [.string("\(SHA256.digest(of: layer))")]],
      ]
      manifest = TestManifest(config: config.canonicalBytes, layer: layer)
    }

    /// As an entry of an index.
    func descriptor(architecture: String) -> JSON {
      var descriptor = manifest.descriptor
      descriptor["platform"] = ["os": "linux", "architecture": .string(architecture)]
      return descriptor
    }
  }

  private let web = RepositoryName(trusted: "team/web")

  private func put(
    _ bytes: [UInt8], type: String = MediaType.ociManifest, as tag: String?, in fleet: EngineFixture
  ) async throws {
    let manifest = try RegistryManifest(bytes, contentType: type)
    try fleet.blobs.add(bytes, as: manifest.digest)
    try await fleet.engine.putRegistryManifest(
      manifest, in: web, tags: tag.map { [TagName(trusted: $0)] } ?? [], by: "test")
  }

  private func push(_ image: Image, as tag: String?, to fleet: EngineFixture) async throws {
    for blob in image.manifest.blobs {
      try fleet.blobs.add(blob, as: SHA256.digest(of: blob))
      try await fleet.engine.linkRegistryBlob(SHA256.digest(of: blob), to: web)
    }
    try await put(image.manifest.bytes, as: tag, in: fleet)
  }

  /// What the device was told to run.
  private func image(ofLastOrderTo name: DeviceName, _ fleet: EngineFixture) throws -> PlannedImage {
    try #require(try fleet.orders(to: name).last?.plan?.components.first?.image)
  }

  private func deploy(_ reference: String, _ version: Version, in fleet: EngineFixture) async throws {
    try await fleet.publish(EngineFixture.containerRecipe("\(version)", image: reference))
    _ = try await fleet.deploy(["com.example.web": version])
  }

  @Test(arguments: ["wherry:team/web:1", "localhost:1/team/web:1"])
  func anImageOfTheOwnRegistryIsPinnedWithoutARequest(reference: String) async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    let pushed = Image("one")
    try await push(pushed, as: "1", to: fleet)
    try await deploy(reference, Version(1, 0, 0), in: fleet)

    let image = try image(ofLastOrderTo: "kiosk-1", fleet)
    #expect(image.reference == reference)
    #expect(image.registry == PlannedImage.serviceRegistry)
    #expect(image.repository == "team/web")
    #expect(image.manifest == pushed.manifest.digest)
    #expect(image.layers.map(\.digest) == [SHA256.digest(of: pushed.layer)])
    #expect(image.layers.map { image.url(of: $0) } == [nil])
    #expect(image.entrypoint == ["/serve"] && image.command == ["one"] && image.user == "1000")
    #expect(fleet.images.state.withLock { $0.asked } == [])
  }

  @Test func anotherHostIsAskedAsEver() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    try await push(Image("one"), as: "1", to: fleet)
    for (patch, reference) in ["localhost:2/team/web:1", "team/web:1"].enumerated() {
      try await deploy(reference, Version(1, 0, patch), in: fleet)
      #expect(try image(ofLastOrderTo: "kiosk-1", fleet).registry == "https://registry.example.com")
    }
    #expect(fleet.images.state.withLock { $0.asked } == ["localhost:2/team/web:1", "team/web:1"])
  }

  @Test func aTagThatMovesChangesTheNextDeploymentOnly() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    let (first, second) = (Image("one"), Image("two"))
    try await push(first, as: "stable", to: fleet)
    try await deploy("wherry:team/web:stable", Version(1, 0, 0), in: fleet)
    try await push(second, as: "stable", to: fleet)
    try await fleet.report("kiosk-1", 1, .committed)
    try await fleet.provision("kiosk-2")
    #expect(try image(ofLastOrderTo: "kiosk-2", fleet).manifest == first.manifest.digest)
    _ = try await fleet.deploy(["com.example.web": Version(1, 0, 0)])
    #expect(try image(ofLastOrderTo: "kiosk-1", fleet).manifest == second.manifest.digest)
    try await deploy("wherry:team/web:stable@\(first.manifest.digest)", Version(1, 1, 0), in: fleet)
    #expect(try image(ofLastOrderTo: "kiosk-1", fleet).manifest == first.manifest.digest)
  }

  @Test func ofAnIndexTheManifestForTheDevicesPlatformIsTaken() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    let (arm, amd) = (Image("arm", architecture: "arm64"), Image("amd"))
    for image in [arm, amd] { try await push(image, as: nil, to: fleet) }
    let index = TestManifest.index([arm.descriptor(architecture: "arm64"), amd.descriptor(architecture: "amd64")])
    try await put(index, type: MediaType.ociIndex, as: "all", in: fleet)
    try await deploy("wherry:team/web:all", Version(1, 0, 0), in: fleet)
    #expect(try image(ofLastOrderTo: "kiosk-1", fleet).manifest == amd.manifest.digest)

    let other = TestManifest.index([arm.descriptor(architecture: "arm64")])
    try await put(other, type: MediaType.ociIndex, as: "arm", in: fleet)
    let refusal = await refusal(of: "wherry:team/web:arm", in: fleet)
    #expect(refusal?.code == "image.platform" && refusal?.status == 422)
    #expect(refusal?.detail.contains("linux/arm64") == true)
  }

  // MARK: - Refusals

  private func refusal(of reference: String, in fleet: EngineFixture) async -> Refusal? {
    await #expect(throws: Refusal.self) { try await deploy(reference, Version(9, 0, 0), in: fleet) }
  }

  @Test(arguments: ["wherry:team/web:2", "wherry:team/other:1", "localhost:1/web"])
  func whatIsNotThereIsRefusedWithTheWayToPushIt(reference: String) async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    try await push(Image("one"), as: "1", to: fleet)
    let refusal = await refusal(of: reference, in: fleet)
    #expect(refusal?.code == "image.notFound" && refusal?.status == 422)
    #expect(refusal?.detail.contains(reference) == true)
    #expect(refusal?.remedy.contains("wherry image push") == true)
    #expect(try fleet.orders(to: "kiosk-1").isEmpty)
  }

  @Test func anImageWhoseLayerIsGoneIsNotDeployed() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    let image = Image("one")
    try await push(image, as: "1", to: fleet)
    try fleet.blobs.remove(SHA256.digest(of: image.layer))
    let layer = await refusal(of: "wherry:team/web:1", in: fleet)
    #expect(layer?.code == "image.incomplete")
    #expect(layer?.detail.contains("\(SHA256.digest(of: image.layer))") == true)
    try fleet.blobs.remove(image.manifest.digest)
    #expect(await refusal(of: "wherry:team/web:1", in: fleet)?.code == "image.incomplete")
  }

  // MARK: - What the registry is called

  @Test func theOwnRegistryGoesByTheListenersNames() {
    var configuration = ServiceConfiguration(dataDirectory: "data")
    #expect(configuration.registryHosts == ["127.0.0.1:8443", "localhost:8443"])
    configuration.publicHosts = ["Fleet.example.com", "10.0.0.1"]
    configuration.listen = ListenAddress(host: "0.0.0.0", port: 443)
    let names = ["fleet.example.com", "10.0.0.1", "localhost", "127.0.0.1"]
    #expect(configuration.registryHosts == Set(names + names.map { "\($0):443" }))
    // What listens on this machine's loopback beside it may be somebody else's.
    configuration.publicHosts = []
    configuration.listen = ListenAddress(host: "192.0.2.1", port: 8443)
    #expect(configuration.registryHosts == ["192.0.2.1:8443"])
    configuration.listen = ListenAddress(host: "::", port: 8443)
    #expect(configuration.registryHosts == ["localhost:8443", "127.0.0.1:8443"])
  }
}
