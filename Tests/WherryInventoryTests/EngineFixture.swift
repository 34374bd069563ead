import Synchronization
import WherryCrypto
import WherryJSON
import WherryModel
import WherryOCI
import WherryTestSupport
import WherryWire

@testable import WherryDatabase
@testable import WherryInventory

/// The broker as the engine sees it: remembers what was published and plays what devices say.
final class RecordingBus: MessageBus {
  struct State {
    var published: [(token: Int, message: BusMessage)] = []
    var onEvent: (@Sendable (TransportEvent) -> Void)?
    var filters: [String] = []
    var nextToken = 1
  }

  let state = Mutex(State())

  func start(onEvent: @escaping @Sendable (TransportEvent) -> Void) { state.withLock { $0.onEvent = onEvent } }

  func publish(_ message: BusMessage) -> Int {
    state.withLock { state in
      defer { state.nextToken += 1 }
      state.published.append((state.nextToken, message))
      return state.nextToken
    }
  }

  func subscribe(_ filter: String, qos: Int) { state.withLock { $0.filters.append(filter) } }
  func stop() {}

  func push(_ event: TransportEvent) { state.withLock(\.onEvent)?(event) }

  /// Everything published to the topic, oldest first.
  func messages(to topic: String) -> [BusMessage] {
    state.withLock { $0.published.map(\.message).filter { $0.topic == topic } }
  }

  var tokens: [Int] { state.withLock { $0.published.map(\.token) } }
  func forget() { state.withLock { $0.published.removeAll() } }
}

/// A registry whose tags can be moved and which can be down.
final class FakeImages: ImagePinning {
  let state = Mutex((byte: UInt8(1), isDown: false, asked: [String]()))

  func pin(_ reference: String, platform: Platform) async throws -> PlannedImage {
    let (byte, isDown) = state.withLock { state in
      state.asked.append(reference)
      return (state.byte, state.isDown)
    }
    if isDown {
      throw Failure(.download, code: "download.unreachable", message: "the registry is down", remedy: "start it")
    }
    let layer = Digest(bytes: Array(repeating: 9, count: 32))
    return PlannedImage(
      reference: reference, registry: "https://registry.example.com", repository: "team/web",
      manifest: Digest(bytes: Array(repeating: byte, count: 32)),
      layers: [PlannedLayer(digest: layer, size: 10, compression: .gzip, diffID: layer)])
  }
}

extension InventoryEngine {
  /// As SIGKILL does it: nothing more is written or said, and only the files are left.
  func crash() {
    isStopped = true
    for timer in [timer, deliveredTimer, presenceTimer, retryTimer] { timer?.cancel() }
    inbox.close()
    database.close()
  }
}

/// An engine over a real database, a bus that records and a clock that stands still.
final class EngineFixture {
  let directory = TemporaryDirectory()
  let bus = RecordingBus()
  let images = FakeImages()
  let authority: CertificateAuthority
  let signingKey = Ed25519PrivateKey.generate()
  let blobs: ContentStore
  let clock = Clock()
  let revoked = Mutex<[String]>([])
  private(set) var engine: InventoryEngine

  final class Clock: Sendable {
    let instant = Mutex(Instant(milliseconds: 1_800_000_000_000))
    var now: Instant { instant.withLock { $0 } }
    func advance(seconds: Int) { instant.withLock { $0 = $0.advanced(bySeconds: seconds) } }
  }

  init() async throws {
    authority = try CertificateAuthority.create(commonName: "test CA", days: 10)
    blobs = try ContentStore(root: directory.path + "/blobs")
    engine = try Self.makeEngine(directory, bus, images, authority, signingKey, blobs, clock)
    try await connect()
  }

  private static func makeEngine(
    _ directory: TemporaryDirectory, _ bus: RecordingBus, _ images: FakeImages, _ authority: CertificateAuthority,
    _ key: Ed25519PrivateKey, _ blobs: ContentStore, _ clock: Clock
  ) throws -> InventoryEngine {
    let trust = TrustRoot(version: 1, keys: [SigningKey(id: key.publicKey.keyID, publicKey: key.publicKey.raw)])
    let environment = EngineEnvironment(
      authority: authority, signingKey: key, trustRoot: trust,
      endpoints: Endpoints(
        operatorURL: "https://localhost:1", deviceURL: "https://localhost:2", brokerHost: "localhost", brokerPort: 3,
        registryHosts: ["localhost:1"]),
      blobs: blobs, images: images, now: { clock.now })
    return try InventoryEngine(
      database: try InventoryDatabase(path: directory.path + "/inventory.db"), bus: bus, environment: environment)
  }

  private func connect() async throws {
    try await engine.start()
    await reconnect()
  }

  /// As after a crash: nothing is handed over but the files.
  func restart() async throws {
    await engine.crash()
    bus.forget()
    engine = try Self.makeEngine(directory, bus, images, authority, signingKey, blobs, clock)
    try await connect()
  }

  /// On a connection of its own, as an operator with a shell: triggers stand in for a disk that fails.
  func inDatabase(_ sql: String) throws {
    let database = try InventoryDatabase(path: directory.path + "/inventory.db")
    defer { database.close() }
    try database.store.execute(sql)
  }

