import Glibc
import Testing
import WherryCrypto
import WherryDatabase
import WherryJSON
import WherryMQTT
import WherryModel
import WherryTestSupport
import WherryWire

@testable import WherryInventory

/// The real thing: TLS listeners, mosquitto, files.
@Suite(
  .serialized, .timeLimit(.minutes(10)),
  .enabled(if: RunningService.isBrokerInstalled, "mosquitto is not installed: apt-get install mosquitto"))
struct ServiceTests {
  let directory = TemporaryDirectory()

  func withService(_ body: (RunningService, String) async throws -> Void) async throws {
    let service = try await RunningService(RunningService.configuration(directory))
    do {
      try await body(service, try #require(service.token))
    } catch {
      await service.stop()
      throw error
    }
    await service.stop()
  }

  @Test func aRestartLosesNothing() async throws {
    let configuration = RunningService.configuration(directory)
    let first = try await RunningService(configuration)
    let token = try #require(first.token)
    #expect(try await first.send("PUT", "/v1/groups/kiosks", token: token).status == 200)
    await first.stop()

    let second = try await RunningService(configuration)
    #expect(second.token == nil)
    #expect(second.authority == first.authority)
    let groups = try await second.get("/v1/groups", token: token)
    #expect(groups.json.arrayValue?.compactMap { $0["name"]?.stringValue } == ["kiosks"])
    await second.stop()
  }

  @Test func keysAreClosedToOthersAndTheTokenIsNowhereInClear() async throws {
    try await withService { _, token in
      for name in ["ca.key", "server.key", "inventory.key", "signing.key"] {
        var status = stat()
        #expect(stat("\(directory.path)/data/keys/\(name)", &status) == 0)
        #expect(status.st_mode & 0o077 == 0)
      }
      let database = TestFile.read("\(directory.path)/data/inventory.db") ?? []
      let log = TestFile.read("\(directory.path)/data/inventory.db-wal") ?? []
      #expect(!String(decoding: database + log, as: UTF8.self).contains(token))
    }
  }

  @Test func aSecondServiceOnTheSameDirectoryIsToldSoInOneSentence() async throws {
    try await withService { _, _ in
      let refusal = await #expect(throws: Refusal.self) {
        _ = try await RunningService(RunningService.configuration(directory))
      }
      let sentence = refusal?.description ?? ""
      #expect(sentence.contains("is using the data directory"))
      #expect(sentence.contains("process \(getpid())"))
    }
  }

  @Test(arguments: ["--listen", "--device-listen", "--broker-listen"])
  func aPortInUseIsNamedWithItsOption(option: String) async throws {
    try await withService { service, _ in
      let other = TemporaryDirectory()
      var configuration = RunningService.configuration(other)
      let port: Int
      switch option {
      case "--listen":
        port = try Self.port(of: service.endpoints.operatorURL)
        configuration.listen.port = port
      case "--device-listen":
        port = try Self.port(of: service.endpoints.deviceURL)
        configuration.deviceListen.port = port
      default:
        port = service.endpoints.brokerPort
        configuration.brokerListen.port = port
      }
      let taken = configuration
      let refusal = await #expect(throws: Refusal.self) { _ = try await RunningService(taken) }
      #expect(refusal?.description.contains("port \(port)") == true)
      #expect(refusal?.description.split(separator: " ").contains { $0 == option } == true)
    }
  }

  private static func port(of url: String) throws -> Int {
    try #require(url.split(separator: ":").last.flatMap { Int($0) })
  }

  // MARK: - Who may do what

  private static let openRoutes: Set<String> = ["/healthz", "/readyz", "/metrics", "/openapi.json"]

  /// The operation's path with something in the place of each parameter.
  private func path(of operation: OpenAPI.Operation) -> String {
    operation.path.split(separator: "/").map { $0.hasPrefix("{") ? "/1" : "/\($0)" }.joined()
  }

  private func send(
    _ operation: OpenAPI.Operation, _ service: RunningService, token: String?
  ) async throws -> RunningService.Answer {
    try await service.send(operation.method.uppercased(), path(of: operation), token: token)
  }

