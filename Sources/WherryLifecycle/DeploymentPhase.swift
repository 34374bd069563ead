import WherryModel

/// How far the device is with its newest desired state. A newer one replaces it in any phase.
package enum DeploymentPhase: Hashable, Sendable {
  /// The shell fetches; nothing running is touched. Exits: `applying`, `fetchPaused`, failed (or `rollingBack` when an
  /// earlier deployment had begun to change the device). It ends by itself when next to nothing comes for long.
  case fetching(FetchAttempts)
  /// A fetch failed in a way that may mend itself; the next begins at `until`. Exits: `fetching`.
  case fetchPaused(FetchAttempts, until: Instant, cause: Failure)
  /// Everything is here, nothing is touched yet: running components that the plan changes may hold it off, at most
  /// until the deadline; `holding` do. Exits: `applying`.
  case asking(deadline: Instant, holding: [ComponentName])
  /// Stops what goes, installs and starts what comes. Exits: `settling`, `rollingBack`, failed.
  case applying(deadline: Instant)
  /// Everything is up; `until` = when it will have been good for long enough, nil while something is not good.
  /// Exits: committed, `rollingBack`, failed.
  case settling(until: Instant?, deadline: Instant)
  /// Goes back to the committed plan; `until` as in `settling`. Exits: rolledBack, failed.
  case rollingBack(cause: Failure, until: Instant?, deadline: Instant)

  var hasBegunToChange: Bool {
    switch self {
    case .fetching, .fetchPaused, .asking: false
    case .applying, .settling, .rollingBack: true
    }
  }

  var status: DeploymentStatus {
    switch self {
    case .fetching, .fetchPaused, .asking: .fetching
    case .applying: .applying
    case .settling: .settling
    case .rollingBack: .rollingBack
    }
  }

  var nextDeadline: Instant? {
    switch self {
    case .fetching(let attempts): attempts.deadline
    case .fetchPaused(_, let until, _): until
    case .asking(let deadline, _), .applying(let deadline): deadline
    case .settling(let until, let deadline), .rollingBack(_, let until, let deadline):
      until.map { min($0, deadline) } ?? deadline
    }
  }

  /// When it will have been good for long enough.
  mutating func setSettled(at instant: Instant?) {
    switch self {
    case .settling(_, let deadline): self = .settling(until: instant, deadline: deadline)
    case .rollingBack(let cause, _, let deadline):
      self = .rollingBack(cause: cause, until: instant, deadline: deadline)
    case .fetching, .fetchPaused, .asking, .applying: preconditionFailure("nothing settles in \(self)")
    }
  }

  func shifted(byMilliseconds delta: Int64) -> DeploymentPhase {
    switch self {
    case .fetching(let attempts): .fetching(attempts.shifted(byMilliseconds: delta))
    case .fetchPaused(let attempts, let until, let cause):
      .fetchPaused(
        attempts.shifted(byMilliseconds: delta), until: until.advanced(byMilliseconds: delta), cause: cause)
    case .asking(let deadline, let holding):
      .asking(deadline: deadline.advanced(byMilliseconds: delta), holding: holding)
    case .applying(let deadline): .applying(deadline: deadline.advanced(byMilliseconds: delta))
    case .settling(let until, let deadline):
      .settling(
        until: until?.advanced(byMilliseconds: delta), deadline: deadline.advanced(byMilliseconds: delta))
    case .rollingBack(let cause, let until, let deadline):
      .rollingBack(
        cause: cause, until: until?.advanced(byMilliseconds: delta),
        deadline: deadline.advanced(byMilliseconds: delta))
    }
  }
}

/// A deployment that has not ended.
package struct DeploymentProgress: Hashable, Sendable {
  package let reference: PlanReference
  package internal(set) var phase: DeploymentPhase
  /// An earlier deployment changed the device and never ended, so even a failed fetch has something to roll back.
  var isDirty: Bool
  /// Something differs from what ran before, so it has to settle.
  var isChange = false
  /// Committed components, unchanged by this deployment, that were already failing: they neither hold it nor fail it.
  var excused: Set<ComponentName> = []
}

/// How the newest desired state that ended did so.
package struct DeploymentConclusion: Hashable, Sendable {
  package let generation: Generation
  package let digest: Digest?
  package let status: DeploymentStatus
  package let failure: Failure?
}
