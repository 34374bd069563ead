import WherryModel

extension RolloutMachine {
  /// When a tick is due next; after a tick at that time it is later, or nil.
  package var nextDeadline: Instant? {
    var instants = [roster.firstDue?.at]
    switch state {
    case .rolling: instants += [soakUntil, throttledUntil]
    // Who comes back after the end has the same time for it as everyone else.
    case .completed: instants.append(throttledUntil)
    case .paused, .halted: break
    case .created, .cancelled: return nil
    }
    return instants.compactMap { $0 }.min()
  }

  package var summary: RolloutSummary {
    var waves = waveEnds.indices.map { RolloutWave(index: $0, progress: progress(of: $0)) }
    var devices: [RolloutSummary.Device] = []
    let members = members
    let changing = changingBySite(members)
    for (member, wave) in zip(members, expectedWaves) {
      let status = status(of: member, wave)
      var device = RolloutSummary.Device(name: member.name, wave: wave, status: status)
      if status == .waiting && wave <= openWave { device.waitsFor = obstacle(to: member, changing) }
      devices.append(device)
      waves[wave].size += 1
      if member.isReleased { waves[wave].released += 1 }
      switch status {
      case .committed: waves[wave].committed += 1
      case .failed: waves[wave].failed += 1
      case .silent: waves[wave].silent += 1
      case .parked: waves[wave].parked += 1
      case .deferred: waves[wave].deferred += 1
      case .waiting, .released, .reverted: break
      }
    }
    devices.sort { $0.name < $1.name }
    return RolloutSummary(state: state, waves: members.isEmpty ? [] : waves, devices: devices)
  }

  private func changingBySite(_ members: [Member]) -> [SiteKey: [DeviceName]] {
    guard !policy.disruption.isEmpty else { return [:] }
    var changing: [SiteKey: [DeviceName]] = [:]
    for member in members where member.isChanging {
      for key in SiteTable.keys(of: member) { changing[key, default: []].append(member.name) }
    }
    return changing
  }

  /// What keeps a device back whose wave is open; nil = only its turn.
  private func obstacle(to member: Member, _ changing: [SiteKey: [DeviceName]]) -> String? {
    guard let key = roster.fullSite(of: member) else {
      return throttledUntil.map { until in
        "no more than \(policy.rate) are to leave the service; the next device is "
          + "released at \(Timestamp.text(until))"
      }
    }
    let budget = policy.disruption[key.budget]
    let site = "\(budget.label)=\(key.value)"
    let names = (changing[key] ?? []).prefix(3).map(\.rawValue).joined(separator: ", ")
    if let maximum = budget.changingMaximum, roster.site(key).changing >= maximum {
      return "no more than \(maximum) of \(site) may be changing, and \(names) "
        + "\(roster.site(key).changing == 1 ? "is, or has" : "are, or have") not come back"
    }
    return "\(budget.upMinimum) of \(site) have to stay up, and \(roster.site(key).up) are"
      + (names.isEmpty ? "" : "; changing: \(names)")
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
    case .failed(let failure): return member.cause == .silent ? .silent(failure) : .failed(failure)
    case .reverted: return .reverted
    case nil: break
    }
    if member.isReleased { return !member.isOnline ? .parked : member.isDeferred ? .deferred : .released }
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
