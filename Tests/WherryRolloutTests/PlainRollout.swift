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
  var failuresAccepted: [FailureCause: Int] = [:]
  var bytesOutAt = Instant.zero
  var throttledUntil: Instant?

  typealias Member = RolloutMachine.Member

  init(policy: RolloutPolicy, devices: [RolloutDevice]) {
    self.policy = policy
    waveEnds = RolloutMachine.waveEnds(policy.waves, count: devices.count)
    members = devices.map(Member.init)
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
    case .joined(let name, let isOnline, let sites, let bytes):
      let device = RolloutDevice(name: name, isOnline: isOnline, sites: sites, bytes: bytes)
      return joined(device, now) + advance(now)
    case .left(let name): members.removeAll { $0.name == name }
    case .tick: break  // Time is looked at with every event.
    }
    return advance(now)
  }

  private mutating func reported(
    _ name: DeviceName, _ status: DeploymentStatus, _ failure: Failure?, digestMatches: Bool, _ now: Instant
  ) {
    guard let index = members.firstIndex(where: { $0.name == name }) else { return }
    // Another plan than the one given is old news or a fault; the device's timeout decides which.
    if status == .committed && !digestMatches { return }
    if members[index].outcome == .reverted { return }
    members[index].hasSpoken = true
    switch status {
    case .committed:
      members[index].outcome = .committed
      members[index].isDown = false
    case .failed, .rolledBack, .rejected:
      members[index].outcome = .failed(failure)
      let untouched: Set<FailureClass> = [.download, .verify, .space, .rejected]
      members[index].isDown = status == .failed && !(failure.map { untouched.contains($0.failureClass) } ?? false)
    case .superseded: return
    case .received, .fetching, .applying, .settling, .rollingBack:
      if case .failed(let why?) = members[index].outcome, why.code == FailureCause.silentCode {
        members[index].outcome = nil
        members[index].isDown = false
      }
      // While a device says *not now*, its time stands still.
      let isNotNow = ["download.window", "deployment.heldOff"].contains(failure?.code)
      members[index].isDeferred = isNotNow && members[index].isUnderWay
      if members[index].isDeferred {
        members[index].since = nil
      } else if members[index].isUnderWay && members[index].since == nil {
        members[index].since = now
      }
      return
    }
    members[index].since = nil
    members[index].isDeferred = false
  }

  private mutating func cameOrWent(_ name: DeviceName, isOnline: Bool, _ now: Instant) {
    guard let index = members.firstIndex(where: { $0.name == name }), members[index].isOnline != isOnline else {
      return
    }
    members[index].isOnline = isOnline
    let runs = isOnline && members[index].isReleased && members[index].outcome == nil && !members[index].isDeferred
    members[index].since = runs ? now : nil
  }

  private mutating func resume() {
    switch state {
    case .paused: state = .rolling
    case .halted:
      // With policy `stop` the deployment has ended; a new one has to be made.
      guard policy.onFailure == .pause else { return }
      failuresAccepted = Dictionary(grouping: members.compactMap(\.cause)) { $0 }.mapValues(\.count)
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
      let member = members[index]
      members[index] = Member(
        RolloutDevice(name: member.name, isOnline: member.isOnline, sites: member.sites, bytes: member.bytes))
    }
    failuresAccepted = [:]
    soakUntil = nil
    state = .rolling
  }

  private mutating func cancel() {
    switch state {
    case .created, .rolling, .paused, .halted: state = .cancelled
    case .completed, .cancelled: break
    }
  }

  private mutating func joined(_ device: RolloutDevice, _ now: Instant) -> [RolloutAction] {
    guard !members.contains(where: { $0.name == device.name }) else { return [] }
    var member = Member(device)
    waveEnds[waveEnds.count - 1] += 1
    guard case .completed = state, !isCareful else {
      members.append(member)
      return []
    }
    member.wave = waveEnds.count - 1
    member.since = device.isOnline ? now : nil
    members.append(member)
    return [.release([device.name])]
  }
}

