import Glibc
import WherryAgent
import WherryCrypto
import WherryJSON
import WherryModel
import WherryTestSupport
import WherryWire

enum TestFiles {
  static func makeDirectories(_ path: String) {
    var partial = ""
    for part in path.split(separator: "/") {
      partial += "/" + part
      mkdir(partial, 0o755)
    }
  }

  static func write(_ bytes: [UInt8], to path: String) {
    makeDirectories(path.split(separator: "/").dropLast().joined(separator: "/"))
    TestFile.write(bytes, to: path)
  }
}

/// What agents wrote into their logs.
final class LogLines {
  private(set) var lines: [String] = []
  func add(_ line: String) { lines.append(line) }
}

/// One device on a bench: its disk and kernel stay, its agent comes and goes.
final class Bench {
  static let device: DeviceName = "kiosk-1"

  let directory: TemporaryDirectory
  let clock = ManualClock()
  let runner = FakeRunner()
  let worker = FakeWorker()
  let signingKey = Ed25519PrivateKey.generate()
  private(set) var transport = FakeTransport()
  private(set) var journal: CuttingJournal
  private(set) var engine: AgentEngine
  private let log = LogLines()
  var logLines: [String] { log.lines }
  /// Instead of the fake one.
  private let makeRunner: (() throws -> any Runner)?
  /// What `agent.conf` says besides the directories.
  private let configure: (inout AgentConfiguration) -> Void
  var bootID = "boot-1"

  var paths: AgentPaths {
    AgentPaths(root: directory.file("lib"), run: directory.file("run"), logs: directory.file("log"))
  }

  init(
    writesLeft: Int = .max, directory: TemporaryDirectory = TemporaryDirectory(),
    runner makeRunner: (() throws -> any Runner)? = nil,
    configure: @escaping (inout AgentConfiguration) -> Void = { _ in }
  ) throws {
    self.directory = directory
    self.configure = configure
    self.makeRunner = makeRunner
    for name in ["lib", "run", "log"] { TestFiles.makeDirectories(directory.file(name)) }
    let trust = directory.file("lib") + "/trust"
    TestFiles.makeDirectories(trust)
    for name in ["device.key", "device.crt", "ca.crt"] { TestFile.write(Array("pem".utf8), to: "\(trust)/\(name)") }
    let made = try Self.make(
      directory, clock, try makeRunner?() ?? runner, worker, signingKey, transport, bootID, writesLeft: writesLeft,
      log: log.add, configure: configure)
    journal = made.journal
    engine = made.engine
  }

  private static func make(
    _ directory: TemporaryDirectory, _ clock: ManualClock, _ runner: any Runner, _ worker: FakeWorker,
    _ signingKey: Ed25519PrivateKey, _ transport: FakeTransport, _ bootID: String, writesLeft: Int,
    log: @escaping (String) -> Void, configure: (inout AgentConfiguration) -> Void
  ) throws -> (engine: AgentEngine, journal: CuttingJournal) {
    var configuration = AgentConfiguration(programs: "/nowhere")
    configuration.root = directory.file("lib")
    configuration.run = directory.file("run")
    configuration.logs = directory.file("log")
    configure(&configuration)
    let trust = configuration.root + "/trust"
    let identity = DeviceIdentity(
      name: device, brokerHost: "broker", brokerPort: 8883, deviceURL: "https://service:8444",
      keyFile: trust + "/device.key", certificateFile: trust + "/device.crt", authorityFile: trust + "/ca.crt",
      keys: [SigningKey(id: signingKey.publicKey.keyID, publicKey: signingKey.publicKey.raw)],
      givenAt: Instant(milliseconds: 1_700_000_000_000))
    let account = UserAccount(name: "tester", user: getuid(), group: getgid())
    let journal = CuttingJournal(try SQLiteJournal(path: configuration.root + "/agent.db"), writesLeft: writesLeft)
    let engine = try AgentEngine(
      configuration: configuration, identity: identity, account: account, fetchAccount: account,
      ports: AgentPorts(transport: transport, runner: runner, worker: worker, journal: journal, clock: clock),
      bootID: bootID, log: AgentLog(level: .info, sink: log))
    return (engine, journal)
  }

  // MARK: Time

  func start() { engine.start() }

  /// Turns until nothing moves at this instant.
  func settle() {
    for _ in 0..<40 { engine.turn(maximumWait: 0) }
  }

  func run(milliseconds: Int64) {
    for _ in 0..<(milliseconds / 100) {
      clock.advance(milliseconds: 100)
      for _ in 0..<8 { engine.turn(maximumWait: 0) }
    }
  }

