import WherryJSON
import WherryModel
import WherryWire

/// How a version of a component behaves once it is on a device.
enum Behaviour: Hashable, Sendable {
  /// Runs until it is stopped.
  case steady
  /// Ends with an error, this long after each start.
  case crashes(afterMilliseconds: Int64)
  /// Ends with an error the first time on each device, and is steady then.
  case stumbles
  /// Ignores TERM, and its shutdown script hangs.
  case stubborn
  /// Its health check never succeeds.
  case unhealthy
  /// Its install script fails.
  case installFails
  /// Ends with success at once.
  case oneShot

  /// A deployment of it is to be rolled back.
  var isBroken: Bool {
    switch self {
    case .crashes, .unhealthy, .installFails: true
    case .steady, .stumbles, .stubborn, .oneShot: false
    }
  }
}

/// The components that can be deployed, and how each version behaves: three that depend on one another, a process with
/// scripts, a container with a health check, and a oneshot.
struct SimulatedSoftware: Sendable {
  private(set) var plans: [Plan] = []
  private var digests: [Digest] = []
  private var behaviours: [Key: Behaviour] = [:]

  private struct Key: Hashable { var name: ComponentName; var version: Version }

  func behaviour(_ name: ComponentName, _ version: Version) -> Behaviour {
    behaviours[Key(name: name, version: version)] ?? .steady
  }

  func digest(_ index: Int) -> Digest { digests[index] }

  func isBroken(_ index: Int) -> Bool {
    plans[index].components.contains { behaviour($0.name, $0.version).isBroken }
  }

  /// Of a rehearsal: two components, since thousands of devices run them.
  private var isSmall = false

  /// A plan for each deployment; the last is good.
  init(deployments: Int, isSmall: Bool = false, _ random: inout SplitMix64) {
    self.isSmall = isSmall
    var versions = ["base": 1, "hello": 1, "once": 1, "web": 1]
    for index in 0...deployments {
      let isLast = index == deployments
      for name in versions.keys.sorted() where isLast || random.chance(permille: 600) {
        versions[name, default: 1] += 1
        let version = Version(versions[name] ?? 1, 0, 0)
        behaviours[Key(name: ComponentName(trusted: name), version: version)] =
          Self.behaviour(of: name, canBeBroken: !isLast && index > 0, &random)
      }
      plans.append(plan(versions, deployment: index + 1, isLast: isLast, &random))
    }
    plans.append(Plan(components: []))
    digests = plans.map { SimulatedDigest.of($0.canonical) }
  }

  /// Own components in place of the made-up ones.
  init(_ plan: Plan) {
    // The second is for a good version after the faults, which rehearsals do not ask for.
    plans = [plan, plan, Plan(components: [])]
    digests = plans.map { SimulatedDigest.of($0.canonical) }
  }

  /// The plan of a device that was taken out of everything.
  var nothing: Int { plans.count - 1 }

  private static func behaviour(of name: String, canBeBroken: Bool, _ random: inout SplitMix64) -> Behaviour {
    if name == "once" { return .oneShot }
    let isBroken = canBeBroken && random.chance(permille: 250)
    var choices: [Behaviour] =
      isBroken ? [.crashes(afterMilliseconds: 10), .crashes(afterMilliseconds: 700)] : [.steady]
    switch (name, isBroken) {
    case ("web", true): choices.append(.unhealthy)
    case ("hello", true): choices.append(.installFails)
    case ("web", false), ("hello", false), ("base", false): choices += [.steady, .stumbles, .stubborn]
    default: break
    }
    return random.pick(choices) ?? .steady
  }

  private func plan(
    _ versions: [String: Int], deployment: Int, isLast: Bool, _ random: inout SplitMix64
  ) -> Plan {
    var components = [
      component("base", versions, random.number(0...1)), component("hello", versions, 0),
      component("once", versions, 0), component("web", versions, random.number(0...1)),
    ]
    if !isLast && !isSmall {
      // What nothing depends on may be absent, so components come and go.
      components.removeAll { $0.name != "base" && random.chance(permille: 200) }
    }
    if isSmall { components = components.filter { $0.name == "web" || $0.name == "base" } }
    var policy = ApplyPolicy()
    policy.settleMilliseconds = Int64(random.number(0...2_000))
    policy.timeoutSeconds = 120
    if !isLast && !isSmall && random.chance(permille: 150) { policy.failureHandling = .doNothing }
    return Plan(deployments: [DeploymentID(Int64(deployment))], components: components, policy: policy)
  }

  private func component(_ name: String, _ versions: [String: Int], _ setting: Int) -> PlannedComponent {
    let version = Version(versions[name] ?? 1, 0, 0)
    var planned = PlannedComponent(
      name: ComponentName(trusted: name), version: version, recipe: SimulatedDigest.of("\(name) \(version)"))
    planned.configuration.defaults = .object(["setting": .integer(0)])
    planned.configuration.merge = .object(["setting": .integer(Int64(setting))])
    switch name {
    case "base", "web":
      var container = ContainerSpec(image: "\(name):\(version)")
      container.stopTimeoutSeconds = 2
      if name == "web" {
        container.health = HealthCheck(probe: .tcp(port: 80))
        container.health?.intervalMilliseconds = isSmall ? 15_000 : 2_000
        container.health?.startPeriodMilliseconds = 1_000
        planned.dependencies = ["base": .hard]
      }
      planned.container = container
      let layers = ["shared", "\(name) \(version)"].map { text in
        PlannedLayer(
          digest: SimulatedDigest.of(text), size: 1_000, compression: .none, diffID: SimulatedDigest.of(text))
      }
      planned.image = PlannedImage(
        reference: container.image, registry: "https://registry.example.com", repository: name,
        manifest: SimulatedDigest.of("manifest \(name) \(version)"), layers: layers)
    default:
      planned.lifecycle.steps[.run] = Step(script: "run")
      if name == "hello" {
        planned.lifecycle.steps[.install] = Step(script: "install")
        planned.lifecycle.steps[.shutdown] = Step(script: "shutdown")
        planned.lifecycle.steps[.uninstall] = Step(script: "uninstall")
        planned.dependencies = ["base": .soft]
      }
      planned.artifacts = [
        PlannedArtifact(fileName: "\(name).sh", digest: SimulatedDigest.of("\(name).sh \(version)"), size: 500)
      ]
    }
    return planned
  }
}

extension PlannedComponent {
  var blobs: [Digest] { artifacts.map(\.digest) + (image?.layers.map(\.digest) ?? []) }
}

/// Stands for a SHA-256: the simulator has no cryptography and needs only that different texts differ.
enum SimulatedDigest {
  static func of(_ text: String) -> Digest {
    var random = SplitMix64(seed: text.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 })
    var bytes: [UInt8] = []
    for _ in 0..<4 {
      let word = random.next()
      for shift in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(8 * shift))) }
    }
    return Digest(bytes: bytes)
  }
}
