import WherryModel

/// When a failed fetch is tried again. What the network did may mend itself; what the bytes are seldom does, and a
/// full disk never does by itself.
package struct FetchAttempts: Hashable, Sendable {
  /// Failed tries since the last progress.
  var count: Int = 0
  /// When the first of them failed.
  var since: Instant?
  /// Tries that failed for what came, not for the network. Progress does not undo these: wrong bytes make progress too.
  var contentFailures: Int = 0

  static let delayMaximumMilliseconds: Int64 = 60_000
  /// Without any progress for this long the deployment fails.
  static let networkPatienceMilliseconds: Int64 = 900_000
  static let contentTriesMaximum = 3

  /// The attempts after one more failure, and when the next try may begin; nil = give up.
  func failed(with failure: Failure, at now: Instant) -> (attempts: FetchAttempts, retryAt: Instant)? {
    var next = FetchAttempts(count: count + 1, since: since ?? now, contentFailures: contentFailures)
    switch failure.failureClass {
    case .download:
      // An answer (404, 401) is about the content; no answer is about the network.
      let isNetwork = failure.code == "download.unreachable" || failure.code == "download.truncated"
      if isNetwork {
        guard now.milliseconds(since: next.since ?? now) < Self.networkPatienceMilliseconds else { return nil }
      } else {
        next.contentFailures += 1
        guard next.contentFailures < Self.contentTriesMaximum else { return nil }
      }
    case .verify:
      next.contentFailures += 1
      guard next.contentFailures < Self.contentTriesMaximum else { return nil }
    case .space, .install, .start, .health, .timeout, .rejected, .internalError:
      return nil
    }
    let delay = min(Int64(1_000) << min(Int64(next.count - 1), 10), Self.delayMaximumMilliseconds)
    return (next, now.advanced(byMilliseconds: delay))
  }

  func shifted(byMilliseconds delta: Int64) -> FetchAttempts {
    FetchAttempts(
      count: count, since: since?.advanced(byMilliseconds: delta), contentFailures: contentFailures)
  }

  /// New bytes came: the network works again.
  var progressed: FetchAttempts { FetchAttempts(contentFailures: contentFailures) }
}
