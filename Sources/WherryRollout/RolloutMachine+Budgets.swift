import WherryModel

/// How many may fail, for which causes, until the rollout halts.
extension RolloutMachine {
  private struct Budget {
    var causes: Set<FailureCause>
    var maximum: Int
    var share: RolloutPolicy.FailureShare?
    /// Of causes that have none of their own.
    var isShared = false
  }

  private var budgets: [Budget] {
    var shared = Set(FailureCause.allCases)
    var budgets: [Budget] = []
    for own in policy.causeBudgets {
      shared.subtract(own.causes)
      budgets.append(Budget(causes: own.causes, maximum: own.maximum, share: own.share))
    }
    budgets.append(
      Budget(causes: shared, maximum: policy.failuresMaximum, share: policy.failureShare, isShared: true))
    return budgets
  }

  /// In one sentence, which budget is spent and by whom first; nil = none is.
  func spentBudget() -> String? {
    guard roster.failed > 0 else { return nil }
    for budget in budgets {
      let failed = budget.causes.reduce(0) { $0 + (roster.failedBy[$1] ?? 0) }
      guard failed > 0, let allowed = exceeded(budget, failed) else { continue }
      let isFirst = { (member: Member) in member.cause.map(budget.causes.contains) ?? false }
      guard let first = members.first(where: isFirst) else { continue }
      let devices = failed == 1 ? "1 device" : "\(failed) devices"
      let causes = budget.causes.sorted().map(\.rawValue).joined(separator: ", ")
      var reason = "\(devices) failed\(budget.isShared ? "" : " (\(causes))"), \(allowed) allowed; \(first.name)"
      if case .failed(let failure?) = first.outcome { reason += ": \(failure.message)" } else { reason += " was first" }
      return reason
    }
    return nil
  }

  /// In words what would have been allowed; nil = it is not more than that.
  private func exceeded(_ budget: Budget, _ failed: Int) -> String? {
    let accepted = budget.causes.reduce(0) { $0 + (failuresAccepted[$1] ?? 0) }
    guard let share = budget.share else {
      let allowed = budget.maximum + accepted
      return failed > allowed ? "\(allowed)" : nil
    }
    let ended = roster.ended - accepted
    let counted = failed - accepted
    guard ended >= min(share.sample, roster.count - accepted), counted * 100 > share.percent * ended else { return nil }
    return "\(share.percent)% of \(ended)"
  }
}