  @Test func everythingButTheOpenRoutesNeedsAToken() async throws {
    try await withService { service, token in
      for path in Self.openRoutes { #expect(try await service.get(path).status == 200, "\(path)") }
      for operation in OpenAPI.operations where !Self.openRoutes.contains(operation.path) {
        // A claim's token is another matter: it is looked for in the request that it comes with.
        let wrongTokens: [String?] = operation.path == "/v1/provision" ? [nil] : [nil, "wherry_guess"]
        for wrong in wrongTokens {
          let refused = try await send(operation, service, token: wrong)
          #expect(refused.status == 401, "\(operation.method) \(operation.path)")
          #expect(refused.headers["content-type"] == "application/problem+json")
          if operation.method != "head" { #expect(refused.problem?.remedy.isEmpty == false) }
        }
      }
      #expect(try await service.get("/v1/fleet", token: token).status == 200)
      let nowhere = try await service.get("/v1/nowhere", token: token)
      #expect(nowhere.status == 404)
      #expect(nowhere.problem?.detail == "there is no GET /v1/nowhere")
      let metrics = try await service.get("/metrics")
      #expect(metrics.text.contains("\nwherry_broker_connected 1\n"))
    }
  }

  @Test func aViewersTokenReadsAndChangesNothing() async throws {
    try await withService { service, _ in
      try await service.engine.setToken(OperatorToken(name: "guest", role: .viewer), "wherry_guest")
      for operation in OpenAPI.operations
      where operation.path.hasPrefix("/v1/") && operation.path != "/v1/provision" {
        let answer = try await send(operation, service, token: "wherry_guest")
        // Who has which token is for administrators.
        let isReading = ["get", "head"].contains(operation.method) && operation.path != "/v1/tokens"
        #expect((answer.status == 403) == !isReading, "\(operation.method) \(operation.path): \(answer.status)")
        #expect(answer.status != 401)
        let refusals = ["urn:wherry:problem:token.viewer", "urn:wherry:problem:token.notAdmin"]
        if !isReading { #expect(refusals.contains(answer.problem?.type ?? "")) }
      }
      #expect(try await service.get("/v1/fleet", token: "wherry_guest").status == 200)
      #expect(try await service.engine.groups().isEmpty)
    }
  }

  @Test func malformedBodiesAreLocatedInOneSentence() async throws {
    try await withService { service, token in
      let broken = try await service.send("POST", "/v1/deployments", token: token, body: Array("{\"target\":".utf8))
      #expect(broken.status == 400)
      #expect(broken.problem?.detail.contains("line 1") == true)
      let shape = try await service.send("POST", "/v1/deployments", token: token, body: Array("{}".utf8))
      #expect(shape.status == 400)
      #expect(shape.problem?.detail.contains("target") == true)
      let publication: JSON = [
        "recipe": "x", "artifacts": ["a.sh": ["digest": .string("\(SHA256.digest(of: "x"))"), "size": -1]],
      ]
      let negative = try await service.send(
        "POST", "/v1/components", token: token, headers: [("Content-Type", "application/json")],
        body: publication.canonicalBytes)
      #expect(negative.status == 400)
      #expect(negative.problem?.detail.contains("/artifacts/a.sh/size: -1 is not between 0 and 2^53") == true)
      let large = try await service.send(
        "POST", "/v1/components", token: token, body: Array(repeating: 32, count: 3 << 20))
      #expect(large.status == 413)
    }
  }

  @Test func blobsAreVerifiedWhileTheyComeAndServedInRanges() async throws {
    try await withService { service, token in
      let bytes = (0..<(5 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
      let digest = SHA256.digest(of: bytes)
      let path = "/v1/blobs/\(digest)"
      #expect(try await service.get(path, token: token).status == 404)
      let wrong = try await service.send("PUT", path, token: token, body: Array(bytes.dropLast()))
      #expect(wrong.status == 422)
      #expect(wrong.problem?.detail.contains("not \(digest)") == true)
      #expect(try await service.get(path, token: token).status == 404)

      #expect(try await service.send("PUT", path, token: token, body: bytes).status == 201)
      #expect(try await service.send("PUT", path, token: token, body: bytes).status == 200)
      #expect(try await service.get(path, token: token).body == bytes)
      let part = try await service.get(path, token: token, headers: [("Range", "bytes=100-")])
      #expect(part.status == 206)
      #expect(part.body == Array(bytes[100...]))
      #expect(part.headers["content-range"] == "bytes 100-\(bytes.count - 1)/\(bytes.count)")
      let beyond = try await service.get(path, token: token, headers: [("Range", "bytes=\(bytes.count)-")])
      #expect(beyond.status == 416)
      #expect(try await service.get("/v1/blobs/sha256:short", token: token).status == 400)
    }
  }

  @Test func aDeviceIsProvisionedAndOnlyItsCertificateOpensTheDeviceListener() async throws {
    try await withService { service, token in
      let (identity, response) = try await service.provision("kiosk-1", token: token)
      let bytes = Array("an artifact".utf8)
      let digest = SHA256.digest(of: bytes)
      #expect(try await service.send("PUT", "/v1/blobs/\(digest)", token: token, body: bytes).status == 201)
      let url = "\(response.deviceURL)/v1/blobs/\(digest)"
      // It is there, and the device was not told to run anything that needs it.
      let early = try await service.get(url, identity: identity)
      #expect(early.status == 403 && early.problem?.type == "urn:wherry:problem:blob.notYours")
      let device = try BrokerDevice(
        "kiosk-1", identity, authority: service.authority, port: service.endpoints.brokerPort, directory)
      defer { device.stop() }
      try await deployArtifact(digest, size: bytes.count, to: "kiosk-1", of: service, token: token)
      _ = try await device.firstOrder()

      #expect(try await service.get(url, identity: identity).body == bytes)
      await #expect(throws: (any Error).self) { _ = try await service.get(url) }
      #expect(try await service.get("\(response.deviceURL)/v1/blobs/x", identity: identity).status == 400)

      #expect(try await service.send("DELETE", "/v1/devices/kiosk-1", token: token).status == 204)
      #expect(try await service.get(url, identity: identity).status == 403)
    }
  }

  private func deployArtifact(
    _ digest: Digest, size: Int, to device: DeviceName, of service: RunningService, token: String
  ) async throws {
    let recipe = EngineFixture.recipe("1.0.0", extra: "    Artifacts:\n      - Uri: wherry:a.sh")
    let publication: JSON = [
      "recipe": .string(recipe),
      "artifacts": ["a.sh": ["digest": .string("\(digest)"), "size": .integer(Int64(size))]],
    ]
    let published = try await service.send(
      "POST", "/v1/components", token: token, headers: [("Content-Type", "application/json")],
      body: publication.canonicalBytes)
    #expect(published.status == 201)
    let component = DeployedComponent(requirement: VersionRequirement(exactly: Version(1, 0, 0)))
    let request = DeploymentRequest(target: .device(device), components: ["com.example.hello": component])
    let deployed = try await service.send("POST", "/v1/deployments", token: token, body: request.json.canonicalBytes)
    #expect(deployed.status == 201)
  }

  @Test(.timeLimit(.minutes(10))) func aRemovedDeviceLosesTheBrokerWhileItIsConnected() async throws {
    try await withService { service, token in
      let (identity, _) = try await service.provision("kiosk-1", token: token)
      let changes = await service.engine.changes()
      let device = try BrokerDevice(
        "kiosk-1", identity, authority: service.authority, port: service.endpoints.brokerPort, directory)
      defer { device.stop() }
      for await _ in changes where try await service.engine.fleet().online == 1 { break }
      #expect(try await service.send("DELETE", "/v1/devices/kiosk-1", token: token).status == 204)
      await device.publishUntilRefused(Topic.reported("kiosk-1"))
    }
  }

  @Test func aDeviceReadsAndWritesOnlyItsOwnTopics() async throws {
    try await withService { service, token in
      var devices: [BrokerDevice] = []
      for name: DeviceName in ["kiosk-1", "kiosk-2"] {
        let (identity, _) = try await service.provision(name, token: token)
        devices.append(
          try BrokerDevice(
            name, identity, authority: service.authority, port: service.endpoints.brokerPort, directory))
      }
      defer { for device in devices { device.stop() } }
      let curious = devices[0]
      for filter in ["#", "wherry/v1/devices/+/desired", Topic.desired("kiosk-2"), "$SYS/#"] {
        curious.subscribe(filter)
      }
      _ = try await service.send(
        "POST", "/v1/components", token: token, body: Array(EngineFixture.recipe("1.0.0").utf8))
      var policy = RolloutPolicy()
      policy.waves = [.percent(100)]
      let request = DeploymentRequest(
        target: .group("kiosks"),
        components: [
          "com.example.hello": DeployedComponent(requirement: VersionRequirement(exactly: Version(1, 0, 0)))
        ],
        rollout: policy)
      #expect(
        try await service.send("POST", "/v1/deployments", token: token, body: request.json.canonicalBytes).status == 201
      )
      _ = try await devices[1].firstOrder()

      let forged = DeviceReport(sequence: 7, generation: Generation(1), status: .failed, components: [])
      curious.publish(Topic.reported("kiosk-2"), forged.json)
      curious.publish(
        Topic.reported("kiosk-1"),
        DeviceReport(sequence: 1, generation: Generation(0), status: nil, components: []).json)
      // Whatever else it was sent came before this.
      let topics = await curious.topics(upTo: Topic.acked("kiosk-1"))
      #expect(topics.allSatisfy { $0.hasPrefix("wherry/v1/devices/kiosk-1/") }, "\(topics)")
      #expect(try await service.engine.device("kiosk-2").status != .failed, "a report in another device's name counted")
    }
  }

  @Test func aClientWithoutACertificateIsNotLetIn() async throws {
    try await withService { service, _ in
      let authority = directory.file("authority")
      TestFile.write(service.authority.utf8, to: authority)
      let refused = ChildProcess.run(
        "/usr/bin/openssl",
        [
          "s_client", "-connect", "127.0.0.1:\(service.endpoints.brokerPort)", "-CAfile", authority,
          "-verify_return_error",
          "-ign_eof",
        ])
      let outcome = try #require(refused, "openssl is not installed")
      #expect(outcome.output.contains("certificate required"), "\(outcome.output)")
    }
  }

  @Test func aDeploymentReachesTheDeviceThroughTheBrokerAndItsReportComesBack() async throws {
    try await withService { service, token in
      let (identity, _) = try await service.provision("kiosk-1", token: token)
      let device = try BrokerDevice(
        "kiosk-1", identity, authority: service.authority, port: service.endpoints.brokerPort, directory)
      defer { device.stop() }
      let recipe = Array(EngineFixture.recipe("1.0.0").utf8)
      let published = try await service.send("POST", "/v1/components", token: token, body: recipe)
      #expect(published.status == 201)
      let request = DeploymentRequest(
        target: .group("kiosks"),
        components: ["com.example.hello": DeployedComponent(requirement: VersionRequirement(exactly: Version(1, 0, 0)))]
      )
      let created = try await service.send(
        "POST", "/v1/deployments", token: token, body: request.json.canonicalBytes)
      #expect(created.status == 201)

      let statement = try await device.firstOrder()
      #expect(statement.generation == Generation(1))
      var report = DeviceReport(sequence: 1, generation: Generation(1), status: .committed, components: [])
      report.plan = statement.plan
      report.running = statement.plan
      device.publish(Topic.reported("kiosk-1"), report.json)
      #expect(try await device.firstAcknowledgement() == 1)

      let events = try await service.events("/v1/deployments/1/watch", token: token, count: 1)
      let summary = try DeploymentSummary(JSONCursor(try JSON(parsing: try #require(events.first))))
      #expect(summary.state == "completed")
    }
  }

  @Test func theDashboardShowsTheFleetAfterLoggingIn() async throws {
    try await withService { service, token in
      _ = try await service.provision("kiosk-1", token: token)
      // Without a session every page is the login form.
      #expect(try await service.get("/").text.contains("Operator token"))
      let form = [("Content-Type", "application/x-www-form-urlencoded")]
      let wrong = try await service.send("POST", "/login", headers: form, body: Array("token=nothing".utf8))
      #expect(wrong.status == 401)
      #expect(wrong.text.contains("no operator token"))
      let cookie = try #require(try await service.engine.openSession(token: token))
      let session = [("Cookie", "wherry_session=\(cookie)")]

      let page = try await service.get("/", headers: session)
      #expect(page.status == 200)
      #expect(page.text.contains("data-device=\"kiosk-1\""))
      #expect(try await service.get("/fragment", headers: session).text.contains("kiosk-1"))
      // A cookie reads, it does not change anything.
      #expect(try await service.get("/v1/fleet", headers: session).status == 200)
      #expect(try await service.send("PUT", "/v1/groups/x", headers: session).status == 401)
      _ = try await service.send("POST", "/logout", headers: session)
      #expect(try await service.get("/fragment", headers: session).status == 401)
    }
  }

  private func brokerProcess() throws -> pid_t {
    let text = try #require(TestFile.read("\(directory.path)/data/broker/mosquitto.pid"))
    return try #require(pid_t(String(decoding: text, as: UTF8.self).split(separator: "\n").first ?? ""))
  }

  /// A broker that outlives a killed service would otherwise hold the pipes of whoever started that.
  @Test func theBrokerInheritsNoDescriptor() async throws {
    var ends: [Int32] = [-1, -1]
    #expect(pipe(&ends) == 0)
    defer { for end in ends { close(end) } }
    try await withService { _, _ in
      let process = try brokerProcess()
      for end in ends {
        var (own, its) = (stat(), stat())
        #expect(fstat(end, &own) == 0)
        // Its descriptor of that number, if it has one, is something else.
        if stat("/proc/\(process)/fd/\(end)", &its) == 0 { #expect(own.st_ino != its.st_ino) }
      }
    }
  }

  @Test func theBrokerIsStartedAgainWhenItDies() async throws {
    try await withService { service, _ in
      let process = try brokerProcess()
      let changes = await service.engine.changes()
      kill(process, SIGKILL)
      for await _ in changes where await service.engine.statistics.connections == 2 { break }
      #expect(try await service.get("/readyz").status == 200)
    }
  }
}
