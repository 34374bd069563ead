import WherryModel

/// What follows from the members' states: who is released, which wave opens, when it is over.
extension RolloutMachine {
  mutating func advance(_ now: Instant) -> [RolloutAction] {
    expire(now)
    guard case .rolling = state else { return [] }
    var released: [DeviceName] = []
    // A round without an end opens a wave or takes a device in, and there are no more of both than this.
    for _ in 0...(waveCount + members.count) {
      if let reason = spentBudget() {
        state = .halted(reason: reason)
        return actions(released) + [.halted(reason: reason)]
      }
      released += releaseOpen(now)
      guard isGatePassed else {
        soakUntil = nil
        break
      }
      if openWave >= waveCount - 1 {
        guard members.isEmpty || members.contains(where: { $0.outcome != nil }) else { break }
        return actions(released + releaseRest()) + complete()
      }
      if !members.contains(where: { $0.outcome == .committed }) {
        guard takeNextIn() else { break }
        continue
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
    guard member.isUnderWay, member.isReleased, let since = member.since else { return nil }
    return since.advanced(bySeconds: policy.deviceTimeoutSeconds)
  }

  private func spentBudget() -> String? {
    let failed = members.filter(\.isFailed)
    guard failed.count - failuresAccepted > policy.failuresMaximum, let first = failed.first else { return nil }
    let devices = failed.count == 1 ? "1 device" : "\(failed.count) devices"
    var reason = "\(devices) failed, \(policy.failuresMaximum + failuresAccepted) allowed; \(first.name)"
    if case .failed(let failure?) = first.outcome { reason += ": \(failure.message)" } else { reason += " was first" }
    return reason
  }

  /// Releases who is online in the open waves, as far as the concurrency limit allows.
  private mutating func releaseOpen(_ now: Instant) -> [DeviceName] {
    var underWay = members.count { $0.isReleased && $0.isUnderWay }
    let limit = policy.concurrencyMaximum > 0 ? policy.concurrencyMaximum : Int.max
    var names: [DeviceName] = []
    for index in members.indices where underWay < limit {
      let member = members[index]
      guard member.wave <= openWave, member.isUnderWay, !member.isReleased else { continue }
      members[index].isReleased = true
      members[index].since = now
      names.append(member.name)
      underWay += 1
    }
    return names
  }

  /// Those who are away find their desired state when they come back.
  private mutating func releaseRest() -> [DeviceName] {
    var names: [DeviceName] = []
    for index in members.indices where !members[index].isReleased {
      members[index].isReleased = true
      if members[index].outcome == nil { names.append(members[index].name) }
    }
    return names
  }

  private var isGatePassed: Bool { !members.contains { $0.wave <= openWave && $0.isUnderWay } }

  /// Nobody of the open waves is there to show that the version works: the next one who is online joins them.
  private mutating func takeNextIn() -> Bool {
    guard let index = members.firstIndex(where: { $0.wave > openWave && $0.isUnderWay }) else { return false }
    members[index].wave = openWave
    return true
  }

  package var nextDeadline: Instant? {
    switch state {
    case .rolling, .paused, .halted:
      var instants = members.compactMap(deadline)
      if case .rolling = state, let soakUntil { instants.append(soakUntil) }
      return instants.min()
    case .created, .completed, .cancelled: return nil
    }
  }

  package var summary: RolloutSummary {
    var waves = (0..<waveCount).map { index in
      RolloutWave(
        index: index, size: 0, released: 0, committed: 0, failed: 0, parked: 0, progress: progress(of: index))
    }
    for member in members {
      waves[member.wave].size += 1
      if member.isReleased { waves[member.wave].released += 1 }
      switch status(of: member) {
      case .committed: waves[member.wave].committed += 1
      case .failed: waves[member.wave].failed += 1
      case .parked: waves[member.wave].parked += 1
      case .waiting, .released: break
      }
    }
    let devices = members.sorted { $0.name < $1.name }.map {
      RolloutSummary.Device(name: $0.name, wave: $0.wave, status: status(of: $0))
    }
    return RolloutSummary(state: state, waves: members.isEmpty ? [] : waves, devices: devices)
  }

  /// An open wave's offline device that was not released counts as parked too.
  private func status(of member: Member) -> RolloutDeviceStatus {
    if case .waiting = member.status, member.wave <= openWave, !member.isOnline { return .parked }
    return member.status
  }

  private func progress(of wave: Int) -> RolloutWave.Progress {
    if case .completed = state { return .done }
    if wave < openWave { return .done }
    guard wave == openWave else { return .waiting }
    return soakUntil == nil ? .open : .soaking
  }
}
