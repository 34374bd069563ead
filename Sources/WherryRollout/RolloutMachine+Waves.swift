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
    guard case .rolling = state else { return releaseLate(now) }
    var released: [DeviceName] = []
    // A round without an end opens a wave, and there are no more than these.
    for _ in waveEnds.indices {
      if let reason = spentBudget() { return actions(released) + halt(reason) }
      released += releaseOpen(now)
      guard isWaveOver() else {
        soakUntil = nil
        break
      }
      if openWave >= waveEnds.count - 1 || roster.left == 0 {
        guard roster.isEmpty || roster.ended > 0, policy.disruption.isEmpty || roster.candidates == 0 else {
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
        // It said nothing, or no end, so it may be anywhere; it stays among the failed.
        if failure?.code == Self.timeoutCode || member.cause == .silent { names.append(member.name) }
        continue
      }
      names.append(member.name)
      roster.update(index) { $0.end(.reverted) }
    }
    return names
  }

  private static let timeoutCode = "rollout.deviceTimeout"

  private mutating func expire(_ now: Instant) {
    roster.settle()
    while let (index, at) = roster.firstDue, now >= at, let member = roster[index] {
      let failure =
        member.hasSpoken
        ? Failure(
          .timeout, code: Self.timeoutCode,
          message: "\(member.name) did not finish within \(policy.deviceTimeoutSeconds) s",
          remedy: "see what it does with 'wherry device show \(member.name)'")
        : Failure(
          .timeout, code: FailureCause.silentCode,
          message: "\(member.name) said nothing of it within \(policy.silenceLimitSeconds) s, although it is online",
          remedy: "see when it was heard last with 'wherry device show \(member.name)'")
      roster.update(index) { $0.end(.failed(failure), isDown: true) }
      roster.settle()
    }
  }

  private var hasEvidence: Bool { roster.committed > 0 }

  private mutating func isWaveOver() -> Bool {
    guard roster.underWay == 0 else { return false }
    if roster.placesTaken >= waveEnds[openWave] && hasEvidence { return true }
    return roster.firstCandidate() == nil
  }

  /// Releases who is online, in order, as far as places and limits allow.
  private mutating func releaseOpen(_ now: Instant) -> [DeviceName] {
    var places = waveEnds[openWave] - roster.placesTaken
    if places <= 0 && roster.underWay == 0 && !hasEvidence { places = 1 }
    return release(atMost: places, now)
  }

  private mutating func release(atMost places: Int, _ now: Instant) -> [DeviceName] {
    let limit = policy.concurrencyMaximum > 0 ? policy.concurrencyMaximum : Int.max
    let wave = openWave
    let mayBegin = bytesOutAt <= now
    throttledUntil = nil
    var names: [DeviceName] = []
    while roster.underWay < limit, names.count < places, let index = roster.firstCandidate(),
      let bytes = roster[index]?.bytes
    {
      if policy.bytesPerSecond > 0 {
        // A second's worth at a time, so that not each device needs a tick of its own.
        guard mayBegin && bytesOutAt < now.advanced(bySeconds: 1) else {
          throttledUntil = bytesOutAt
          break
        }
        bytesOutAt = max(now, bytesOutAt).advanced(byMilliseconds: policy.milliseconds(for: bytes))
      }
      roster.update(index) { member in
        member.release(in: wave, at: now)
        names.append(member.name)
      }
    }
    return names
  }

  /// Those who are away find their desired state when they come back, unless they may not all do so at the same time.
  private mutating func releaseRest(_ now: Instant) -> [DeviceName] {
    throttledUntil = nil
    guard !policy.holdsBackAfterTheEnd else { return [] }
    var names: [DeviceName] = []
    let wave = openWave
    for index in roster.indices where roster[index]?.isReleased == false {
      roster.update(index) { member in
        member.release(in: wave, at: now)
        if member.outcome == nil { names.append(member.name) }
      }
    }
    return names
  }

  /// The rollout has ended without those who were away, and now they come.
  private mutating func releaseLate(_ now: Instant) -> [RolloutAction] {
    guard case .completed = state, policy.holdsBackAfterTheEnd else { return [] }
    return actions(release(atMost: .max, now))
  }
}

extension RolloutPolicy {
  var holdsBackAfterTheEnd: Bool { !disruption.isEmpty || bytesPerSecond > 0 }

  /// How long so many bytes take to leave the service at its rate, rounded up.
  func milliseconds(for bytes: Int64) -> Int64 {
    let (product, overflow) = max(0, bytes).multipliedReportingOverflow(by: 1_000)
    return overflow ? .max : product / bytesPerSecond + (product % bytesPerSecond == 0 ? 0 : 1)
  }
}
