import WherryModel

/// What follows from the members' states: who is released, which wave opens, when it is over.
extension RolloutMachine {
  mutating func advance(_ now: Instant) -> [RolloutAction] {
    expire(now)
    let actions = advanceWaves(now)
    roster.settle()
    return actions
  }

  private mutating func advanceWaves(_ now: Instant) -> [RolloutAction] {
    guard case .rolling = state else { return [] }
    var released: [DeviceName] = []
    // A round without an end opens a wave, and there are no more than these.
    for _ in waveEnds.indices {
      if let reason = spentBudget() { return actions(released) + halt(reason) }
      released += releaseOpen(now)
      guard isWaveOver else {
        soakUntil = nil
        break
      }
      if openWave >= waveEnds.count - 1 || roster.left == 0 {
        guard roster.isEmpty || roster.ended > 0 else {
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

  private mutating func halt(_ reason: String) -> [RolloutAction] {
    let reverted = policy.onFailure == .revert ? revert() : []
    var reason = reason
    if !reverted.isEmpty {
      reason += "; \(reverted.count == 1 ? "1 device goes" : "\(reverted.count) devices go") back"
    }
    state = .halted(reason: reason)
    return (reverted.isEmpty ? [] : [.revert(reverted)]) + [.halted(reason: reason)]
  }

  /// Whoever has the new state or may yet get it. One that said that it failed has gone back by itself.
  private mutating func revert() -> [DeviceName] {
    var names: [DeviceName] = []
    for index in roster.indices {
      guard let member = roster[index], member.isReleased else { continue }
      if case .failed(let failure) = member.outcome {
        // It said nothing, so it may be anywhere; it stays among the failed.
        if failure?.code == Self.timeoutCode { names.append(member.name) }
        continue
      }
      names.append(member.name)
      roster.update(index) { member in
        member.outcome = .reverted
        member.since = nil
      }
    }
    return names
  }

  private static let timeoutCode = "rollout.deviceTimeout"

  private mutating func expire(_ now: Instant) {
    roster.settle()
    while let (index, since) = roster.longestUnderWay, now >= deadline(since) {
      roster.update(index) { member in
        member.since = nil
        member.outcome = .failed(
          Failure(
            .timeout, code: Self.timeoutCode,
            message: "\(member.name) did not finish within \(policy.deviceTimeoutSeconds) s",
            remedy: "see what it does with 'wherry device show \(member.name)'"))
      }
      roster.settle()
    }
  }

  private func deadline(_ since: Instant) -> Instant { since.advanced(bySeconds: policy.deviceTimeoutSeconds) }

  private mutating func spentBudget() -> String? {
    let failed = roster.failed
    guard failed > 0, let allowed = exceededBudget(failed), let first = roster.firstFailed() else { return nil }
    let devices = failed == 1 ? "1 device" : "\(failed) devices"
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
    let ended = roster.ended - failuresAccepted
    let counted = failed - failuresAccepted
    guard ended >= min(share.sample, roster.count - failuresAccepted), counted * 100 > share.percent * ended else {
      return nil
    }
    return "\(share.percent)% of \(ended)"
  }

  private var hasEvidence: Bool { roster.committed > 0 }

  private var isWaveOver: Bool {
    roster.underWay == 0
      && (roster.candidates == 0 || (roster.placesTaken >= waveEnds[openWave] && hasEvidence))
  }

  /// Releases who is online, in order, as far as places and the concurrency limit allow.
  private mutating func releaseOpen(_ now: Instant) -> [DeviceName] {
    var places = waveEnds[openWave] - roster.placesTaken
    if places <= 0 && roster.underWay == 0 && !hasEvidence { places = 1 }
    let limit = policy.concurrencyMaximum > 0 ? policy.concurrencyMaximum : Int.max
    let wave = openWave
    var names: [DeviceName] = []
    while roster.underWay < limit, places > 0, let index = roster.firstCandidate() {
      roster.update(index) { member in
        member.wave = wave
        member.since = now
        names.append(member.name)
      }
      places -= 1
    }
    return names
  }

  /// Those who are away find their desired state when they come back.
  private mutating func releaseRest() -> [DeviceName] {
    var names: [DeviceName] = []
    let wave = openWave
    for index in roster.indices where roster[index]?.isReleased == false {
      roster.update(index) { member in
        member.wave = wave
        if member.outcome == nil { names.append(member.name) }
      }
    }
    return names
  }

  /// When a tick is due next; after a tick at that time it is later, or nil.
  package var nextDeadline: Instant? {
    switch state {
    // After completion too: who comes back then has the same time for it as everyone else.
    case .rolling, .paused, .halted, .completed:
      let ofDevice = roster.longestUnderWay.map { deadline($0.since) }
      guard case .rolling = state, let soakUntil else { return ofDevice }
      return ofDevice.map { min($0, soakUntil) } ?? soakUntil
    case .created, .cancelled: return nil
    }
  }

  package var summary: RolloutSummary {
    var waves = waveEnds.indices.map { index in
      RolloutWave(
        index: index, size: 0, released: 0, committed: 0, failed: 0, parked: 0, progress: progress(of: index))
    }
    var devices: [RolloutSummary.Device] = []
    let members = members
    for (member, wave) in zip(members, expectedWaves) {
      let status = status(of: member, wave)
      devices.append(RolloutSummary.Device(name: member.name, wave: wave, status: status))
      waves[wave].size += 1
      if member.isReleased { waves[wave].released += 1 }
      switch status {
      case .committed: waves[wave].committed += 1
      case .failed: waves[wave].failed += 1
      case .parked: waves[wave].parked += 1
      case .waiting, .released, .reverted: break
      }
    }
    devices.sort { $0.name < $1.name }
    return RolloutSummary(state: state, waves: members.isEmpty ? [] : waves, devices: devices)
  }

  /// The wave that each was released in, and for the others the one whose places are the next to be had.
  private var expectedWaves: [Int] {
    var placed = roster.released
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
    case .reverted: return .reverted
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