/// What follows from the members' states: who is released, which wave opens, when it is over.
extension PlainRollout {
  mutating func advance(_ now: Instant) -> [RolloutAction] {
    expire(now)
    if case .completed = state, isCareful { return actions(release(atMost: .max, now)) }
    guard case .rolling = state else { return [] }
    var released: [DeviceName] = []
    // A round without an end opens a wave, and there are no more than these.
    for _ in waveEnds.indices {
      if let reason = spentBudget() {
        return actions(released) + halt(reason)
      }
      released += releaseOpen(now)
      guard isWaveOver else {
        soakUntil = nil
        break
      }
      let isNobodyLeft = members.allSatisfy { $0.isReleased || $0.outcome != nil }
      if openWave >= waveEnds.count - 1 || isNobodyLeft {
        let isOneKeptBack = !policy.disruption.isEmpty && members.contains(where: \.isCandidate)
        guard members.isEmpty || members.contains(where: { $0.outcome.map { $0 != .reverted } ?? false }),
          !isOneKeptBack
        else {
          soakUntil = nil
          break
        }
        return actions(released + releaseRest(now)) + complete()
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

  private mutating func halt(_ reason: String) -> [RolloutAction] {
    var reason = reason
    var reverted: [DeviceName] = []
    for index in members.indices where policy.onFailure == .revert && members[index].isReleased {
      if case .failed(let failure) = members[index].outcome {
        if ["rollout.deviceTimeout", FailureCause.silentCode].contains(failure?.code) {
          reverted.append(members[index].name)
        }
        continue
      }
      reverted.append(members[index].name)
      members[index].outcome = .reverted
      members[index].since = nil
      members[index].isDeferred = false
      members[index].isDown = false
    }
    if !reverted.isEmpty {
      reason += "; \(reverted.count == 1 ? "1 device goes" : "\(reverted.count) devices go") back"
    }
    state = .halted(reason: reason)
    return (reverted.isEmpty ? [] : [.revert(reverted)]) + [.halted(reason: reason)]
  }

  private mutating func expire(_ now: Instant) {
    for index in members.indices {
      guard let deadline = deadline(of: members[index]), now >= deadline else { continue }
      let name = members[index].name
      members[index].since = nil
      members[index].isDown = true
      members[index].outcome = .failed(
        members[index].hasSpoken
          ? Failure(
            .timeout, code: "rollout.deviceTimeout",
            message: "\(name) did not finish within \(policy.deviceTimeoutSeconds) s",
            remedy: "see what it does with 'wherry device show \(name)'")
          : Failure(
            .timeout, code: "rollout.deviceSilent",
            message: "\(name) said nothing of it within \(patience(with: members[index])) s, although it is online",
            remedy: "see when it was heard last with 'wherry device show \(name)'"))
    }
  }

  private func patience(with member: Member) -> Int {
    if member.hasSpoken || policy.silenceSeconds == 0 { return policy.deviceTimeoutSeconds }
    return min(policy.silenceSeconds, policy.deviceTimeoutSeconds)
  }

  private func deadline(of member: Member) -> Instant? {
    guard member.isUnderWay, let since = member.since else { return nil }
    return since.advanced(bySeconds: patience(with: member))
  }

  private func spentBudget() -> String? {
    for budget in policy.causeBudgets {
      let words = budget.causes.map(\.rawValue).sorted().joined(separator: ", ")
      if let reason = spent(" (\(words))", budget.maximum, budget.share, { budget.causes.contains($0) }) {
        return reason
      }
    }
    let own = policy.causeBudgets.flatMap(\.causes)
    return spent("", policy.failuresMaximum, policy.failureShare) { !own.contains($0) }
  }

  private func spent(
    _ words: String, _ maximum: Int, _ share: RolloutPolicy.FailureShare?, _ counts: (FailureCause) -> Bool
  ) -> String? {
    let failed = members.filter { $0.cause.map(counts) ?? false }
    let accepted = failuresAccepted.filter { counts($0.key) }.values.reduce(0, +)
    guard let first = failed.first, let allowed = exceeded(maximum, share, failed.count, accepted) else { return nil }
    let devices = failed.count == 1 ? "1 device" : "\(failed.count) devices"
    var reason = "\(devices) failed\(words), \(allowed) allowed; \(first.name)"
    if case .failed(let failure?) = first.outcome { reason += ": \(failure.message)" } else { reason += " was first" }
    return reason
  }

  /// In words what would have been allowed; nil = it is not more than that.
  private func exceeded(
    _ maximum: Int, _ share: RolloutPolicy.FailureShare?, _ failed: Int, _ accepted: Int
  ) -> String? {
    guard let share else { return failed > maximum + accepted ? "\(maximum + accepted)" : nil }
    let ended = members.count { $0.outcome == .committed || $0.isFailed } - accepted
    let counted = failed - accepted
    guard ended >= min(share.sample, members.count - accepted), counted * 100 > share.percent * ended else {
      return nil
    }
    return "\(share.percent)% of \(ended)"
  }

  private var hasEvidence: Bool { members.contains { $0.outcome == .committed } }

  /// Places that are taken: whoever was released, and is there or has ended.
  private var placesTaken: Int { members.count { $0.isReleased && ($0.isOnline || $0.outcome != nil) } }

  private var isWaveOver: Bool {
    if members.contains(where: \.isUnderWay) { return false }
    if placesTaken >= waveEnds[openWave] && hasEvidence { return true }
    return !members.contains { $0.isCandidate && fits($0) }
  }

  /// Whether everyone at its sites can do without it now.
  private func fits(_ member: Member) -> Bool {
    for (number, budget) in policy.disruption.enumerated() where member.sites.indices.contains(number) {
      guard let site = member.sites[number] else { continue }
      let others = members.filter { $0.sites.indices.contains(number) && $0.sites[number] == site }
      if let most = budget.changingMaximum, others.count(where: \.isChanging) + 1 > most { return false }
      if others.count(where: { $0.isOnline && !$0.isChanging }) - 1 < budget.upMinimum { return false }
    }
    return true
  }

  /// Who was away when it ended is released when it comes back.
  private var isCareful: Bool { !policy.disruption.isEmpty || policy.bytesPerSecond > 0 }

  /// Releases who is online, in order, as far as places and the concurrency limit allow.
  private mutating func releaseOpen(_ now: Instant) -> [DeviceName] {
    let isNobodyUnderWay = !members.contains(where: \.isUnderWay)
    var places = waveEnds[openWave] - placesTaken
    if places <= 0 && isNobodyUnderWay && !hasEvidence { places = 1 }
    return release(atMost: places, now)
  }

  private mutating func release(atMost most: Int, _ now: Instant) -> [DeviceName] {
    var underWay = members.count(where: \.isUnderWay)
    let limit = policy.concurrencyMaximum > 0 ? policy.concurrencyMaximum : Int.max
    let isFree = bytesOutAt <= now
    throttledUntil = nil
    var names: [DeviceName] = []
    for index in members.indices where members[index].isCandidate && fits(members[index]) {
      guard underWay < limit, names.count < most else { break }
      if policy.bytesPerSecond > 0 {
        guard isFree, bytesOutAt.milliseconds < now.milliseconds + 1_000 else {
          throttledUntil = bytesOutAt
          break
        }
        let wholeMilliseconds = (members[index].bytes * 1_000 + policy.bytesPerSecond - 1) / policy.bytesPerSecond
        bytesOutAt = Instant(
          milliseconds: max(now.milliseconds, bytesOutAt.milliseconds) + wholeMilliseconds)
      }
      members[index].wave = openWave
      members[index].since = now
      members[index].hasSpoken = false
      names.append(members[index].name)
      underWay += 1
    }
    return names
  }

  /// Those who are away find their desired state when they come back.
  private mutating func releaseRest(_ now: Instant) -> [DeviceName] {
    throttledUntil = nil
    if isCareful { return [] }
    var names: [DeviceName] = []
    for index in members.indices where !members[index].isReleased {
      members[index].wave = openWave
      members[index].hasSpoken = false
      members[index].since = members[index].isOnline && members[index].outcome == nil ? now : nil
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
      if state == .rolling || state == .completed, let throttledUntil { instants.append(throttledUntil) }
      return instants.min()
    case .created, .cancelled: return nil
    }
  }
}
