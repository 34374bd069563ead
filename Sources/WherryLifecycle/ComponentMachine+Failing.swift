import WherryModel

extension ComponentMachine {
  /// Counts a failure whose workload is gone, and goes on to the next try.
  mutating func fail(_ failure: Failure, _ context: ComponentContext) -> [DeviceAction] {
    strike(failure, context)
    return continueAfterFailure(context)
  }

  /// Counts a failure while something is alive, ends that, and goes on when it is gone.
  mutating func fail(
    _ failure: Failure, ending steps: [LifecycleStep], byKilling: Bool, _ context: ComponentContext
  ) -> [DeviceAction] {
    strike(failure, context)
    return byKilling ? kill(steps, isRetry: true, context) : end(steps, isRetry: true, context)
  }

  private mutating func strike(_ failure: Failure, _ context: ComponentContext) {
    let isApart =
      failedAt.map { context.now.milliseconds(since: $0) >= RestartBackoff.strikeWindowMilliseconds } ?? true
    strikes = isApart || wasStable(context) ? 1 : strikes + 1
    // The check's own retries are used up; trying the version again twice would only take three times as long.
    if failure.failureClass == .health && context.isDeploying { strikes = max(strikes, RestartBackoff.strikesMaximum) }
    failedAt = context.now
    self.failure = Failure(
      failure.failureClass, code: failure.code, message: failure.message, remedy: failure.remedy, component: name,
      log: ComponentFailure.clipped(failure.log))
  }

  private func wasStable(_ context: ComponentContext) -> Bool {
    guard context.planned.container != nil, case .running(let since, _, _) = phase else { return false }
    return context.now.milliseconds(since: since) >= RestartBackoff.stableMilliseconds
  }

  /// Nothing is alive: recover, rest, or give up.
  mutating func continueAfterFailure(_ context: ComponentContext) -> [DeviceAction] {
    let policy = context.planned.container?.restart
    if RestartBackoff.isBroken(strikes: strikes, policy: policy, isDeploying: context.isDeploying) {
      phase = .broken
      return []
    }
    // Before its installation is done there is nothing for `recover` to mend.
    if context.has(.recover) && installed == identity {
      phase = .recovering(until: context.deadline(of: .recover))
      return [launch(.recover, context)]
    }
    rest(context)
    return []
  }

  mutating func rest(_ context: ComponentContext) {
    let delay = RestartBackoff.delayMilliseconds(
      strikes: strikes, isDeploying: context.isDeploying, maximum: context.backoffMaximumMilliseconds,
      jitter: context.jitterSeed.map { Jitter.share(seed: $0, of: name.rawValue, at: context.now) })
    phase = .waiting(until: context.now.advanced(byMilliseconds: delay))
  }

  /// A deployment ended with this component given up; outside deployments its policy is to be tried for ever.
  mutating func reviveAfterDeployment(_ context: ComponentContext) {
    guard case .broken = phase,
      !RestartBackoff.isBroken(strikes: strikes, policy: context.planned.container?.restart, isDeploying: false)
    else { return }
    var calm = context
    calm.isDeploying = false
    rest(calm)
  }
}