  // MARK: - The broker

  func disconnect() async {
    bus.push(.disconnected(reason: "it was killed"))
    await engine.drain()
  }

  func reconnect() async {
    bus.push(.connected(sessionPresent: false))
    await engine.drain()
  }

  /// The broker takes over everything that it was given, and the outbox is emptied.
  func acknowledgeAll() async {
    for token in bus.tokens { bus.push(.published(token: token)) }
    await engine.drain()
    await engine.flushDelivered()
  }

  // MARK: - Devices

  func deliver(_ topic: String, _ json: JSON, isRetained: Bool = false) async {
    bus.push(.received(TransportMessage(topic: topic, payload: json.canonicalBytes, isRetained: isRetained)))
    await engine.drain()
  }

  func provision(
    _ name: DeviceName, groups: [GroupName] = ["kiosks"], isOnline: Bool = true, labels: [String: String] = [:]
  ) async throws {
    let claim = try await engine.createClaim(ClaimRequest(device: name, groups: groups, labels: labels), by: "test")
    let token = try Claim(text: claim.claim ?? "").token
    _ = try await engine.provision(try Self.request(name), token: token)
    if isOnline { await setOnline(name, true) }
  }

  static func request(_ name: DeviceName) throws -> ProvisioningRequest {
    let csr = try PrivateKey.generate().certificateRequest(commonName: name.rawValue)
    return ProvisioningRequest(
      device: name, csr: csr, platform: Platform(["os": "linux", "architecture": "amd64"]), labels: [:])
  }

  func setOnline(_ name: DeviceName, _ isOnline: Bool, isRetained: Bool = false) async {
    let presence = Presence(isOnline: isOnline, agentVersion: "1.0.0", bootID: "boot")
    await deliver(Topic.presence(name), presence.json, isRetained: isRetained)
  }

  func report(
    _ name: DeviceName, _ sequence: Int64, _ status: DeploymentStatus, generation: Int64? = nil,
    failure: Failure? = nil
  ) async throws {
    let desired = try orders(to: name).last
    var report = DeviceReport(
      sequence: sequence, generation: Generation(generation ?? desired?.statement.generation.rawValue ?? 0),
      status: status,
      components: [ComponentReport(name: "com.example.hello", version: Version(1, 0, 0), state: .running)])
    report.plan = desired?.statement.plan
    if status == .committed { report.running = report.plan }
    report.failure = failure
    await deliver(Topic.reported(name), report.json)
  }

  // MARK: - What devices were told

  struct Order {
    var statement: DesiredStatement
    var plan: Plan?
    var planText: String?
    var isSigned: Bool
  }

  func orders(to name: DeviceName) throws -> [Order] {
    try bus.messages(to: Topic.desired(name)).filter { !$0.payload.isEmpty }.map { message in
      let desired = try DesiredMessage(JSONCursor(try JSON(parsing: message.payload)))
      let statement = try DesiredStatement(JSONCursor(try JSON(parsing: desired.envelope.payload)))
      let isSigned = desired.envelope.signatures.contains {
        signingKey.publicKey.isValid(signature: $0.signature, for: desired.envelope.preAuthenticationEncoding)
      }
      let plan = try desired.plan.map { try Plan(JSONCursor(try JSON(parsing: $0))) }
      return Order(statement: statement, plan: plan, planText: desired.plan, isSigned: isSigned)
    }
  }

  // MARK: - Components and deployments

  static func recipe(_ version: String, of name: String = "com.example.hello", extra: String = "") -> String {
    """
    RecipeFormatVersion: "2020-01-25"
    ComponentName: \(name)
    ComponentVersion: "\(version)"
    Manifests:
      - Platform:
          os: linux
        Lifecycle:
          run: echo hello \(version)
    \(extra)
    """
  }

  static func containerRecipe(_ version: String, image: String) -> String {
    """
    RecipeFormatVersion: "2020-01-25"
    ComponentName: com.example.web
    ComponentVersion: "\(version)"
    Manifests:
      - Platform:
          os: linux
        Container:
          Image: \(image)
    """
  }

  func publish(_ text: String) async throws {
    _ = try await engine.publish(PublicationRequest(recipe: text, fileName: "recipe.yaml"), by: "test")
  }

  func deploy(
    _ components: [ComponentName: Version], to target: DeploymentTarget = .group("kiosks"),
    waves: [RolloutPolicy.Size] = [.percent(100)], onFailure: RolloutPolicy.FailureAction = .pause,
    _ change: (inout RolloutPolicy) -> Void = { _ in }
  ) async throws -> DeploymentSummary {
    var policy = RolloutPolicy()
    policy.waves = waves
    policy.onFailure = onFailure
    change(&policy)
    let request = DeploymentRequest(
      target: target,
      components: components.mapValues { DeployedComponent(requirement: VersionRequirement(exactly: $0)) },
      rollout: policy, apply: ApplyPolicy())
    return try await engine.deploy(request, by: "test")
  }
}

extension InventoryEngine {
  func desiredPlan(of device: DeviceName) throws -> Digest? { try database.device(device)?.plan }
}
