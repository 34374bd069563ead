import WherryJSON
import WherryModel
import WherryPlanning

/// The way of one desired state: fetch, apply, settle, commit; or back. The newest always wins: it takes the place of
/// one under way, of which that is the end.
extension DeviceMachine {
  mutating func accept(_ reference: PlanReference, _ plan: Plan, _ now: Instant, _ actions: inout [DeviceAction]) {
    // Retained messages come again with each connection, and old ones may be replayed.
    guard reference.generation > state.generation else { return }
    // A local deployment waits for its turn; it takes the place of nothing.
    guard !reference.generation.isLocal || state.deployment == nil else { return }
    state.generation = reference.generation
    plans[reference.digest] = plan
    let isDirty = isDeploying
    if let replaced = state.deployment {
      if !replaced.phase.hasBegunToChange {
        actions.append(.cancelFetch(generation: replaced.reference.generation))
      }
      // Whoever waits for the end of each deployment hears of this one's, too.
      let end = conclusion(of: replaced.reference, .superseded, nil)
      if end.generation.isLocal { remember(end) }
      send(content(concluded: end), now, &actions)
    }
    if !reference.generation.isLocal { state.conclusion = nil }
    state.deployment = DeploymentProgress(
      reference: reference, phase: .fetching(FetchAttempts(since: now)), isDirty: isDirty)
    fetchProgress = nil
    actions.append(.fetch(generation: reference.generation, plan: plan))
  }

  /// A refusal is only reported: whoever sent it may not have been entitled to a generation, so none is taken from it.
  mutating func refuse(
    _ generation: Generation, _ digest: Digest?, _ failure: Failure, _ now: Instant, _ actions: inout [DeviceAction]
  ) {
    guard generation > state.generation else { return }
    let conclusion = DeploymentConclusion(
      generation: generation, digest: digest, status: .rejected, failure: failure)
    if state.deployment?.reference.generation.isLocal != false {
      state.conclusion = conclusion
    } else {
      send(content(concluded: conclusion), now, &actions)
    }
  }

  /// The service knows its own plan only, so that is the one that it hears of.
  func conclusion(
    of reference: PlanReference, _ status: DeploymentStatus, _ failure: Failure?
  ) -> DeploymentConclusion {
    DeploymentConclusion(
      generation: reference.generation, digest: orderedDigest(reference.digest), status: status, failure: failure)
  }

  /// nil = nothing in it was ordered by the service.
  func orderedDigest(_ digest: Digest) -> Digest? {
    guard let plan = plans[digest], plan.local != nil else { return digest }
    return plan.ordered
  }

  /// The newest last; only so many are kept.
  mutating func remember(_ end: DeploymentConclusion) {
    state.localConclusions = state.localConclusions.suffix(DeviceState.localConclusionsMaximum - 1) + [end]
  }

  mutating func fetchProgressed(_ generation: Generation, _ progress: FetchProgress, _ now: Instant) {
    guard let deployment = state.deployment, deployment.reference.generation == generation,
      case .fetching(let attempts) = deployment.phase
    else { return }
    // Each try counts from nothing and leaves out what is complete, but what is left means the same to all of them.
    state.deployment?.phase = .fetching(attempts.told(remaining: progress.remaining, at: now))
    fetchProgress = progress
  }

  /// The owner's wish is no fault of the network: patience begins anew when it goes on.
  mutating func fetchWaits(_ generation: Generation, _ until: Instant, _ why: Failure) {
    guard let deployment = state.deployment, deployment.reference.generation == generation,
      case .fetching(let attempts) = deployment.phase
    else { return }
    state.deployment?.phase = .fetchPaused(attempts.waiting(until: until), until: until, cause: why)
  }

  mutating func fetchFailed(
    _ generation: Generation, _ failure: Failure, _ now: Instant, _ actions: inout [DeviceAction]
  ) {
    guard let deployment = state.deployment, deployment.reference.generation == generation,
      case .fetching(let attempts) = deployment.phase
    else { return }
    if let next = attempts.caughtUp(remaining: fetchProgress?.remaining).failed(with: failure, at: now) {
      state.deployment?.phase = .fetchPaused(next.attempts, until: next.retryAt, cause: failure)
    } else {
      giveUpFetch(failure, now, &actions)
    }
  }

  /// Nothing was touched, unless by an earlier deployment that never ended.
  mutating func giveUpFetch(_ failure: Failure, _ now: Instant, _ actions: inout [DeviceAction]) {
    if state.deployment?.isDirty == true {
      rollBack(failure, now, &actions)
    } else {
      conclude(.failed, failure)
    }
  }

  /// Everything is here. Who runs may hold the change off, where the policy lets them.
  mutating func fetchSucceeded(_ generation: Generation, _ now: Instant, _ actions: inout [DeviceAction]) {
    guard let deployment = state.deployment, deployment.reference.generation == generation else { return }
    switch deployment.phase {
    case .fetching, .fetchPaused: break
    case .asking, .applying, .settling, .rollingBack: return
    }
    fetchProgress = nil
    let plan = plan(deployment.reference)
    let mayHold = plan.policy.updateAction == .notify && plan.policy.updateTimeoutSeconds > 0 && !deployment.isDirty
    guard mayHold, !componentsToAsk(plan, effectiveConfigurations(of: plan)).isEmpty else {
      beginApplying(deployment, now)
      return
    }
    let deadline = now.advanced(bySeconds: plan.policy.updateTimeoutSeconds)
    state.deployment?.phase = .asking(deadline: deadline, holding: [])
    askAt = now
  }

  /// From here on the device changes: the new plan becomes the aim.
  mutating func beginApplying(_ progress: DeploymentProgress, _ now: Instant) {
    var deployment = progress
    let reference = deployment.reference
    let plan = plan(reference)
    let configurations = effectiveConfigurations(of: plan)
    let committed = state.current.map { identities(of: $0) } ?? [:]
    state.snapshots[reference.generation] = DeviceState.Snapshot(
      digest: reference.digest, configurations: configurations)
    state.aim = reference
    let wanted = wantedIdentities()
    deployment.isChange =
      deployment.isDirty || reference.digest != state.current?.digest
      || wanted != state.components.mapValues(\.identity)
    deployment.excused = excuse(wanted, committed)
    deployment.phase = .applying(deadline: now.advanced(bySeconds: plan.policy.timeoutSeconds))
    deployment.isDirty = true
    state.deployment = deployment
  }

  func effectiveConfigurations(of plan: Plan) -> [ComponentName: JSON] {
    let old = state.current.flatMap { state.snapshots[$0.generation] }
    var configurations: [ComponentName: JSON] = [:]
    for planned in plan.components {
      configurations[planned.name] = ConfigurationMerge.apply(
        planned.configuration, to: old?.configurations[planned.name])
    }
    return configurations
  }

  /// Splits what stays as it is: what was committed and is failing is left alone; all else is looked at afresh.
  private mutating func excuse(
    _ wanted: [ComponentName: String], _ committed: [ComponentName: String]
  ) -> Set<ComponentName> {
    var excused: Set<ComponentName> = []
    for name in wanted.keys.sorted() {
      guard var machine = state.components[name], machine.identity == wanted[name] else { continue }
      switch machine.phase {
      case .waiting, .recovering, .broken:
        if committed[name] == machine.identity {
          excused.insert(name)
          continue
        }
        machine.restart()
      case .new, .preparing, .awaitingRestart, .installed, .starting, .running, .shuttingDown, .stopping, .uninstalling,
        .uninstalled, .finished:
        machine.forgive()
      }
      state.components[name] = machine
    }
    return excused
  }
}
