import WherryJSON
import WherryModel

@testable import WherryLifecycle
@testable import WherrySimulation

/// What one device may do.
extension CheckerCase {
  private static let web = WorkloadID("web", .run)
  private static let install = WorkloadID("web", .install)

  private static func ran(_ id: WorkloadID, as identity: String, device: Int = 0) -> Observation {
    .ran(device: device, id, identity: identity, blobsMissing: [])
  }

  static let oneVersion: [CheckerCase] = [
    CheckerCase(
      "a workload is started again when it has ended", OneVersionChecker(), before: [ran(web, as: "web 1")],
      legal: [.gone(device: 0, web), ran(web, as: "web 1")],
      illegal: [ran(web, as: "web 1")], says: "although it is alive"),
    CheckerCase(
      "steps that run side by side are of one version", OneVersionChecker(), before: [ran(web, as: "web 1")],
      legal: [ran(WorkloadID("web", .shutdown), as: "web 1")],
      illegal: [ran(install, as: "web 2")], says: "while web.run is alive as web 1"),
    CheckerCase(
      "each device has its own workloads", OneVersionChecker(), before: [ran(web, as: "web 1")],
      legal: [ran(install, as: "web 2", device: 1)],
      illegal: [.gone(device: 1, web), ran(install, as: "web 2")], says: "while web.run is alive as web 1"),
    CheckerCase(
      "a power cut ends what runs on that device", OneVersionChecker(), before: [ran(web, as: "web 1")],
      legal: [.powerCut(device: 0), ran(web, as: "web 2")],
      illegal: [.powerCut(device: 1), ran(web, as: "web 2")], says: "although it is alive"),
  ]

  static let inputs: [CheckerCase] = [
    CheckerCase(
      "a workload starts when its blobs are there", InputsChecker(), legal: [ran(web, as: "web 1")],
      illegal: [.ran(device: 0, web, identity: "web 1", blobsMissing: [SimulatedDigest.of("layer")])],
      says: "1 of its blobs are missing")
  ]

  private static func journalled(_ state: DeviceState, reporting sequences: [Int64] = []) -> Observation {
    let actions = sequences.map { sequence in
      DeviceAction.report(
        DeviceReport(sequence: sequence, generation: state.generation, status: nil, components: []))
    }
    return .handled(device: 0, .tick, at: .zero, actions: actions, state: state)
  }

  private static func state(_ generation: Int64, committed: Int64? = nil) -> DeviceState {
    var state = DeviceState()
    state.generation = Generation(generation)
    state.current = committed.map { PlanReference(generation: Generation($0), digest: SimulatedDigest.of("plan")) }
    return state
  }

  static let generations: [CheckerCase] = [
    CheckerCase(
      "a device does not go back to an older order", GenerationChecker(), before: [journalled(state(2))],
      legal: [journalled(state(2)), journalled(state(3))], illegal: [journalled(state(1))],
      says: "from generation 2 back to 1"),
    CheckerCase(
      "a device does not go back to what it committed earlier", GenerationChecker(),
      before: [journalled(state(3, committed: 3))], legal: [journalled(state(4, committed: 3))],
      illegal: [journalled(state(4, committed: 2))], says: "from committed generation 3"),
    CheckerCase(
      "a device does not lose what it committed", GenerationChecker(),
      before: [journalled(state(3, committed: 3))], legal: [journalled(state(3, committed: 3))],
      illegal: [journalled(state(3))], says: "from committed generation 3"),
    CheckerCase(
      "a device takes only what was issued", GenerationChecker(),
      before: [.desiredIssued(device: 0, Generation(2)), .desiredIssued(device: 1, Generation(3))],
      legal: [journalled(state(2))], illegal: [journalled(state(3))], says: "only 2 was issued"),
    CheckerCase(
      "a generation is issued once", GenerationChecker(), before: [.desiredIssued(device: 0, Generation(2))],
      legal: [.desiredIssued(device: 1, Generation(2)), .desiredIssued(device: 0, Generation(3))],
      illegal: [.desiredIssued(device: 0, Generation(2))], says: "is issued to device 0 after 2"),
    CheckerCase(
      "no number of a report is left out", GenerationChecker(), before: [journalled(state(1), reporting: [1])],
      legal: [journalled(state(1), reporting: [2, 3])], illegal: [journalled(state(1), reporting: [3])],
      says: "numbers a report 3 after 1"),
    CheckerCase(
      "no number of a report is used twice", GenerationChecker(), before: [journalled(state(1), reporting: [1])],
      legal: [journalled(state(1)), journalled(state(1), reporting: [2])],
      illegal: [journalled(state(1), reporting: [2, 2])], says: "numbers a report 2 after 2"),
  ]

  private static func began(_ state: DeviceState, from journal: String) -> Observation {
    .agentStarted(device: 0, journal: journal, state: state, plans: [:])
  }

  static let replays: [CheckerCase] = journals + twins

  private static var journals: [CheckerCase] {
    let state = DeviceState()
    let journal = state.json.canonical
    var other = state
    other.bootID = "boot-1"
    var strange = state.json
    strange["unheardOf"] = .bool(true)
    return [
      CheckerCase(
        "what was journalled last is what is read", ReplayChecker(), before: [journalled(state)],
        legal: [began(state, from: journal)], illegal: [began(other, from: other.json.canonical)],
        says: "device 0 journalled"),
      CheckerCase(
        "a journal can be read", ReplayChecker(), legal: [began(state, from: journal)],
        illegal: [began(state, from: String(journal.dropLast()))], says: "cannot read its journal"),
      CheckerCase(
        "a journal says the same after being read and written", ReplayChecker(), legal: [began(state, from: journal)],
        illegal: [began(state, from: strange.canonical)], says: "does not survive being read and written"),
    ]
  }

  /// The real machine's answer to its first event, and two that it does not give.
  private static var twins: [CheckerCase] {
    let empty = DeviceState()
    let beginning = began(empty, from: empty.json.canonical)
    let event = DeviceEvent.started(alive: [:], ended: [:], bootID: "boot-1")
    var machine = DeviceMachine(state: empty, plans: [:])
    let actions = machine.handle(event, at: .zero)
    let state = machine.state
    var other = state
    other.bootID = "boot-2"
    func handled(_ actions: [DeviceAction], _ state: DeviceState) -> Observation {
      .handled(device: 0, event, at: .zero, actions: actions, state: state)
    }
    return [
      CheckerCase(
        "a replayed machine does the same", ReplayChecker(), before: [beginning], legal: [handled(actions, state)],
        illegal: [handled(actions + [.forget("web")], state)], says: "does another thing when replayed"),
      CheckerCase(
        "a replayed machine is the same", ReplayChecker(), before: [beginning], legal: [handled(actions, state)],
        illegal: [handled(actions, other)], says: "is another when replayed"),
    ]
  }
}
