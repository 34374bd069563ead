import WherryJSON
import WherryModel
import WherryWire

/// One value of each kind with every part set, and one with as little as there can be.
enum Samples {
  static let digest = Digest(bytes: (0..<32).map { UInt8($0) })
  static let otherDigest = Digest(bytes: (0..<32).map { UInt8(255 - $0) })

  static func requirement(_ text: String) -> VersionRequirement {
    VersionRequirement(text) ?? VersionRequirement(exactly: Version(1, 0, 0))
  }

  static var step: Step {
    var step = Step(script: "python3 {artifacts:path}/hello.py \"ünicode\"\n")
    step.requiresPrivilege = true
    step.requiresPrivilegeVariable = "{configuration:/root}"
    step.setenv = ["A": "1", "B": ""]
    step.skipIf = SkipCondition(test: .onPath("git"), isNegated: true)
    step.timeoutSeconds = 30
    step.timeoutVariable = "{configuration:/timeout}"
    step.bootstrapOnRollback = true
    return step
  }

  static var lifecycle: Lifecycle {
    var lifecycle = Lifecycle()
    lifecycle.setenv = ["GLOBAL": "x"]
    lifecycle.steps = [.install: step, .run: Step(script: "run")]
    return lifecycle
  }

  static var container: ContainerSpec {
    var container = ContainerSpec(image: "registry.example.com/team/web:1.4")
    container.command = ["/web", "--port", "8080"]
    container.environment = ["LOG_LEVEL": "debug"]
    container.user = "1000:1000"
    container.workingDirectory = "/srv"
    container.ports = [
      PublishedPort(host: 8080, container: 80), PublishedPort(host: 53, container: 53, transport: .udp),
    ]
    container.volumes = [
      Volume(source: .named("data"), path: "/data"),
      Volume(source: .hostPath("/dev/shm/feed"), path: "/feed", readOnly: true),
    ]
    container.devices = ["/dev/video0"]
    container.network = .none
    container.resources = Resources(cpuMillis: 500, memoryBytes: 64 << 20, pids: 64)
    container.readOnlyRoot = false
    container.userNamespace = .host
    container.limits = ["nofile": ProcessLimit(soft: 1_024, hard: 4_096), "core": ProcessLimit(soft: nil, hard: nil)]
    container.sysctls = ["net.core.somaxconn": "1024"]
    container.seccomp = SeccompChoice(allowed: ["io_uring_setup"], denied: ["ptrace"])
    container.appArmorProfile = "kiosk"
    container.resources.processors = "0-1"
    container.resources.swapBytes = 1 << 20
    container.resources.diskWeight = 50
    container.resources.hugePages = [2 << 20: 4 << 20]
    var disk = DiskLimit(device: "/dev/sda")
    disk.readBytes = 1 << 20
    disk.writeOperations = 100
    container.resources.diskLimits = [disk, DiskLimit()]
    container.clocks = ClockOffsets(monotonic: -1500, boot: 3)
    container.hasInput = true
    container.egress = [EgressRule(network: IPNetwork("10.0.0.0/8"), port: 443, transport: .tcp)]
    container.capabilitiesAdded = ["NET_ADMIN"]
    container.capabilitiesDropped = ["CHOWN"]
    var health = HealthCheck(probe: .http(port: 80, path: "/healthz"))
    health.retries = 5
    container.health = health
    container.stopSignal = "SIGINT"
    container.stopTimeoutSeconds = 3
    container.restart = RestartPolicy(mode: .onFailure, backoffMaximumMilliseconds: 60_000)
    return container
  }

  static var manifest: Manifest {
    var manifest = Manifest()
    manifest.name = "linux"
    manifest.platform = ["os": "linux", "architecture": "/amd64|aarch64/"]
    manifest.lifecycle = lifecycle
    manifest.selections = ["all"]
    var artifact = Artifact(uri: "wherry:hello.py")
    artifact.digest = digest
    artifact.size = 1_234
    artifact.unarchive = .zip
    artifact.read = .all
    artifact.execute = .owner
    manifest.artifacts = [artifact, Artifact(uri: "https://example.com/a")]
    manifest.container = container
    return manifest
  }

