import WherryModel

/// How a workload ended.
package struct WorkloadExit: Hashable, Sendable {
  package var code: Int32?
  package var signal: Int32?
  /// The kernel killed something in it for want of memory.
  package var outOfMemory: Bool
  package init(code: Int32? = nil, signal: Int32? = nil, outOfMemory: Bool = false) {
    self.code = code
    self.signal = signal
    self.outOfMemory = outOfMemory
  }
  package var isSuccess: Bool { code == 0 }
}

package enum WorkloadEvent: Hashable, Sendable {
  /// `execve` happened; the pid is the host's. Sent again to an agent that adopts.
  case started(pid: Int32)
  /// Nothing runs. `step` names what was being done ("mount the overlay root"), `sentence` is for people.
  case failedToStart(step: String, errno: Int32, sentence: String)
  case exited(WorkloadExit)
  /// The shim died before it could say how the workload ended; the workload was killed.
  case lost
}

/// What `adopt()` found of one workload.
package struct AdoptedWorkload {
  package let id: String
  package let identity: String
  /// By the machine's clock, a little before its first log line; nil = not known.
  package let startedAt: Instant?
  /// Nil = it is not running any more. One whose shim cannot be reached yet has no descriptor.
  package let link: WorkloadLink?
  /// Nil with a nil link = lost, or it never started (`failure`).
  package let exit: WorkloadExit?
  /// Set when it never started: `.failedToStart`.
  package let failure: WorkloadEvent?
}

/// What the kernel says of one workload's cgroups; nil = it does not say.
package struct WorkloadStatistics: Hashable, Sendable {
  package var memoryBytes: Int64?
  package var memoryMaximum: Int64?
  /// Since its start.
  package var cpuMicroseconds: Int64?
  package var pids: Int?
  /// How often something in it was killed for want of memory.
  package var memoryKills: Int64?
  /// Percent of the last ten seconds in which something in it waited for want of processor, memory or disk (PSI).
  package var pressure: [String: Double] = [:]
  package init() {}
}
