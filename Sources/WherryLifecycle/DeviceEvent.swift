import WherryJSON
import WherryModel

/// What can happen to a device, seen from its one outer machine. Events are values: they are journalled, replayed,
/// shuffled by the simulator and printed in transcripts.
package enum DeviceEvent: Hashable, Sendable {
  /// The first event after each start of the agent. `alive` are the workloads that outlived the last agent, each with
  /// the identity that it was started with; `ended` are those that ended meanwhile and were not released, each with its
  /// cause. One that was never launched is in neither. A `bootID` other than last time's says that timers and oneshot
  /// steps of the last boot are void; "" = not known, then a start with nothing alive and nothing ended counts as a
  /// boot.
  case started(alive: [WorkloadID: String], ended: [WorkloadID: WorkloadEnd], bootID: String = "")

  /// The envelope is verified, the plan parsed and checked.
  case desired(generation: Generation, digest: Digest, plan: Plan)
  /// The shell refused an envelope or plan.
  case refused(generation: Generation, digest: Digest?, Failure)

  case fetchProgress(generation: Generation, done: Int64, total: Int64, transfers: [Transfer] = [])
  /// It is to begin again then; what came is kept. `opens`: when something may be downloaded or
  /// changed, as far as is known.
  case fetchWaits(generation: Generation, until: Instant, opens: Instant? = nil, Failure)
  case fetched(generation: Generation)
  case fetchFailed(generation: Generation, Failure)

  /// Of the components that `ask` named, those that want to stay as they are for now.
  case holding(generation: Generation, [ComponentName])

  /// The workload's program was executed.
  case workloadStarted(WorkloadID)
  /// The workload could not be started; nothing of it is alive.
  case workloadFailed(WorkloadID, Failure)
  /// Nothing of the workload is alive any more. Also the answer to `stop` and `kill` of a workload that is not alive.
  case workloadEnded(WorkloadID, ExitStatus, log: [String])

  /// The answer to one `probe`.
  case health(ComponentName, isHealthy: Bool, detail: String)
  case restartRequested(ComponentName)
  /// The service has reports of this device up to that sequence, which is more than this journal knows of: the journal
  /// was lost.
  case reportsKnown(upTo: Int64)
  /// `nextDeadline` has passed.
  case tick
}
