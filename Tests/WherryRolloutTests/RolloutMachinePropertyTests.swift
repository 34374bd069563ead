import Testing
import WherryModel
import WherryTestSupport

@testable import WherryRollout

/// Whatever happens in whatever order: a deadline that stays due would be a timer that fires without end.
@Suite struct RolloutMachinePropertyTests {
  @Test(arguments: 0..<40)
  func afterATickTheNextDeadlineIsLater(block: Int) {
    for seed in block * 10..<(block + 1) * 10 {
      var random = SeededGenerator(seed: UInt64(seed))
      var bench = Self.bench(&random)
      var history: [RolloutEvent] = []
      for _ in 0..<60 {
        // Every other time at the very moment that a deadline falls due.
        let due = Bool.random(using: &random) ? bench.machine.nextDeadline : nil
        let later = bench.now.advanced(byMilliseconds: .random(in: 0...8_000, using: &random))
        bench.now = max(bench.now, due ?? later)
        let event = Self.event(&random)
        history.append(event)
        _ = bench.machine.handle(event, at: bench.now)
        _ = bench.machine.handle(.tick, at: bench.now)
        guard let deadline = bench.machine.nextDeadline, deadline <= bench.now else { continue }
        Issue.record("seed \(seed): \(deadline) is due still at \(bench.now) after \(history)")
        break
      }
    }
  }

  /// The plain rollout is what is meant; the machine keeps counts and queues in its place.
  @Test(arguments: 0..<40)
  func itDoesWhatThePlainRolloutDoes(block: Int) {
    for seed in block * 25..<(block + 1) * 25 {
      var random = SeededGenerator(seed: UInt64(seed))
      var machine = Self.bench(&random).machine
      let policy = machine.policy
      let devices = machine.members.map {
        RolloutDevice(name: $0.name, isOnline: $0.isOnline, sites: $0.sites, bytes: $0.bytes)
      }
      machine = RolloutMachine(policy: policy, devices: devices)
      var plain = PlainRollout(policy: policy, devices: devices)
      var now = Instant(milliseconds: 1_000)
      var event = RolloutEvent.start
      for step in 0..<80 {
        #expect(machine.handle(event, at: now) == plain.handle(event, at: now), "seed \(seed), step \(step): \(event)")
        guard plain.isAlike(machine) else {
          Issue.record("seed \(seed), step \(step): after \(event) it is \(machine) and not \(plain)")
          return
        }
        let due = Bool.random(using: &random) ? machine.nextDeadline : nil
        now = max(now, due ?? now.advanced(byMilliseconds: .random(in: 0...8_000, using: &random)))
        event = Int.random(in: 0..<30, using: &random) == 0 ? .retry : Self.event(&random)
      }
    }
  }

  /// Each event costs about the same with many members: this would take hours if it looked at all of them each time.
  @Test func aHundredThousandMembersAreNoMoreWorkEachThanAFew() {
    var policy = RolloutPolicy()
    policy.waves = [.count(100), .percent(10), .percent(50)]
    policy.concurrencyMaximum = 200
    policy.failuresMaximum = 1_000
    let names = (1...100_000).map(RolloutBench.name)
    var machine = RolloutMachine(policy: policy, devices: names.map { RolloutDevice(name: $0, isOnline: true) })
    var waiting = machine.handle(.start, at: Instant(milliseconds: 0))
    var committed = 0
    while let action = waiting.popLast() {
      guard case .release(let devices) = action else { continue }
      for name in devices {
        committed += 1
        let now = Instant(milliseconds: Int64(committed))
        waiting += machine.handle(.online(name, false), at: now)
        waiting += machine.handle(.online(name, true), at: now)
        waiting += machine.handle(.reported(name, .committed, nil, digestMatches: true), at: now)
      }
    }
    #expect(committed == 100_000)
    #expect(machine.state == .completed)
  }

