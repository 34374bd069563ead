import WherryJSON
import WherryModel
import WherryRollout

/// A rehearsed rollout, wave by wave. Times are in milliseconds from its beginning.
package struct RolloutStory: Hashable, Sendable {
  package struct Wave: Hashable, Sendable {
    package var openedAt: Int64?
    package var size: Int
    package var released: Int
    package var committed: Int
    package var failed: Int
    package var parked: Int
  }

  package var state: RolloutState
  package var waves: [Wave]
  package var endedAt: Int64?

  package var isCompleted: Bool { state == .completed }
  package func sum(_ part: KeyPath<Wave, Int>) -> Int { waves.reduce(0) { $0 + $1[keyPath: part] } }
}

/// What a story needs that is gone when the rollout is over.
struct RolloutTimes: Sendable {
  var beganAt: Int64 = 0
  var openedAt: [Int64] = []
  var endedAt: Int64?

  mutating func note(_ rollout: RolloutMachine, _ time: Int64) {
    while openedAt.count <= rollout.openWaveIndex { openedAt.append(time - beganAt) }
  }
}

extension Simulation {
  func story() -> RolloutStory? {
    guard let rollout = service.state.rollout else { return nil }
    let summary = rollout.summary
    let waves = summary.waves.map { wave in
      RolloutStory.Wave(
        openedAt: times.openedAt.indices.contains(wave.index) ? times.openedAt[wave.index] : nil, size: wave.size,
        released: wave.released, committed: wave.committed, failed: wave.failed, parked: wave.parked)
    }
    return RolloutStory(state: summary.state, waves: waves, endedAt: times.endedAt)
  }
}

extension SimulationResult {
  package var json: JSON {
    let waves: [JSON] = (story?.waves ?? []).map { wave in
      .members([
        ("openedAtMilliseconds", wave.openedAt.map(JSON.integer)), ("size", .int(wave.size)),
        ("released", .int(wave.released)), ("committed", .int(wave.committed)), ("failed", .int(wave.failed)),
        ("parked", .int(wave.parked)),
      ])
    }
    return .members([
      ("seed", .string(String(options.seed))), ("devices", .int(options.devices)),
      ("state", story.map { .string($0.state.name) }), ("reason", story.map { .string($0.state.reason) }),
      ("endedAtMilliseconds", story?.endedAt.map(JSON.integer)), ("waves", .array(waves)),
      ("events", .int(statistics.events)), ("agentCrashes", .int(statistics.agentCrashes)),
      ("powerCuts", .int(statistics.powerCuts)), ("serviceRestarts", .int(statistics.serviceStarts)),
      ("brokerRestarts", .int(statistics.brokerStarts)), ("messagesLost", .int(statistics.messagesLost)),
      ("rollbacks", .int(statistics.rollbacks)),
      ("violations", .array(violations.map { .string($0.description) })),
    ])
  }
}
