import WherryJSON
import WherryModel

/// Starts short-lived `wherry-fetch` processes, which do what needs large libraries and touches hostile bytes.
package protocol Worker: LeftoverKeeper {
  func start(_ mode: WorkerMode, job: JSON) throws(Failure) -> any WorkerRun
}

package enum WorkerMode: String, Sendable { case download, unpack, exchange, convert }

package protocol WorkerRun: AnyObject {
  /// -1 = nothing to poll: ask each time.
  var descriptor: Int32 { get }
  /// Set while it must be asked again by then although nothing came.
  var nextDeadline: Instant? { get }
  func readEvents(now: Instant) -> [WorkerEvent]
  /// Ends it. Its last event comes if it is still asked for; one that nobody holds any more is a leftover.
  func cancel()
}

package enum WorkerEvent: Hashable, Sendable {
  /// One event of the worker (see Sources/wherry-fetch).
  case line(JSON)
  /// The last event: it is gone and reaped. `isSuccess` = exit 0.
  case ended(isSuccess: Bool, detail: String)
}
