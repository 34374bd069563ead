import WherryLifecycle
import WherryModel
import WherryWire

/// What the agent remembers over restarts, power cuts and upgrades. A write is all or nothing and on the disk when
/// `save` returns.
package protocol Journal: AnyObject {
  func load() throws(Failure) -> JournalContents
  func save(_ write: JournalWrite) throws(Failure)
  /// Reports that the service has not acknowledged, oldest first, from `sequence` on.
  func outbox(after sequence: Int64, limit: Int) throws(Failure) -> [DeviceReport]
  /// Gives back what it only holds to be quick.
  func releaseMemory()
  func close()
}

package struct JournalContents {
  package var state: DeviceState?
  package var plans: [Digest: Plan]
  /// Highest time that a signed statement has proved; the clock is not before it.
  package var provenTime: Instant
  package var isOutboxEmpty: Bool
}

package struct JournalWrite {
  package var state: DeviceState?
  /// Canonical texts of plans that are new.
  package var plans: [Digest: String] = [:]
  /// Plans that are kept; nil = all.
  package var keptPlans: Set<Digest>?
  package var reports: [DeviceReport] = []
  package var acknowledged: Int64?
  package var provenTime: Instant?
  package init() {}

  package var isEmpty: Bool {
    state == nil && plans.isEmpty && keptPlans == nil && reports.isEmpty && acknowledged == nil && provenTime == nil
  }
}
