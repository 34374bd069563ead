import WherryModel

/// Judges releases by the policy's words, with its own count of who was released, is online and has ended.
struct WaveChecker: InvariantChecker {
  static let invariant = "no wave opens beyond policy"
  private var policy = RolloutPolicy()
  private var online: [Bool] = []
  private var released: Set<Int> = []
  private var outcomes: [Int: Bool] = [:]
  /// Of those in `released`, kept with each change of one of them: a fleet is large.
  private var underWay = 0
  private var taken = 0
  private var proven = 0
  private var failures = 0
  private var waveEnds: [Int] = []
  private var failuresAccepted = 0
  private var isCompleted = false
  private var isHalted = false

  mutating func check(_ observation: Observation) -> String? {
    switch observation {
    case .rolloutBegan(let policy, let online):
      self.policy = policy
      self.online = online
      released = []
      outcomes = [:]
      (underWay, taken, proven, failures) = (0, 0, 0, 0)
      waveEnds = wantedEnds
      failuresAccepted = 0
      isCompleted = false
      isHalted = false
    case .rolloutSaw(let isOnline, let device):
      if online.indices.contains(device) { change(device) { $0.online[device] = isOnline } }
    case .rolloutHeard(let device, let status):
      if status.isTerminal, status != .superseded {
        change(device) { $0.outcomes[device] = status == .committed }
      }
    case .rolloutHalted:
      isHalted = true
      if !isSpent { return "it halts after \(failures) failures, \(budget) allowed" }
    case .rolloutResumed:
      if isHalted && policy.onFailure == .pause {
        failuresAccepted = failures
        isHalted = false
      }
    case .rolloutCompleted: isCompleted = true
    case .rolloutReleased(let devices): return judge(devices)
    case .ran, .gone, .powerCut, .handled, .agentStarted, .desiredIssued, .reportStored, .acknowledged,
      .serviceStarted, .finished:
      break
    }
    return nil
  }

  private var isSpent: Bool {
    guard let share = policy.failureShare else { return failures > budget }
    let ended = outcomes.count - failuresAccepted
    return ended >= min(share.sample, online.count - failuresAccepted)
      && (failures - failuresAccepted) * 100 > share.percent * ended
  }

  private mutating func change(_ device: Int, _ body: (inout Self) -> Void) {
    count(device, -1)
    body(&self)
    count(device, 1)
  }

  private mutating func count(_ device: Int, _ one: Int) {
    let outcome = outcomes[device]
    if outcome == false { failures += one }
    guard released.contains(device), online.indices.contains(device) else { return }
    if online[device] && outcome == nil { underWay += one }
    if online[device] || outcome != nil { taken += one }
    if outcome == true { proven += one }
  }

  private var budget: Int { policy.failuresMaximum + failuresAccepted }

  private mutating func judge(_ devices: [Int]) -> String? {
    let before = (underWay: underWay, taken: taken, proven: proven)
    for device in devices { change(device) { $0.released.insert(device) } }
    if isHalted { return "devices \(devices) are released while it is halted" }
    if isSpent { return "devices \(devices) are released after \(failures) failures, \(budget) allowed" }
    if isCompleted { return nil }
    if policy.concurrencyMaximum > 0, before.underWay + devices.count > policy.concurrencyMaximum {
      return "\(before.underWay + devices.count) devices change at once, \(policy.concurrencyMaximum) allowed"
    }
    if let offline = devices.first(where: { !online[$0] }) { return "device \(offline) is released while offline" }
    return judgeWave(before.underWay, before.taken, before.proven, adding: devices.count)
  }

  /// Devices that are away leave their place to others.
  private func judgeWave(_ underWay: Int, _ taken: Int, _ proven: Int, adding count: Int) -> String? {
    let ends = waveEnds
    let end = ends.first { $0 >= max(1, taken) } ?? online.count
    guard taken + count > end else { return nil }
    if underWay > 0 { return "more than \(end) devices are released while \(underWay) are under way" }
    if proven == 0 { return count == 1 ? nil : "\(count) more devices are released although none has committed" }
    let next = ends.first { $0 > end } ?? online.count
    if taken + count > next { return "a wave of \(next) devices gets \(taken + count)" }
    return nil
  }

  /// Written anew from the policy's description, not shared with the machine.
  private var wantedEnds: [Int] {
    let count = online.count
    var wanted: [Int] = []
    for size in policy.waves {
      switch size {
      case .count(let number): wanted.append(min(count, number))
      case .percent(let percent):
        // The smallest number of devices that is at least this share.
        wanted.append((1...max(1, count)).first { $0 * 100 >= count * percent } ?? count)
      case .factor(let factor):
        var end = wanted.max() ?? 1
        while end < count {
          wanted.append(end)
          end *= factor
        }
      }
    }
    // One that is no larger than those before it adds nobody.
    var largest = 0
    let growing = wanted.filter { end in
      defer { largest = max(largest, end) }
      return end > largest
    }
    return growing + [count]
  }
}
