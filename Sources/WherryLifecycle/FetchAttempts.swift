import WherryModel

/// When a failed fetch is tried again, and when a fetch is given up. What the network did may mend itself; what the
/// bytes are seldom does, and a full disk never does by itself.
///
/// A deployment's own timeout begins with the first change on the device, so fetching has a rule of its own: it has to
/// get on. Progress is a two-hundredth of what was to come at first, and it is measured by the least that was ever
/// left. What an earlier try brought and a later one finds again is none, nor is what has to be fetched a second time.
/// - Tries that get no answer are repeated until there was no progress for 15 minutes.
/// - A try that does not end either, because next to nothing comes, is ended after 20 minutes without progress. So the
///   slowest fetch that is let through takes 200 times that, less than three days.
/// - Three tries may bring what is wrong.
package struct FetchAttempts: Hashable, Sendable {
  /// Failed tries since the last progress.
  var count: Int = 0
  /// When there last was progress, or the fetch or its present beginning began.
  var since: Instant?
  /// Tries that failed for what came, not for the network. Progress does not undo these: wrong bytes make progress too.
  var contentFailures: Int = 0
  /// Bytes: the least that was ever still to come, as last noted; nil = not told yet.
  var remaining: Int64?
  /// Bytes that count as progress.
  var step: Int64 = 1

  static let delayMaximumMilliseconds: Int64 = 60_000
  static let patienceMilliseconds: Int64 = 900_000
  /// Later than the patience by more than a failing try takes (six attempts of at most 30 s and the pauses between
  /// them), so that a server that is gone is named by the failure that tells how.
  static let stallMilliseconds: Int64 = 1_200_000
  static let contentTriesMaximum = 3
  static let stepsOfAll: Int64 = 200
  /// Progress changes the journal, so it is noted no more often than this.
  static let noteIntervalMilliseconds: Int64 = 60_000

  /// The attempts after the news that so many bytes are still to come.
  func told(remaining left: Int64, at now: Instant) -> FetchAttempts {
    guard let least = remaining else { return beginning(with: left, since: since ?? now) }
    // Everything was here, and some of it has to come again.
    guard least > 0 else { return left > 0 ? beginning(with: left, since: now) : self }
    let isTime = count > 0 || since.map { now.milliseconds(since: $0) >= Self.noteIntervalMilliseconds } ?? true
    guard left == 0 || (isTime && least - left >= step) else { return self }
    var next = self
    next.count = 0
    next.since = now
    next.remaining = left
    return next
  }

  private func beginning(with left: Int64, since: Instant) -> FetchAttempts {
    var next = self
    next.since = since
    next.remaining = left
    next.step = max(1, left / Self.stepsOfAll)
    return next
  }

  /// Before a failure is judged: progress that was too recent to be noted.
  func caughtUp(remaining left: Int64?) -> FetchAttempts {
    guard let left, let least = remaining, least - left >= step else { return self }
    var next = self
    next.count = 0
    next.remaining = left
    return next
  }

  /// The attempts after one more failure, and when the next try may begin; nil = give up.
  func failed(with failure: Failure, at now: Instant) -> (attempts: FetchAttempts, retryAt: Instant)? {
    var next = self
    next.count += 1
    switch failure.failureClass {
    case .download where failure.isTransient:
      let since = since ?? now
      guard now.milliseconds(since: since) < Self.patienceMilliseconds else { return nil }
      next.since = since
    case .download, .verify:
      next.contentFailures += 1
      guard next.contentFailures < Self.contentTriesMaximum else { return nil }
      // What came may have been thrown away, and the time was not lost by the network: it begins anew.
      next.since = now
      next.remaining = nil
    case .space, .install, .start, .health, .timeout, .rejected, .internalError:
      return nil
    }
    let delay = min(Int64(1_000) << min(Int64(next.count - 1), 10), Self.delayMaximumMilliseconds)
    return (next, now.advanced(byMilliseconds: delay))
  }

  /// When a fetch that brings too little is given up; nil = nothing is to come, or nobody knows. What is done with the
  /// bytes once they are here takes the time that it takes.
  var deadline: Instant? {
    guard let since, let remaining, remaining > 0 else { return nil }
    return since.advanced(byMilliseconds: Self.stallMilliseconds)
  }

  /// Set once the deadline has passed.
  func stall(at now: Instant) -> Failure? {
    guard let deadline, let remaining, now >= deadline else { return nil }
    return Failure(
      .download, code: "download.stalled",
      message: "of \(remaining) bytes that were still to be fetched less than \(step) came in "
        + "\(Self.stallMilliseconds / 60_000) minutes",
      remedy: "check the network and the server, then deploy again; it goes on from where it stopped")
  }

  /// The attempts after a pause that nobody is to blame for.
  func waiting(until: Instant) -> FetchAttempts {
    var next = self
    next.count = 0
    next.since = until
    return next
  }

  /// However long no agent was there to fetch, one whole try is left.
  func resumed(at now: Instant) -> FetchAttempts {
    var next = self
    next.since = since.map { max($0, now.advanced(byMilliseconds: -Self.patienceMilliseconds)) }
    return next
  }

  func shifted(byMilliseconds delta: Int64) -> FetchAttempts {
    var next = self
    next.since = since?.advanced(byMilliseconds: delta)
    return next
  }
}

extension DeploymentPhase {
  /// After a new start of the agent.
  func resumed(at now: Instant) -> DeploymentPhase {
    switch self {
    case .fetching(let attempts): .fetching(attempts.resumed(at: now))
    case .fetchPaused(let attempts, let until, let cause):
      .fetchPaused(attempts.resumed(at: now), until: until, cause: cause)
    case .asking, .applying, .settling, .rollingBack: self
    }
  }
}