  static var recipe: Recipe {
    var recipe = Recipe(name: "com.example.web", version: Version(1, 2, 3, prerelease: ["rc", "1"], build: ["b7"]))
    recipe.type = "aws.greengrass.generic"
    recipe.summary = "A \"web\" server"
    recipe.publisher = "Example"
    recipe.defaultConfiguration = ["logLevel": "info", "list": [1, 2.5, nil], "nested": ["a": true]]
    recipe.dependencies = [
      "com.example.base": Dependency(requirement: requirement("^1.2.0")),
      "com.example.soft": Dependency(requirement: requirement(">=1.0.0 <2.0.0"), kind: .soft),
    ]
    recipe.manifests = [manifest, Manifest()]
    recipe.lifecycle = lifecycle
    return recipe
  }

  static var image: PlannedImage {
    var image = PlannedImage(
      reference: "registry.example.com/team/web:1.4", registry: "https://registry.example.com", repository: "team/web",
      manifest: digest,
      layers: [
        PlannedLayer(digest: digest, size: 100, compression: .gzip, diffID: otherDigest),
        PlannedLayer(digest: otherDigest, size: 1, compression: .none, diffID: digest),
      ])
    image.entrypoint = ["/entry"]
    image.command = ["-x"]
    image.environment = ["PATH=/bin"]
    image.user = "web"
    image.workingDirectory = "/"
    image.stopSignal = "SIGQUIT"
    return image
  }

  static var plannedComponent: PlannedComponent {
    var component = PlannedComponent(name: "com.example.web", version: Version(1, 0, 0), recipe: digest)
    component.dependencies = ["com.example.base": .hard, "com.example.soft": .soft]
    component.lifecycle = lifecycle
    var artifact = PlannedArtifact(fileName: "hello.py", digest: digest, size: 5, source: "https://example.com/a")
    artifact.unarchive = .tar
    artifact.read = .none
    artifact.execute = .all
    component.artifacts = [artifact, PlannedArtifact(fileName: "b", digest: otherDigest, size: 0)]
    component.container = container
    component.image = image
    component.images = [image]
    component.configuration.defaults = ["a": 1]
    component.configuration.reset = ["", "/a/b"]
    component.configuration.merge = ["a": ["b": 2]]
    return component
  }

  static var apply: ApplyPolicy {
    var apply = ApplyPolicy()
    apply.failureHandling = .doNothing
    apply.settleMilliseconds = 1
    apply.timeoutSeconds = 7
    return apply
  }

  static var plan: Plan {
    Plan(
      deployments: [DeploymentID(3), DeploymentID(9)],
      components: [
        PlannedComponent(name: "com.example.base", version: Version(0, 0, 1), recipe: otherDigest), plannedComponent,
      ], policy: apply)
  }

  static var rollout: RolloutPolicy {
    var rollout = RolloutPolicy()
    rollout.waves = [.count(1), .percent(50), .percent(100)]
    rollout.soakMilliseconds = 30_000
    rollout.failuresMaximum = 2
    rollout.concurrencyMaximum = 10
    rollout.deviceTimeoutSeconds = 60
    rollout.onFailure = .stop
    rollout.causeBudgets = [
      RolloutPolicy.CauseBudget(causes: [.download, .silent], maximum: 3),
      RolloutPolicy.CauseBudget(causes: [.health], share: RolloutPolicy.FailureShare(percent: 5, sample: 20)),
    ]
    rollout.disruption = [RolloutPolicy.DisruptionBudget(label: "store", changingMaximum: 1, upMinimum: 2)]
    rollout.bytesPerSecond = 1 << 20
    rollout.silenceSeconds = 30
    return rollout
  }

  static var deployed: [ComponentName: DeployedComponent] {
    [
      "com.example.web": DeployedComponent(requirement: requirement("^1.0"), reset: ["/a"], merge: ["b": 1]),
      "com.example.hello": DeployedComponent(requirement: VersionRequirement(exactly: Version(1, 0, 0))),
    ]
  }

