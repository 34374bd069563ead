import WherryModel
import WherryWire

@testable import WherryRollout

/// What a rollout does, told in the plainest way: every question looks at every member. `RolloutMachine` must do the
/// same with what it keeps at hand.
struct PlainRollout: Hashable, Sendable {
  let policy: RolloutPolicy
  var state: RolloutState = .created
  /// In the order given; newcomers at the end.
  var members: [Member] = []
  /// Of the last wave that is open; -1 before the start.
  var openWave = -1
  /// How many devices may be released up to the end of each wave.
  var waveEnds: [Int]
  /// When the open wave will have soaked; nil while its gate is shut.
  var soakUntil: Instant?
  /// Failures that a person accepted by resuming.
  var failuresAccepted = 0

  typealias Member = RolloutMachine.Member

  init(policy: RolloutPolicy, devices: [RolloutDevice]) {
    self.policy = policy
    waveEnds = RolloutMachine.waveEnds(policy.waves, count: devices.count)
    members = devices.map { Member(name: $0.name, isOnline: $0.isOnline) }
  }

  mutating func handle(_ event: RolloutEvent, at now: Instant) -> [RolloutAction] {
    switch event {
    case .start:
      guard case .created = state else { break }
      state = .rolling
      openWave = 0
    case .reported(let name, let status, let failure, let digestMatches):
      reported(name, status, failure, digestMatches: digestMatches, now)
    case .online(let name, let isOnline): cameOrWent(name, isOnline: isOnline, now)
    case .pause:
      if case .rolling = state { state = .paused(reason: "paused by an operator") }
    case .resume: resume()
    case .retry: retry()
    case .cancel: cancel()
    case .joined(let name, let isOnline): return joined(name, isOnline: isOnline, now) + advance(now)
    case .left(let name): members.removeAll { $0.name == name }
    case .tick: break  // Time is looked at with every event.
    }
    return advance(now)
  }

  private mutating func reported(
    _ name: DeviceName, _ status: DeploymentStatus, _ failure: Failure?, digestMatches: Bool, _ now: Instant
  ) {
    guard let index = members.firstIndex(where: { $0.name == name }) else { return }
    switch status {
    case .committed:
      // Another plan than the one given is old news or a fault; the device's timeout decides which.
      guard digestMatches else { return }
      members[index].outcome = .committed
    case .failed, .rolledBack, .rejected: members[index].outcome = .failed(failure)
    case .superseded: return
    case .received, .fetching, .applying, .settling, .rollingBack:
      // While a device waits for the time at which its owner lets it download, its own time stands still.
      if failure?.code == Failure.downloadWindowCode {
        members[index].since = nil
      } else if members[index].isUnderWay && members[index].since == nil {
        members[index].since = now
      }
      return
    }
    members[index].since = nil
  }

  private mutating func cameOrWent(_ name: DeviceName, isOnline: Bool, _ now: Instant) {
    guard let index = members.firstIndex(where: { $0.name == name }), members[index].isOnline != isOnline else {
      return
    }
    members[index].isOnline = isOnline
    members[index].since = isOnline && members[index].isReleased && members[index].outcome == nil ? now : nil
  }

  private mutating func resume() {
    switch state {
    case .paused: state = .rolling
    case .halted:
      // With policy `stop` the deployment has ended; a new one has to be made.
      guard policy.onFailure == .pause else { return }
      failuresAccepted = members.count(where: \.isFailed)
      state = .rolling
    case .created, .rolling, .completed, .cancelled: break
    }
  }

  /// They are candidates again, so gates, places and the concurrency limit hold for them as for everyone.
  private mutating func retry() {
    switch state {
    case .rolling, .completed: break
    case .halted: guard policy.onFailure == .pause else { return }
    case .created, .paused, .cancelled: return
    }
    guard members.contains(where: \.isFailed) else { return }
    for index in members.indices where members[index].isFailed {
      members[index].wave = nil
      members[index].outcome = nil
      members[index].since = nil
    }
    failuresAccepted = 0
    soakUntil = nil
    state = .rolling
  }

  private mutating func cancel() {
    switch state {
    case .created, .rolling, .paused, .halted: state = .cancelled
    case .completed, .cancelled: break
    }
  }

  private mutating func joined(_ name: DeviceName, isOnline: Bool, _ now: Instant) -> [RolloutAction] {
    guard !members.contains(where: { $0.name == name }) else { return [] }
    var member = Member(name: name, isOnline: isOnline)
    waveEnds[waveEnds.count - 1] += 1
    guard case .completed = state else {
      members.append(member)
      return []
    }
    member.wave = waveEnds.count - 1
    member.since = isOnline ? now : nil
    members.append(member)
    return [.release([name])]
  }
}

