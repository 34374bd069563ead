import WherryModel

/// Judges releases by the policy's words, with its own count of who was released, is online and has ended.
struct WaveChecker: InvariantChecker {
  static let invariant = "no wave opens beyond policy"
  private var policy = RolloutPolicy()
  private var online: [Bool] = []
  private var released: Set<Int> = []
  private var outcomes: [Int: Bool] = [:]
  private var causes: [Int: FailureCause] = [:]
  /// Of those in `released`, kept with each change of one of them: a fleet is large.
  private var underWay = 0
  private var taken = 0
  private var proven = 0
  private var failures = 0
  private var failuresBy: [FailureCause: Int] = [:]
  private var sites = SiteCounts()
  private var waveEnds: [Int] = []
  private var accepted: [FailureCause: Int] = [:]
  /// Of the last wave that is known to be open.
  private var endOpen = 0
  private var isCompleted = false
  private var isHalted = false

  mutating func check(_ observation: Observation) -> String? {
    switch observation {
    case .rolloutBegan(let policy, let online, let sites):
      self = WaveChecker()
      self.policy = policy
      self.online = online
      self.sites = SiteCounts(sites: sites)
      waveEnds = wantedEnds
      for device in online.indices { self.sites.count(device, isChanging: false, isUp: online[device], 1) }
    case .rolloutSaw(let isOnline, let device):
      if online.indices.contains(device) { change(device) { $0.online[device] = isOnline } }
    case .rolloutHeard(let device, let status, let cause):
      if status.isTerminal, status != .superseded {
        change(device) {
          $0.outcomes[device] = status == .committed
          $0.causes[device] = status == .committed ? nil : cause ?? .internalError
        }
      }
    case .rolloutReverted(let devices): return judgeRevert(devices)
    case .rolloutHalted:
      isHalted = true
      if !isSpent { return "it halts after \(failures) failures, \(allowed) allowed" }
    case .rolloutResumed:
      if isHalted && policy.onFailure == .pause {
        accepted = failuresBy
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
    let own = policy.causeBudgets.flatMap(\.causes)
    return policy.causeBudgets.contains { isSpent($0.causes, $0.maximum, $0.share) }
      || isSpent(Set(FailureCause.allCases).subtracting(own), policy.failuresMaximum, policy.failureShare)
  }

  private func isSpent(_ causes: Set<FailureCause>, _ maximum: Int, _ share: RolloutPolicy.FailureShare?) -> Bool {
    let failures = failuresBy.filter { causes.contains($0.key) }.values.reduce(0, +)
    let accepted = accepted.filter { causes.contains($0.key) }.values.reduce(0, +)
    guard let share else { return failures > maximum + accepted }
    let ended = outcomes.count - accepted
    return ended >= min(share.sample, online.count - accepted) && (failures - accepted) * 100 > share.percent * ended
  }

  /// Whoever has it or may have it, and nobody else.
  private func judgeRevert(_ devices: [Int]) -> String? {
    if policy.onFailure != .revert { return "devices \(devices) go back although nobody wanted that" }
    let wanted = released.filter { outcomes[$0] != false }.sorted()
    return devices == wanted ? nil : "devices \(devices) go back, and not \(wanted)"
  }

  private mutating func change(_ device: Int, _ body: (inout Self) -> Void) {
    count(device, -1)
    body(&self)
    count(device, 1)
  }

  private mutating func count(_ device: Int, _ one: Int) {
    let outcome = outcomes[device]
    if outcome == false {
      failures += one
      failuresBy[causes[device] ?? .internalError, default: 0] += one
    }
    if online.indices.contains(device) {
      let isChanging = released.contains(device) && outcome == nil
      sites.count(device, isChanging: isChanging, isUp: online[device] && !isChanging, one)
    }
    guard released.contains(device), online.indices.contains(device) else { return }
    if online[device] && outcome == nil { underWay += one }
    if online[device] || outcome != nil { taken += one }
    if outcome == true { proven += one }
  }

  private var allowed: Int { policy.failuresMaximum + accepted.values.reduce(0, +) }

  private mutating func judge(_ devices: [Int]) -> String? {
    let before = (underWay: underWay, taken: taken, proven: proven)
    for device in devices { change(device) { $0.released.insert(device) } }
    if isHalted { return "devices \(devices) are released while it is halted" }
    if isSpent { return "devices \(devices) are released after \(failures) failures, \(allowed) allowed" }
    for device in devices {
      if let excess = sites.excess(at: device, policy) { return excess }
    }
    if isCompleted { return nil }
    if policy.concurrencyMaximum > 0, before.underWay + devices.count > policy.concurrencyMaximum {
      return "\(before.underWay + devices.count) devices change at once, \(policy.concurrencyMaximum) allowed"
    }
    if let offline = devices.first(where: { !online[$0] }) { return "device \(offline) is released while offline" }
    return judgeWave(before.underWay, before.taken, before.proven, adding: devices.count)
  }

  /// Devices that are away leave their place to others.
  private mutating func judgeWave(_ underWay: Int, _ taken: Int, _ proven: Int, adding count: Int) -> String? {
    let ends = waveEnds
    let end = max(endOpen, ends.first { $0 >= max(1, taken) } ?? online.count)
    // Whom a store cannot do without holds no gate, so a wave may open before the one before it is full.
    if !policy.disruption.isEmpty, underWay == 0, proven > 0 { endOpen = ends.first { $0 > end } ?? online.count }
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

/// How many of each store are changing, and how many are up.
private struct SiteCounts {
  var sites: [[String?]] = []
  private var changing: [[String?]: Int] = [:]
  private var up: [[String?]: Int] = [:]

  init(sites: [[String?]] = []) { self.sites = sites }

  private func places(of device: Int) -> [(label: Int, key: [String?])] {
    guard sites.indices.contains(device) else { return [] }
    return sites[device].enumerated().compactMap { label, site in site == nil ? nil : (label, ["\(label)", site]) }
  }

  mutating func count(_ device: Int, isChanging: Bool, isUp: Bool, _ one: Int) {
    for (_, key) in places(of: device) {
      if isChanging { changing[key, default: 0] += one }
      if isUp { up[key, default: 0] += one }
    }
  }

  /// After the device was released.
  func excess(at device: Int, _ policy: RolloutPolicy) -> String? {
    for (label, key) in places(of: device) {
      let limit = policy.disruption[label]
      let site = "\(limit.label)=\(key[1] ?? "")"
      if let most = limit.changingMaximum, changing[key] ?? 0 > most {
        return "\(changing[key] ?? 0) devices of \(site) change at once, \(most) allowed"
      }
      if up[key] ?? 0 < limit.upMinimum { return "\(up[key] ?? 0) devices of \(site) stay up, not \(limit.upMinimum)" }
    }
    return nil
  }
}
