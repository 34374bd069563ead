import WherryModel

@testable import WherryLifecycle
@testable import WherrySimulation

/// What the service has to keep, and how a fleet has to end.
extension CheckerCase {
  private static func stored(_ sequence: Int64) -> Observation {
    .reportStored(
      device: 0, DeviceReport(sequence: sequence, generation: Generation(1), status: .committed, components: []))
  }

  static let acknowledgements: [CheckerCase] = [
    CheckerCase(
      "a report is stored once", AcknowledgementChecker(), before: [stored(2)], legal: [stored(3)],
      illegal: [stored(2)], says: "replaces the newer 2"),
    CheckerCase(
      "what is acknowledged is stored", AcknowledgementChecker(), before: [stored(1)],
      legal: [.acknowledged(device: 0, sequence: 1)], illegal: [.acknowledged(device: 0, sequence: 2)],
      says: "is acknowledged but not stored"),
    CheckerCase(
      "what was acknowledged survives the service", AcknowledgementChecker(),
      before: [stored(2), .acknowledged(device: 0, sequence: 2)], legal: [.serviceStarted(sequences: [2])],
      illegal: [.serviceStarted(sequences: [1])], says: "came back with report 1 of device 0"),
    CheckerCase(
      "a device that waits for no acknowledgement is known as it is", AcknowledgementChecker(),
      legal: [
        finished(),
        finished { device in
          device.state.nextSequence = 3
          device.reportsUnacknowledged = 1
        },
      ],
      illegal: [finished { $0.state.nextSequence = 3 }], says: "sent report 2, the service knows 1"),
  ]

  static let convergence: [CheckerCase] = endings + componentsAtTheEnd + reportsAtTheEnd

  private static let endings: [CheckerCase] = [
    CheckerCase(
      "a fleet comes to rest", ConvergenceChecker(), legal: [finished()], illegal: [finished(isAtRest: false)],
      says: "does not come to rest"),
    CheckerCase(
      "a device that was given an order concludes", ConvergenceChecker(),
      legal: [
        finished { device in
          device.state.conclusion = nil
          device.desired = nil
        }
      ],
      illegal: [finished { $0.state.conclusion = nil }], says: "has concluded nothing"),
    CheckerCase(
      "the newest order is the one that is concluded", ConvergenceChecker(), legal: [finished()],
      illegal: [finished { $0.desired = Generation(2) }], says: "concluded generation 1"),
    CheckerCase(
      "what is committed runs", ConvergenceChecker(), legal: [finished { conclude(.rolledBack, &$0) }],
      illegal: [finished { conclude(.committed, &$0) }], says: "committed generation 2 and runs another"),
    CheckerCase(
      "what went back runs what it had", ConvergenceChecker(),
      legal: [
        finished { device in
          conclude(.failed, &device)
          device.state.aim = PlanReference(generation: Generation(2), digest: SimulatedDigest.of("plan 2"))
        }
      ],
      illegal: [
        finished { device in
          conclude(.rolledBack, &device)
          device.state.aim = PlanReference(generation: Generation(2), digest: SimulatedDigest.of("plan 2"))
        }
      ],
      says: "neither failed nor runs what it committed"),
  ]

  private static let componentsAtTheEnd: [CheckerCase] = [
    CheckerCase(
      "a device has the components of its plan", ConvergenceChecker(), legal: [finished()],
      illegal: [finished { $0.state.components["old"] = component("old", .finished) }], says: "has components"),
    CheckerCase(
      "no workload is left over", ConvergenceChecker(), legal: [finished()],
      illegal: [finished { $0.alive[WorkloadID("old", .run)] = "old 1" }], says: "which nobody wants"),
    CheckerCase(
      "no workload of another version is left over", ConvergenceChecker(), legal: [finished()],
      illegal: [finished { $0.alive[WorkloadID("web", .install)] = "web 0" }], says: "which nobody wants"),
    CheckerCase(
      "what is said to run is alive", ConvergenceChecker(),
      legal: [
        finished { device in
          let web = component("web", .finished)
          device.state.components = ["web": web]
          device.reported?.components = [web.report]
          device.alive = [:]
        }
      ],
      illegal: [finished { $0.alive = [:] }], says: "believes that web runs"),
  ]

  private static let reportsAtTheEnd: [CheckerCase] = [
    CheckerCase(
      "a device that concluded has reported", ConvergenceChecker(), legal: [finished()],
      illegal: [finished { $0.reported = nil }], says: "never reported"),
    CheckerCase(
      "the last report says what is", ConvergenceChecker(), legal: [finished()],
      illegal: [finished { $0.reported?.components = [] }], says: "is not what it reported"),
    CheckerCase(
      "the last report says how it ended", ConvergenceChecker(), legal: [finished()],
      illegal: [finished { $0.reported?.status = .failed }], says: "ended otherwise than it reported"),
  ]

  /// The end of a fleet of one device, which committed generation 1 and reported it; then changed.
  private static func finished(
    isAtRest: Bool = true, _ change: (inout FleetSnapshot.Device) -> Void = { _ in }
  ) -> Observation {
    let web = component("web", .running(since: .zero, until: nil, health: .unchecked))
    let reference = PlanReference(generation: Generation(1), digest: SimulatedDigest.of("plan 1"))
    var state = DeviceState()
    state.generation = Generation(1)
    state.nextSequence = 2
    state.current = reference
    state.aim = reference
    state.conclusion = DeploymentConclusion(
      generation: Generation(1), digest: reference.digest, status: .committed, failure: nil)
    state.components = ["web": web]
    let planned = PlannedComponent(name: "web", version: web.version, recipe: SimulatedDigest.of("web"))
    var device = FleetSnapshot.Device(
      state: state, plan: Plan(components: [planned]), alive: [WorkloadID("web", .run): web.identity],
      reportsUnacknowledged: 0, desired: Generation(1),
      reported: DeviceReport(
        sequence: 1, generation: Generation(1), status: .committed, components: [web.report]))
    change(&device)
    return .finished(FleetSnapshot(devices: [device], rollout: "completed", isAtRest: isAtRest))
  }

  private static func component(_ name: ComponentName, _ phase: ComponentPhase) -> ComponentMachine {
    var machine = ComponentMachine(
      name: name, generation: Generation(1), version: Version(1, 0, 0), identity: "\(name) 1")
    machine.phase = phase
    return machine
  }

  /// It ended its second order like this, and says so; what it had committed is as it was.
  private static func conclude(_ status: DeploymentStatus, _ device: inout FleetSnapshot.Device) {
    device.state.conclusion = DeploymentConclusion(
      generation: Generation(2), digest: SimulatedDigest.of("plan 2"), status: status, failure: nil)
    device.desired = Generation(2)
    device.reported?.status = status
  }
}
