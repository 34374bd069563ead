import Glibc
import WherryCrypto
import WherryDatabase
import WherryInventory
import WherryModel
import WherryOCI
import WherryWire

// How long the service takes from a deployment request to 100,000 signed orders in its outbox, committed: versions are
// resolved, one plan is made, each device gets an envelope of its own. Prints one time in milliseconds for each run.
// Arguments: an empty directory, and how many runs.

/// A broker that is away: what is owed to it stays in the outbox.
struct NoBroker: MessageBus {
  func start(onEvent: @escaping @Sendable (TransportEvent) -> Void) {}
  func publish(_ message: BusMessage) -> Int { 0 }
  func subscribe(_ filter: String, qos: Int) {}
  func stop() {}
}

struct NoRegistry: ImagePinning {
  func pin(_ reference: String, platform: Platform) async throws -> PlannedImage {
    fatalError("\(reference) is not among the components of this benchmark")
  }
}

@Sendable func wall() -> Instant {
  var time = timespec()
  clock_gettime(CLOCK_REALTIME, &time)
  return Instant(milliseconds: Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000)
}

func recipe(_ version: String) -> String {
  """
  RecipeFormatVersion: "2020-01-25"
  ComponentName: com.example.bench
  ComponentVersion: "\(version)"
  Manifests:
    - Platform: { os: linux }
      Lifecycle: { run: "sleep 1000" }
  """
}

let directory = CommandLine.arguments[1]
let runs = CommandLine.arguments.count > 2 ? Int(CommandLine.arguments[2]) ?? 15 : 15
let devices = 100_000
let database = try InventoryDatabase(path: directory + "/inventory.db")
try database.transaction {
  let group = GroupName(trusted: "bench")
  try database.createGroup(group, at: wall())
  for number in 1...devices {
    let name = DeviceName(trusted: "bench-\(number)")
    try database.provision(
      DeviceRecord(
        name: name, platform: Platform(["os": "linux", "architecture": "amd64"]), labels: [:], certificate: "",
        createdAt: wall()))
    _ = try database.add(name, to: group)
    guard let old = try database.device(name) else { fatalError("\(name) was not stored") }
    var device = old
    device.isOnline = true
    try database.recordObserved(device, was: old)
  }
}
let key = Ed25519PrivateKey.generate()
let engine = try InventoryEngine(
  database: database, bus: NoBroker(),
  environment: EngineEnvironment(
    authority: try CertificateAuthority.create(commonName: "benchmark", days: 1), signingKey: key,
    trustRoot: TrustRoot(version: 1, keys: [SigningKey(id: key.publicKey.keyID, publicKey: key.publicKey.raw)]),
    endpoints: Endpoints(operatorURL: "", deviceURL: "", brokerHost: "", brokerPort: 1),
    blobs: try ContentStore(root: directory + "/blobs"), images: NoRegistry(), now: wall))
for run in 1...runs {
  _ = try await engine.publish(
    PublicationRequest(recipe: recipe("\(run).0.0"), fileName: "recipe.yaml"), by: "benchmark")
}
for run in 1...runs {
  var request = DeploymentRequest(
    target: .group(GroupName(trusted: "bench")),
    components: ["com.example.bench": DeployedComponent(requirement: VersionRequirement(exactly: Version(run, 0, 0)))])
  request.rollout.waves = [.percent(100)]
  let clock = ContinuousClock()
  let start = clock.now
  let summary = try await engine.deploy(request, by: "benchmark")
  let elapsed = clock.now - start
  guard summary.waves.first?.released == devices, try await engine.outboxCount() == devices else {
    fatalError("not every device was ordered: \(summary.waves)")
  }
  print(Double(elapsed.components.seconds) * 1e3 + Double(elapsed.components.attoseconds) / 1e15)
}