  static var failure: Failure {
    Failure(
      .start, code: "component.exited", message: "com.example.web exited with 3", remedy: "read its log",
      component: "com.example.web", log: ["line 1", "line 2 \u{1B}[31m"])
  }

  static var componentReport: ComponentReport {
    ComponentReport(
      name: "com.example.web", version: Version(2, 0, 0), state: .broken, restarts: 3, failure: failure)
  }

  static var report: DeviceReport {
    var report = DeviceReport(
      sequence: 41, generation: Generation(7), status: .rolledBack,
      components: [
        componentReport, ComponentReport(name: "com.example.hello", version: Version(1, 0, 0), state: .running),
      ])
    report.plan = digest
    report.running = otherDigest
    report.failure = failure
    report.resumesAt = Instant(milliseconds: 1_700_000_000_000)
    report.bytesDone = 10
    report.bytesTotal = 20
    report.transfers = [Transfer(label: "com.example.web layer 1/2", bytesDone: 3, bytesTotal: 9)]
    return report
  }

  static var statement: DesiredStatement {
    DesiredStatement(
      device: "kiosk-1", generation: Generation(8), plan: digest, planSize: 900, notBefore: Instant(milliseconds: 5),
      expires: Instant(milliseconds: 1_800_000_000_000))
  }

  static var envelope: Envelope {
    Envelope(
      payloadType: DesiredStatement.payloadType, payload: statement.json.canonicalBytes,
      signatures: [EnvelopeSignature(keyID: "0123456789abcdef", signature: (0..<64).map { UInt8($0) })])
  }

  static var trust: TrustRoot {
    TrustRoot(version: 1, keys: [SigningKey(id: "k", publicKey: [UInt8](repeating: 7, count: 32))])
  }

  static var deploymentSummary: DeploymentSummary {
    var device = DeploymentDevice(
      name: "kiosk-1", wave: 1, status: "failed", generation: Generation(8), failure: failure)
    device.bytesDone = 1
    device.bytesTotal = 2
    device.transfers = report.transfers
    return DeploymentSummary(
      id: DeploymentID(4), target: .group("kiosks"), components: ["com.example.web": "^1.0"], state: "halted",
      reason: "2 failed", createdAt: Instant(milliseconds: 1), finishedAt: Instant(milliseconds: 2),
      waves: [WaveSummary(index: 1, size: 2, released: 2, committed: 0, failed: 2, parked: 1, state: "open")],
      devices: [device], policy: rollout)
  }

  static var deviceSummary: DeviceSummary {
    DeviceSummary(
      name: "kiosk-1", platform: Platform(["os": "linux"]), labels: ["site": "berlin"], groups: ["kiosks"],
      isOnline: true, lastSeen: Instant(milliseconds: 3), agentVersion: "0.1.0", generation: Generation(2),
      reportedGeneration: Generation(1), status: .applying, failure: failure, components: [componentReport],
      bytesDone: 1, bytesTotal: 2)
  }