/// What follows from the members' states: who is released, which wave opens, when it is over.
extension PlainRollout {
  mutating func advance(_ now: Instant) -> [RolloutAction] {
    expire(now)
    guard case .rolling = state else { return [] }
    var released: [DeviceName] = []
    // A round without an end opens a wave, and there are no more than these.
    for _ in waveEnds.indices {
      if let reason = spentBudget() {
        state = .halted(reason: reason)
        return actions(released) + [.halted(reason: reason)]
      }
      released += releaseOpen(now)
      guard isWaveOver else {
        soakUntil = nil
        break
      }
      let isNobodyLeft = members.allSatisfy { $0.isReleased || $0.outcome != nil }
      if openWave >= waveEnds.count - 1 || isNobodyLeft {
        guard members.isEmpty || members.contains(where: { $0.outcome != nil }) else {
          soakUntil = nil
          break
        }
        return actions(released + releaseRest()) + complete()
      }
      guard hasEvidence else {
        // Who gave the proof has left: nothing soaks any more, and a time that has passed must not stay due.
        soakUntil = nil
        break
      }
      let until = soakUntil ?? now.advanced(byMilliseconds: policy.soakMilliseconds)
      soakUntil = until
      guard now >= until else { break }
      openWave += 1
      soakUntil = nil
    }
    return actions(released)
  }

  private func actions(_ released: [DeviceName]) -> [RolloutAction] {
    released.isEmpty ? [] : [.release(released)]
  }

  private mutating func complete() -> [RolloutAction] {
    state = .completed
    soakUntil = nil
    return [.completed]
  }

  private mutating func expire(_ now: Instant) {
    for index in members.indices {
      guard let deadline = deadline(of: members[index]), now >= deadline else { continue }
      members[index].since = nil
      members[index].outcome = .failed(
        Failure(
          .timeout, code: "rollout.deviceTimeout",
          message: "\(members[index].name) did not finish within \(policy.deviceTimeoutSeconds) s",
          remedy: "see what it does with 'wherry device show \(members[index].name)'"))
    }
  }

  private func deadline(of member: Member) -> Instant? {
    guard member.isUnderWay, let since = member.since else { return nil }
    return since.advanced(bySeconds: policy.deviceTimeoutSeconds)
  }

  private func spentBudget() -> String? {
    let failed = members.filter(\.isFailed)
    guard let first = failed.first, let allowed = exceededBudget(failed.count) else { return nil }
    let devices = failed.count == 1 ? "1 device" : "\(failed.count) devices"
    var reason = "\(devices) failed, \(allowed) allowed; \(first.name)"
    if case .failed(let failure?) = first.outcome { reason += ": \(failure.message)" } else { reason += " was first" }
    return reason
  }

  /// In words what would have been allowed; nil = it is not more than that.
  private func exceededBudget(_ failed: Int) -> String? {
    guard let share = policy.failureShare else {
      let allowed = policy.failuresMaximum + failuresAccepted
      return failed > allowed ? "\(allowed)" : nil
    }
    let ended = members.count { $0.outcome != nil } - failuresAccepted
    let counted = failed - failuresAccepted
    guard ended >= min(share.sample, members.count - failuresAccepted), counted * 100 > share.percent * ended else {
      return nil
    }
    return "\(share.percent)% of \(ended)"
  }

  private var hasEvidence: Bool { members.contains { $0.outcome == .committed } }

  /// Places that are taken: whoever was released, and is there or has ended.
  private var placesTaken: Int { members.count { $0.isReleased && ($0.isOnline || $0.outcome != nil) } }

  private var isWaveOver: Bool {
    var isCandidateLeft = false
    for member in members {
      if member.isUnderWay { return false }
      if member.isCandidate { isCandidateLeft = true }
    }
    return !isCandidateLeft || (placesTaken >= waveEnds[openWave] && hasEvidence)
  }

  /// Releases who is online, in order, as far as places and the concurrency limit allow.
  private mutating func releaseOpen(_ now: Instant) -> [DeviceName] {
    var underWay = members.count(where: \.isUnderWay)
    var places = waveEnds[openWave] - placesTaken
    if places <= 0 && underWay == 0 && !hasEvidence { places = 1 }
    let limit = policy.concurrencyMaximum > 0 ? policy.concurrencyMaximum : Int.max
    var names: [DeviceName] = []
    for index in members.indices where members[index].isCandidate {
      guard underWay < limit, places > 0 else { break }
      members[index].wave = openWave
      members[index].since = now
      names.append(members[index].name)
      underWay += 1
      places -= 1
    }
    return names
  }

  /// Those who are away find their desired state when they come back.
  private mutating func releaseRest() -> [DeviceName] {
    var names: [DeviceName] = []
    for index in members.indices where !members[index].isReleased {
      members[index].wave = openWave
      if members[index].outcome == nil { names.append(members[index].name) }
    }
    return names
  }

  /// When a tick is due next; after a tick at that time it is later, or nil.
  var nextDeadline: Instant? {
    switch state {
    // After completion too: who comes back then has the same time for it as everyone else.
    case .rolling, .paused, .halted, .completed:
      var instants = members.compactMap(deadline)
      if case .rolling = state, let soakUntil { instants.append(soakUntil) }
      return instants.min()
    case .created, .cancelled: return nil
    }
  }
}