  static func bench(_ random: inout SeededGenerator) -> RolloutBench {
    let count = Int.random(in: 0...6, using: &random)
    let offline = Set((1...6).filter { _ in Int.random(in: 0...2, using: &random) == 0 })
    let sizes: [RolloutPolicy.Size] = [.count(1), .count(2), .percent(30), .percent(50), .percent(100)]
    var policy = RolloutPolicy()
    policy.waves = (0..<Int.random(in: 1...3, using: &random)).compactMap { _ in sizes.randomElement(using: &random) }
    policy.soakMilliseconds = [0, 1, 5_000, 20_000].randomElement(using: &random) ?? 0
    policy.failuresMaximum = .random(in: 0...2, using: &random)
    policy.concurrencyMaximum = .random(in: 0...2, using: &random)
    policy.deviceTimeoutSeconds = .random(in: 1...30, using: &random)
    policy.onFailure = [.pause, .stop, .revert].randomElement(using: &random) ?? .pause
    Self.addLimits(to: &policy, &random)
    let chosen = policy
    return RolloutBench(count, offline: offline) { $0 = chosen }
  }

  /// Half of the policies have each of them.
  private static func addLimits(to policy: inout RolloutPolicy, _ random: inout SeededGenerator) {
    typealias Cause = RolloutPolicy.CauseBudget
    let share = RolloutPolicy.FailureShare(percent: 40, sample: 2)
    if Bool.random(using: &random) { policy.failureShare = share }
    if Bool.random(using: &random) {
      policy.causeBudgets = [Cause(causes: [.silent, .timeout], maximum: 1), Cause(causes: [.start], share: share)]
    }
    if Bool.random(using: &random) { policy.silenceSeconds = .random(in: 1...20, using: &random) }
    if Bool.random(using: &random) {
      policy.disruption = [RolloutPolicy.DisruptionBudget(label: "store", changingMaximum: 1)]
      let rack = RolloutPolicy.DisruptionBudget(
        label: "rack", changingMaximum: Bool.random(using: &random) ? 2 : nil, upMinimum: 1)
      if Bool.random(using: &random) { policy.disruption.append(rack) }
    }
    if Bool.random(using: &random) { policy.bytesPerSecond = 1_000 }
  }

  static func event(_ random: inout SeededGenerator) -> RolloutEvent {
    let name = RolloutBench.name(.random(in: 1...7, using: &random))
    switch Int.random(in: 0..<24, using: &random) {
    case 0..<6: return .reported(name, .committed, nil, digestMatches: Int.random(in: 0...4, using: &random) > 0)
    case 6..<8:
      let status = [DeploymentStatus.rolledBack, .failed, .rejected].randomElement(using: &random) ?? .failed
      return .reported(name, status, Failure(.start, code: "x", message: "it fell over"), digestMatches: false)
    case 8:
      let codes = [Failure.downloadWindowCode, Failure.heldOffCode, ""]
      let why = codes.randomElement(using: &random).map { Failure(.download, code: $0, message: "not now") }
      return .reported(name, .applying, Bool.random(using: &random) ? why : nil, digestMatches: true)
    case 9..<15: return .online(name, Bool.random(using: &random))
    case 15..<18: return .left(name)
    case 18..<20:
      let isOnline = Bool.random(using: &random)
      let device = RolloutBench.device(.random(in: 1...7, using: &random), isOnline: isOnline)
      return .joined(device.name, isOnline: isOnline, sites: device.sites, bytes: device.bytes)
    case 20: return .pause
    case 21..<23: return .resume
    default: return Int.random(in: 0...5, using: &random) == 0 ? .cancel : .tick
    }
  }
}

extension PlainRollout {
  func isAlike(_ machine: RolloutMachine) -> Bool {
    members == machine.members && state == machine.state && openWave == machine.openWave
      && waveEnds == machine.waveEnds && soakUntil == machine.soakUntil
      && failuresAccepted == machine.failuresAccepted && nextDeadline == machine.nextDeadline
      && bytesOutAt == machine.bytesOutAt && throttledUntil == machine.throttledUntil
  }
}
