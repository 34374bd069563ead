import WherryJSON
import WherryLifecycle
import WherryModel
import WherryRollout

package struct SimulationResult: Sendable {
  package let options: SimulationOptions
  package let transcript: Transcript
  package let violations: [Violation]
  package let statistics: SimulationStatistics
  /// Of the scenario's rollout.
  package var story: RolloutStory?
}

/// A whole fleet from a seed: service, broker and devices with their kernels, while agents, service and broker crash,
/// power fails, messages are lost, doubled and overtaken, and operators deploy good and broken versions. The machines
/// are the real ones.
package struct Simulation: Sendable {
  let options: SimulationOptions
  let software: SimulatedSoftware
  var random: SplitMix64
  var time: Int64 = 0
  var agenda = Agenda<Occurrence>()
  var devices: [SimulatedDevice]
  let indexOf: [DeviceName: Int]
  var service = SimulatedService()
  var broker: SimulatedBroker
  var transcript: Transcript
  var checkers: [any InvariantChecker] = []
  var violations: [Violation] = []
  var statistics = SimulationStatistics()
  var times = RolloutTimes()
  var chaosUntil: Int64
  var serviceSparedUntil: Int64 = 0

  enum Occurrence: Sendable {
    case toDevice(Int, connection: Int, number: Int, ServiceState.Message)
    /// What operators ask for, which comes past the broker.
    case toService(ServiceEvent)
    case reportToService(Int, DeviceReport, number: Int, connection: Int)
    case presenceToService(Int, isOnline: Bool, isRetained: Bool, connection: Int)
    case agentHears(Int, incarnation: Int, DeviceEvent)
    case agentTick(Int, incarnation: Int)
    case agentStarts(Int)
    case agentResends(Int, connection: Int)
    case fetchStep(Int, token: Int, Generation, total: Int)
    case workload(Int, WorkloadID, serial: Int, WorkloadTurn)
    case connects(Int)
    case disconnects(Int)
    case serviceTick(incarnation: Int)
    case serviceStarts
    case serviceConnects
    case brokerStarts
    case bigFault
    case chaosEnds
    case clockJump
    case inspection
  }

  /// The same options give the same result.
  package static func run(_ options: SimulationOptions) -> SimulationResult {
    var simulation = Simulation(options)
    simulation.begin()
    simulation.runToTheEnd()
    return SimulationResult(
      options: options, transcript: simulation.transcript, violations: simulation.violations,
      statistics: simulation.statistics, story: options.scenario == nil ? nil : simulation.story())
  }

  package static func run(seed: UInt64, devices: Int = 5) -> SimulationResult {
    run(SimulationOptions(seed: seed, devices: devices))
  }

  /// All of them, as they are before the first observation.
  static var invariantCheckers: [any InvariantChecker] {
    [
      OneVersionChecker(), GenerationChecker(), InputsChecker(), WaveChecker(), AcknowledgementChecker(),
      ReplayChecker(), ConvergenceChecker(),
    ]
  }

  init(_ options: SimulationOptions) {
    self.options = options
    chaosUntil = options.chaosMilliseconds
    random = SplitMix64(seed: options.seed)
    software =
      options.scenario?.plan.map(SimulatedSoftware.init)
      ?? SimulatedSoftware(deployments: options.deployments, isSmall: options.scenario != nil, &random)
    let devices = (1...max(1, options.devices)).map { SimulatedDevice(name: DeviceName(trusted: "kiosk-\($0)")) }
    self.devices = devices
    indexOf = Dictionary(uniqueKeysWithValues: devices.indices.map { (devices[$0].name, $0) })
    broker = SimulatedBroker(devices: devices.count)
    transcript = Transcript(linesMaximum: options.transcriptLinesMaximum)
    checkers = Self.invariantCheckers
  }

  private mutating func begin() {
    for device in devices.indices {
      schedule(.agentStarts(device), in: random.milliseconds(0...500))
      schedule(.connects(device), in: random.milliseconds(100...2_000))
    }
    if let scenario = options.scenario { begin(scenario) } else { beginDeployments() }
    if options.faults.bigFaultPauseMilliseconds > 0 { schedule(.bigFault, in: random.milliseconds(500...3_000)) }
    agenda.schedule(.chaosEnds, at: options.chaosMilliseconds)
  }

  private mutating func begin(_ scenario: Scenario) {
    for index in devices.indices {
      devices[index].isFailing = random.chance(permille: scenario.failing)
      if random.chance(permille: scenario.slow) { devices[index].slowness = scenario.slowFactor }
    }
    agenda.schedule(.toService(.deploy(plan: 0, scenario.policy)), at: 3_000)
    if options.faults.clockJumpMilliseconds > 0 { schedule(.clockJump, in: 10_000) }
  }

  private mutating func beginDeployments() {
    for plan in 0..<options.deployments {
      let share = options.chaosMilliseconds / Int64(options.deployments)
      let at = share * Int64(plan) + random.milliseconds(0...Int(share))
      agenda.schedule(.toService(.deploy(plan: plan, policy())), at: at)
      if random.chance(permille: 200) {
        agenda.schedule(.toService(.pause), at: at + random.milliseconds(100...3_000))
        agenda.schedule(.toService(.resume), at: at + random.milliseconds(3_000...9_000))
      }
    }
  }

  mutating func policy() -> RolloutPolicy {
    var policy = RolloutPolicy()
    policy.waves = random.chance(permille: 500) ? [.count(1), .percent(60)] : [.percent(34)]
    policy.soakMilliseconds = random.milliseconds(0...1_500)
    policy.failuresMaximum = random.number(0...1)
    policy.concurrencyMaximum = random.number(0...2)
    policy.deviceTimeoutSeconds = 400
    policy.onFailure = random.pick([.pause, .stop, .revert]) ?? .pause
    if random.chance(permille: 300) {
      policy.disruption = [RolloutPolicy.DisruptionBudget(label: "store", changingMaximum: 1)]
    }
    return policy
  }

  private mutating func runToTheEnd() {
    let end = options.chaosMilliseconds + options.patienceMilliseconds
    while violations.isEmpty, let at = agenda.timeNext, at <= end, let (time, item) = agenda.next() {
      self.time = time
      if perform(item) { break }
    }
    statistics.endedAt = time
    if violations.isEmpty { observe(.finished(snapshot())) }
  }

  /// Whether the simulation is over.
  private mutating func perform(_ occurrence: Occurrence) -> Bool {
    switch occurrence {
    case .toDevice(let device, let connection, let number, let message):
      deliver(message, to: device, number, connection)
    case .toService(let event): serviceHears(event)
    case .reportToService(let device, let report, let number, let connection):
      deliver(report, of: device, number, connection)
    case .presenceToService(let device, let isOnline, let isRetained, let connection):
      deliverPresence(of: device, isOnline: isOnline, isRetained: isRetained, connection)
    case .agentHears(let device, let incarnation, let event):
      if devices[device].incarnation == incarnation { agentHears(device, event) }
    case .agentTick(let device, let incarnation): agentTick(device, incarnation)
    case .agentStarts(let device): startAgent(device)
    case .agentResends(let device, let connection): resend(device, connection)
    case .fetchStep(let device, let token, let generation, let total): fetchStep(device, token, generation, total)
    case .workload(let device, let id, let serial, let turn): workload(device, id, serial, turn)
    case .connects(let device): connect(device)
    case .disconnects(let device): disconnect(device)
    case .serviceTick(let incarnation): serviceTick(incarnation)
    case .serviceStarts: startService()
    case .serviceConnects: connectService()
    case .brokerStarts: startBroker()
    case .bigFault: bigFault()
    case .chaosEnds: endChaos()
    case .clockJump: jumpClock()
    case .inspection:
      if isAtRest { return true }
      schedule(.inspection, in: 1_000)
    }
    return false
  }

  var isChaos: Bool { time < chaosUntil }

  /// A thing that goes wrong only while things go wrong.
  mutating func fault(_ permille: Int) -> Bool { isChaos && random.chance(permille: permille) }

  mutating func schedule(_ occurrence: Occurrence, in delay: Int64) {
    agenda.schedule(occurrence, at: time + max(0, delay))
  }

  mutating func say(_ who: String, _ what: @autoclosure () -> String) {
    if options.transcriptLinesMaximum > 0 { transcript.add(time, who, what()) }
  }

  mutating func observe(_ observation: Observation) {
    for index in checkers.indices {
      guard let what = checkers[index].check(observation) else { continue }
      let violation = Violation(invariant: type(of: checkers[index]).invariant, time: time, what: what)
      violations.append(violation)
      say("VIOLATION", violation.description)
    }
  }
}
