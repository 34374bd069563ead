import WherryModel

/// From the first change on the device to the commit, or back.
extension DeviceMachine {
  /// Going back is decided when what ran before has run again for this long.
  static let rollbackSettleMaximumMilliseconds: Int64 = 2_000

  /// Whether anything changed.
  mutating func advanceDeployment(_ now: Instant, _ actions: inout [DeviceAction]) -> Bool {
    guard let deployment = state.deployment else { return false }
    switch deployment.phase {
    case .fetching(let attempts):
      guard let failure = attempts.stall(at: now) else { return false }
      actions.append(.cancelFetch(generation: deployment.reference.generation))
      giveUpFetch(failure, now, &actions)
      return true
    case .fetchPaused(let attempts, let until, let cause):
      guard now >= until else { return false }
      // However late it is noticed that a window has opened.
      state.deployment?.phase = .fetching(cause.isDeferral ? attempts.waiting(until: now) : attempts)
      actions.append(.fetch(generation: deployment.reference.generation, plan: plan(deployment.reference)))
      return true
    case .asking(let deadline, _):
      guard now >= deadline else { return false }
      beginApplying(deployment, now)
      return true
    case .applying(let deadline):
      if let failure = failureOfAim(deployment, deadline, now) {
        fail(failure, now, &actions)
        return true
      }
      guard isAimReached(deployment) else { return false }
      state.deployment?.phase = .settling(until: nil, deadline: deadline)
      return true
    case .settling(let until, let deadline):
      if let failure = failureOfAim(deployment, deadline, now) {
        fail(failure, now, &actions)
        return true
      }
      return settle(deployment, until, now, &actions)
    case .rollingBack(let cause, let until, let deadline):
      if let failure = failureOfAim(deployment, deadline, now) {
        concludeFailedRollback(cause, failure, now)
        return true
      }
      return settle(deployment, until, now, &actions)
    }
  }

  /// Waits until everything has been good for long enough, from anew whenever something is not.
  private mutating func settle(
    _ deployment: DeploymentProgress, _ until: Instant?, _ now: Instant, _ actions: inout [DeviceAction]
  ) -> Bool {
    switch (until, isAimReached(deployment)) {
    case (nil, false): return false
    case (.some, false): state.deployment?.phase.setSettled(at: nil)
    case (nil, true):
      let settled = now.advanced(byMilliseconds: settleMilliseconds(deployment))
      state.deployment?.phase.setSettled(at: settled)
    case (.some(let until), true):
      guard now >= until else { return false }
      if case .rollingBack(let cause, _, _) = deployment.phase {
        conclude(.rolledBack, cause)
        forget(&actions)
      } else {
        commit(deployment.reference, &actions)
      }
    }
    return true
  }

  private func settleMilliseconds(_ deployment: DeploymentProgress) -> Int64 {
    let policy = plan(deployment.reference).policy
    if case .rollingBack = deployment.phase {
      return state.aim == nil ? 0 : min(policy.settleMilliseconds, Self.rollbackSettleMaximumMilliseconds)
    }
    return deployment.isChange ? policy.settleMilliseconds : 0
  }

  private mutating func commit(_ reference: PlanReference, _ actions: inout [DeviceAction]) {
    if state.current?.digest != reference.digest { state.previous = state.current }
    state.current = reference
    conclude(.committed, nil)
    forget(&actions)
    actions.append(.commit(reference))
  }

  private mutating func fail(_ failure: Failure, _ now: Instant, _ actions: inout [DeviceAction]) {
    guard let deployment = state.deployment else { return }
    switch plan(deployment.reference).policy.failureHandling {
    case .rollback: rollBack(failure, now, &actions)
    case .doNothing: conclude(.failed, failure)
    }
  }

  mutating func rollBack(_ cause: Failure, _ now: Instant, _ actions: inout [DeviceAction]) {
    guard let deployment = state.deployment else { return }
    let timeout = plan(deployment.reference).policy.timeoutSeconds
    state.deployment?.phase = .rollingBack(
      cause: cause, until: nil, deadline: now.advanced(bySeconds: timeout))
    // The components as they are now, BROKEN among them; in a moment they are those of the old plan.
    send(content(concluded: nil), now, &actions)
    state.aim = state.current
  }

  /// The committed plan does not come up either. It stays the aim: what can be mended by trying again is tried.
  private mutating func concludeFailedRollback(_ cause: Failure, _ failure: Failure, _ now: Instant) {
    var whole = cause
    whole.message += "; going back to the previous state failed too: \(failure.message)"
    conclude(.failed, whole)
    for name in state.components.keys.sorted() {
      guard var machine = state.components[name] else { continue }
      machine.reviveAfterDeployment(context(of: machine, now))
      state.components[name] = machine
    }
  }

  mutating func conclude(_ status: DeploymentStatus, _ failure: Failure?) {
    guard let reference = state.deployment?.reference else { return }
    let end = conclusion(of: reference, status, failure)
    if end.generation.isLocal { remember(end) } else { state.conclusion = end }
    state.deployment = nil
    fetchProgress = nil
  }

  /// What left the device since the last conclusion left it for good.
  private mutating func forget(_ actions: inout [DeviceAction]) {
    state.forgotten = state.leaving
    state.leaving = []
    actions += state.forgotten.sorted().map { .forget($0) }
  }
}
