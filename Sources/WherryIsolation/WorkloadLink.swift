/// The agent's end of one running workload: events come in over `descriptor` (poll it for reading), signals go out.
package final class WorkloadLink {
  package let id: String
  /// Non-blocking; -1 once the link has ended.
  package private(set) var descriptor: Int32 = -1

  init(id: String) { self.id = id }

  /// What happened since the last call; never blocks. After an ending event the link is closed.
  package func readEvents() -> [WorkloadEvent] { [] }
  /// To the workload's first process. One that it does not handle ends it, as it would outside a pid namespace.
  package func signal(_ number: Int32) {}
  /// Everything in the workload, at once.
  package func kill() {}
  /// Leaves the workload alone.
  package func close() {}
}
