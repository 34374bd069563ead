import WherryJSON
import WherryModel

/// Spreads one deployment over its devices: waves, gates, failure budget. Pure; the service journals `json`.
package struct RolloutMachine: Hashable, Sendable {
  package let policy: RolloutPolicy
  package internal(set) var state: RolloutState = .created

  package init(policy: RolloutPolicy, devices: [RolloutDevice]) {
    self.policy = policy
  }

  package mutating func handle(_ event: RolloutEvent, at now: Instant) -> [RolloutAction] { [] }
  package var nextDeadline: Instant? { nil }
  package var summary: RolloutSummary { RolloutSummary(state: state, waves: [], devices: []) }
}