  /// Every kind of value that travels.
  static let all: [Sample] = [
    Sample("token request", TokenRequest(name: "ci", role: "registry", repositories: ["a:pull"], expiresInSeconds: 5)),
    Sample(
      "token",
      TokenSummary(name: "ci", role: "viewer", repositories: [], createdAt: Instant(milliseconds: 1), expires: nil)),
    Sample("garbage report", GarbageReport(blobs: 1, bytes: 2, manifests: 3, isDryRun: true)),
    Sample("recipe", recipe), Sample("least recipe", Recipe(name: "a", version: Version(0, 0, 0))),
    Sample("manifest", manifest), Sample("lifecycle", lifecycle), Sample("step", step),
    Sample("skip", SkipCondition(test: .exists("/etc/x"))), Sample("container", container),
    Sample("least container", ContainerSpec(image: "a")), Sample("tcp check", HealthCheck(probe: .tcp(port: 1))),
    Sample("exec check", HealthCheck(probe: .exec(["true"]))), Sample("plan", plan),
    Sample("least plan", Plan(components: [])), Sample("apply", apply), Sample("rollout", rollout),
    Sample("least rollout", RolloutPolicy()), Sample("group", DeploymentTarget.group("kiosks")),
    Sample("device", DeploymentTarget.device("kiosk-1")),
    Sample(
      "deployment",
      Deployment(id: DeploymentID(4), target: .device("a"), components: deployed, rollout: rollout, apply: apply)),
    Sample("failure", failure), Sample("component report", componentReport), Sample("report", report),
    Sample(
      "least report", DeviceReport(sequence: 0, generation: Generation(0), status: nil, components: [])),
    Sample("presence", Presence(isOnline: true, agentVersion: "0.1.0", bootID: "b")),
    Sample("platform", Platform(["os": "linux", "architecture": "amd64"])), Sample("envelope", envelope),
    Sample("statement", statement), Sample("desired", DesiredMessage(envelope: envelope, plan: plan.canonical)),
    Sample("desired without plan", DesiredMessage(envelope: envelope)),
    Sample("acknowledgement", Acknowledgement(sequence: 12)),
    Sample(
      "logs",
      Command(
        id: "c1", body: .logs(component: "com.example.web", tail: 100, follow: true),
        expires: Instant(milliseconds: 9))),
    Sample("restart", Command(id: "c2", body: .restart(component: "a"), expires: Instant(milliseconds: 9))),
    Sample("cancel", Command(id: "c3", body: .cancel(id: "c1"), expires: Instant(milliseconds: 9))),
    Sample("result", CommandResult(id: "c1", sequence: 3, lines: ["a", ""], isLast: true, failure: failure)),
    Sample(
      "provisioning request",
      ProvisioningRequest(device: "a", csr: "PEM", platform: Platform(["os": "linux"]), labels: ["x": "y"])),
    Sample("trust", trust),
    Sample(
      "provisioning answer",
      ProvisioningResponse(
        device: "a", certificate: "PEM", authority: "PEM", trust: trust, brokerHost: "h", brokerPort: 8883,
        deviceURL: "https://h:1")),
    Sample("device summary", deviceSummary),
    Sample("registry password", RegistryPassword(password: "secret", expires: Instant(milliseconds: 9))),
    Sample(
      "fleet",
      FleetSummary(devices: 2, online: 1, byStatus: ["committed": 2], byComponentState: ["RUNNING": 3])),
    Sample("group summary", GroupSummary(name: "g", devices: ["a", "b"], deployment: DeploymentID(1))),
    Sample(
      "component summary",
      ComponentVersionSummary(
        name: "a", version: Version(1, 0, 0), digest: digest, publisher: "p", summary: "s",
        createdAt: Instant(milliseconds: 1))),
    Sample("deployment summary", deploymentSummary),
    Sample(
      "deployment request",
      DeploymentRequest(target: .group("g"), components: deployed, rollout: rollout, apply: apply)),
    Sample(
      "claim request",
      ClaimRequest(device: "a", groups: ["g"], labels: ["x": "y"], expiresInSeconds: 60, uses: 1)),
    Sample(
      "claim summary",
      ClaimSummary(
        id: "1", claim: "c", device: "a", groups: ["g"], labels: [:], usesLeft: 1, createdAt: Instant(milliseconds: 1),
        expires: Instant(milliseconds: 2))),
    Sample(
      "problem", Problem(type: "urn:x", title: "t", status: 409, detail: "d", remedy: "r", errors: ["e"])),
  ]
}

/// A value whose type is out of sight.
struct Sample: Sendable, CustomStringConvertible {
  let description: String
  let json: JSON
  /// Reads the JSON and compares with the value that it came from.
  let isReadAs: @Sendable (JSON) throws -> Bool

  init<T: WireValue & Equatable & Sendable>(_ name: String, _ value: T) {
    description = name
    json = value.json
    isReadAs = { try T(JSONCursor($0)) == value }
  }
}