  /// With real parts: waits for descriptors, and lets the bench's clock follow. False = it never came to be.
  func runReally(until isMet: () -> Bool) -> Bool {
    for _ in 0..<3_000 {
      if isMet() { return true }
      engine.turn(maximumWait: 10)
      clock.advance(milliseconds: 10)
      // The shims' log lines carry the real time.
      clock.wall = SystemClock().wall
    }
    return false
  }

  /// The agent is gone without a word; another one starts on what it left.
  func crash(writesLeft: Int = .max) throws {
    journal.close()
    transport = FakeTransport()
    let made = try Self.make(
      directory, clock, try makeRunner?() ?? runner, worker, signingKey, transport, bootID, writesLeft: writesLeft,
      log: log.add, configure: configure)
    journal = made.journal
    engine = made.engine
    engine.start()
  }

  func connect() {
    transport.deliver(.connected(sessionPresent: false))
    settle()
  }

  // MARK: Orders

  func plan(_ components: [PlannedComponent], settle: Int64 = 1_000) -> Plan {
    var plan = Plan(deployments: [DeploymentID(1)], components: components)
    plan.policy.settleMilliseconds = settle
    return plan
  }

  func message(
    _ plan: Plan, generation: Int64, device: DeviceName = Bench.device, key: Ed25519PrivateKey? = nil,
    expiresIn seconds: Int = 86_400, notBefore: Int = -60, inline: Bool = true
  ) -> JSON {
    let text = plan.json.canonical
    let statement = DesiredStatement(
      device: device, generation: Generation(generation), plan: SHA256.digest(of: text),
      planSize: Int64(text.utf8.count), notBefore: clock.wall.advanced(bySeconds: notBefore),
      expires: clock.wall.advanced(bySeconds: seconds))
    var envelope = Envelope(payloadType: DesiredStatement.payloadType, payload: statement.json.canonicalBytes)
    let key = key ?? signingKey
    envelope.signatures = [
      EnvelopeSignature(keyID: key.publicKey.keyID, signature: key.sign(envelope.preAuthenticationEncoding))
    ]
    return DesiredMessage(envelope: envelope, plan: inline ? text : nil).json
  }

  func order(_ message: JSON) {
    transport.deliver(message, on: Topic.desired(Self.device))
    settle()
  }

  // MARK: What came of it

  var reports: [DeviceReport] {
    transport.published.filter { $0.topic == Topic.reported(Self.device) }.compactMap {
      try? DeviceReport(JSONCursor(JSON(parsing: $0.payload)))
    }
  }

  var results: [CommandResult] {
    transport.published.filter { $0.topic == Topic.results(Self.device) }.compactMap {
      try? CommandResult(JSONCursor(JSON(parsing: $0.payload)))
    }
  }

  func acknowledge(_ sequence: Int64) {
    transport.deliver(Acknowledgement(sequence: sequence).json, on: Topic.acked(Self.device))
    settle()
  }

  // MARK: Components

  static func process(
    _ name: ComponentName, version: Version = Version(1, 0, 0), script: String = "sleep 1000", install: String? = nil
  ) -> PlannedComponent {
    var component = PlannedComponent(
      name: name, version: version, recipe: SHA256.digest(of: "\(name) \(version) \(script)"))
    component.lifecycle.steps[.run] = Step(script: script)
    if let install { component.lifecycle.steps[.install] = Step(script: install) }
    return component
  }

  static func artifact(_ name: String, _ content: String) -> (artifact: PlannedArtifact, bytes: [UInt8]) {
    let bytes = Array(content.utf8)
    var artifact = PlannedArtifact(fileName: name, digest: SHA256.digest(of: bytes), size: Int64(bytes.count))
    artifact.read = .all
    artifact.execute = .all
    return (artifact, bytes)
  }

  static func container(_ name: ComponentName, version: Version = Version(1, 0, 0)) -> PlannedComponent {
    var component = PlannedComponent(name: name, version: version, recipe: SHA256.digest(of: "\(name) \(version)"))
    component.container = ContainerSpec(image: "registry/\(name):\(version)")
    let layer = PlannedLayer(
      digest: SHA256.digest(of: "layer \(version)"), size: 7, compression: .gzip,
      diffID: SHA256.digest(of: "diff \(version)"))
    var image = PlannedImage(
      reference: "registry/\(name):\(version)", registry: "http://registry:5000", repository: name.rawValue,
      manifest: SHA256.digest(of: "manifest \(version)"), layers: [layer])
    image.command = ["/server"]
    component.image = image
    return component
  }
}
