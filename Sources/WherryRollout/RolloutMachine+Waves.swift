import WherryModel

/// What follows from the members' states: who is released, which wave opens, when it is over.
extension RolloutMachine {
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
  package var nextDeadline: Instant? {
    switch state {
    // After completion too: who comes back then has the same time for it as everyone else.
    case .rolling, .paused, .halted, .completed:
      var instants = members.compactMap(deadline)
      if case .rolling = state, let soakUntil { instants.append(soakUntil) }
      return instants.min()
    case .created, .cancelled: return nil
    }
  }

  package var summary: RolloutSummary {
    var waves = waveEnds.indices.map { index in
      RolloutWave(
        index: index, size: 0, released: 0, committed: 0, failed: 0, parked: 0, progress: progress(of: index))
    }
    var devices: [RolloutSummary.Device] = []
    for (member, wave) in zip(members, expectedWaves) {
      let status = status(of: member, wave)
      devices.append(RolloutSummary.Device(name: member.name, wave: wave, status: status))
      waves[wave].size += 1
      if member.isReleased { waves[wave].released += 1 }
      switch status {
      case .committed: waves[wave].committed += 1
      case .failed: waves[wave].failed += 1
      case .parked: waves[wave].parked += 1
      case .waiting, .released: break
      }
    }
    devices.sort { $0.name < $1.name }
    return RolloutSummary(state: state, waves: members.isEmpty ? [] : waves, devices: devices)
  }

  /// The wave that each was released in, and for the others the one whose places are the next to be had.
  private var expectedWaves: [Int] {
    var placed = members.count(where: \.isReleased)
    return members.map { member in
      if let wave = member.wave { return wave }
      let wave = waveEnds.firstIndex { placed < $0 } ?? waveEnds.count - 1
      placed += 1
      return max(wave, openWave)
    }
  }

  private func status(of member: Member, _ wave: Int) -> RolloutDeviceStatus {
    switch member.outcome {
    case .committed: return .committed
    case .failed(let failure): return .failed(failure)
    case nil: break
    }
    if member.isReleased { return member.isOnline ? .released : .parked }
    // Its turn came while it was away.
    return wave <= openWave && !member.isOnline ? .parked : .waiting
  }

  private func progress(of wave: Int) -> RolloutWave.Progress {
    if case .completed = state { return .done }
    if wave < openWave { return .done }
    guard wave == openWave else { return .waiting }
    return soakUntil == nil ? .open : .soaking
  }
}
