import Testing
import WherryJSON
import WherryModel

@testable import WherryLifecycle

/// Events in no sensible order, about workloads that were never started and generations that were never issued: what a
/// confused shell or a bad day may bring. The machine must stay upright, and its journal readable.
@Suite struct StormTests {
  private struct Dice {
    var state: UInt64

    mutating func roll(_ sides: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int((state >> 33) % UInt64(max(1, sides)))
    }
  }

  private static let plans: [Plan] = [
    plan(container("web", 1, hasHealth: true), process("hello", 1, LifecycleStep.allCases, needs: ["web": .hard])),
    plan(container("web", 2), process("hello", 1, [.startup, .shutdown], needs: ["web": .soft]), settle: 0),
    plan(process("hello", 3, [.install, .run, .recover]), process("other", 1, [.bootstrap, .run, .uninstall])),
    plan(),
    plan(
      container("web", 3, restart: RestartPolicy(mode: .never)), container("base", 1, needs: ["web": .hard]),
      handling: .doNothing),
  ]

  @Test(arguments: 0..<60) func noStormBringsItDown(seed: Int) {
    var dice = Dice(state: UInt64(seed) &* 7_919 &+ 1)
    var machine = DeviceMachine(state: DeviceState(), plans: [:])
    var now = Instant(milliseconds: 0)
    var generation = Generation(0)
    var sequence: Int64 = 0
    for _ in 0..<300 {
      now = now.advanced(byMilliseconds: Int64([0, 1, 100, 5_000, 400_000][dice.roll(5)]))
      let event = Self.event(&dice, machine.state)
      let actions = machine.handle(event, at: now)
      #expect(machine.state.generation >= generation)
      generation = machine.state.generation
      for case .report(let report) in actions {
        #expect(report.sequence == sequence + 1)
        sequence = report.sequence
      }
      if dice.roll(10) == 0 { machine = Self.reread(machine) }
    }
  }

  private static func reread(_ machine: DeviceMachine) -> DeviceMachine {
    guard let json = try? JSON(parsing: machine.state.json.canonical), let state = try? DeviceState(JSONCursor(json))
    else {
      Issue.record("the journal cannot be read: \(machine.state.json.canonical)")
      return machine
    }
    #expect(state == machine.state)
    let digests = Set(state.planDigests)
    return DeviceMachine(state: state, plans: machine.plans.filter { digests.contains($0.key) })
  }

  private static func event(_ dice: inout Dice, _ state: DeviceState) -> DeviceEvent {
    let names: [ComponentName] = ["web", "hello", "other", "base", "nobody"]
    let name = names[dice.roll(names.count)]
    let id = WorkloadID(name, LifecycleStep.allCases[dice.roll(LifecycleStep.allCases.count)])
    let likely = Generation(state.generation.rawValue + Int64(dice.roll(3)) - 1)
    let statuses: [ExitStatus] = [
      .success, .unknown, ExitStatus(code: 100), ExitStatus(code: 101), ExitStatus(code: 1), ExitStatus(signal: 9),
      ExitStatus(signal: 9, outOfMemory: true),
    ]
    let classes = FailureClass.allCases
    let failure = Failure(classes[dice.roll(classes.count)], code: "x", message: "y")
    switch dice.roll(15) {
    case 0: return .started(alive: [id: "x"], ended: [:], bootID: "boot-\(dice.roll(3))")
    case 1:
      let end = WorkloadEnd.exited(statuses[dice.roll(7)], log: [])
      return .started(alive: [:], ended: [id: end], bootID: "boot-\(dice.roll(3))")
    case 2, 3:
      let plan = plans[dice.roll(plans.count)]
      return .desired(generation: likely.next, digest: Bench.digest(plan), plan: plan)
    case 4: return .refused(generation: likely, digest: nil, failure)
    case 5: return .fetchProgress(generation: likely, done: Int64(dice.roll(10)), total: 10)
    case 6, 7: return .fetched(generation: state.generation)
    case 8: return .fetchFailed(generation: likely, failure)
    case 9: return .workloadStarted(id)
    case 10: return dice.roll(2) == 0 ? .workloadFailed(id, failure) : .health(name, isHealthy: false, detail: "")
    case 11: return .workloadEnded(id, statuses[dice.roll(7)], log: [])
    case 12: return .restartRequested(name)
    case 13: return .holding(generation: likely, dice.roll(2) == 0 ? [] : [name])
    default: return .tick
    }
  }
}
