import WherryModel

/// How a rollout is expected to go: the machine itself, told what each device is expected to do.
package struct RolloutForecast: Hashable, Sendable {
  package enum Ending: Hashable, Sendable {
    case completed
    case halted(reason: String)
    /// Nobody is left who could go on: it waits for devices that are away.
    case waiting
  }
  package var ending: Ending
  /// From the beginning to there, in milliseconds.
  package var milliseconds: Int64
  /// When each wave opens, in milliseconds from the beginning; nil = not as things are.
  package var waves: [Int64?]
  /// Of everyone who is expected to change.
  package var bytes: Int64
  /// Who is not expected to change: by name.
  package var missing: [DeviceName]

  private struct Step: Comparable {
    var at: Int64
    var device: Int
    static func < (a: Self, b: Self) -> Bool { (a.at, a.device) < (b.at, b.device) }
  }

  /// - Parameter milliseconds: what a device is expected to need from its release to its commit.
  package init(policy: RolloutPolicy, devices: [RolloutDevice], milliseconds: (RolloutDevice) -> Int64) {
    self.init(of: RolloutMachine(policy: policy, devices: devices), milliseconds: milliseconds)
  }

  /// - Parameter machine: one that has not begun.
  package init(of machine: RolloutMachine, milliseconds: (RolloutDevice) -> Int64) {
    var machine = machine
    let devices = machine.members.map {
      RolloutDevice(name: $0.name, isOnline: $0.isOnline, sites: $0.sites, bytes: $0.bytes)
    }
    let indexOf = Dictionary(devices.indices.map { (devices[$0].name, $0) }, uniquingKeysWith: { first, _ in first })
    var waves: [Int64?] = []
    var bytes: Int64 = 0
    var steps = MinHeap<Step>()
    var time: Int64 = 0
    var pending = machine.handle(.start, at: .zero)
    while true {
      while waves.count <= machine.openWaveIndex { waves.append(time) }
      for case .release(let names) in pending {
        for index in names.compactMap({ indexOf[$0] }) where devices[index].isOnline {
          steps.insert(Step(at: time + max(0, milliseconds(devices[index])), device: index))
          bytes += devices[index].bytes
          _ = machine.handle(
            .reported(devices[index].name, .received, nil, digestMatches: true), at: Instant(milliseconds: time))
        }
      }
      let tick = machine.nextDeadline?.milliseconds
      guard let next = [steps.first?.at, tick].compactMap({ $0 }).min(), machine.state == .rolling else { break }
      time = max(time, next)
      let now = Instant(milliseconds: time)
      if let tick, tick <= time, steps.first?.at != time {
        pending = machine.handle(.tick, at: now)
      } else if let step = steps.removeFirst() {
        pending = machine.handle(.reported(devices[step.device].name, .committed, nil, digestMatches: true), at: now)
      }
    }
    self.milliseconds = time
    self.bytes = bytes
    self.waves = waves
    self.waves += Array(repeating: nil, count: max(0, machine.summary.waves.count - waves.count))
    switch machine.state {
    case .completed: ending = .completed
    case .halted(let reason): ending = .halted(reason: reason)
    case .created, .rolling, .paused, .cancelled: ending = .waiting
    }
    missing = machine.members.filter { $0.outcome != .committed }.map(\.name).sorted()
  }
}
