import WherryJSON
import WherryModel

/// What the shell shall do. It journals `DeviceMachine.state` (with the reports) first. Every action is idempotent:
/// after a crash the machine asks again for what it cannot know to be done.
package enum DeviceAction: Hashable, Sendable {
  /// Make every artifact and layer of the plan present, verified and unpacked; answer `fetched` or `fetchFailed`.
  case fetch(generation: Generation, plan: Plan)
  case cancelFetch(generation: Generation)

  /// Start this step as a workload; answer `workloadStarted` or `workloadFailed`, then `workloadEnded`. A step whose
  /// `skipIf` holds is answered with `workloadStarted` and `workloadEnded(.success)`.
  case run(WorkloadID, PlannedComponent, configuration: JSON, identity: String)
  /// Ask the workload to end: the given signal, nil = TERM. The machine keeps the grace timer and sends `kill`.
  case stop(WorkloadID, signal: String?)
  /// End everything in the workload's cgroup. Both are answered by `workloadEnded`, also when nothing was alive.
  case kill(WorkloadID)

  /// Probe once, within the check's timeout; answer `health`. The machine asks again when it is time.
  case probe(ComponentName, HealthCheck, WorkloadID)

  /// Look whether one of these wants its update held off; answer `holding`.
  case ask(generation: Generation, [ComponentName])
  /// A `bootstrap` asked for it. Answered by the next `started`.
  case restart(RestartKind)

  /// The component left the device for good: remove its work area and snapshots.
  case forget(ComponentName)
  case report(DeviceReport)
  /// This plan is the device's state now. Blobs of plans that `state.planDigests` does not name may go.
  case commit(PlanReference)
}
