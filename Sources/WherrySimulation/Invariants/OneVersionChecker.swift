import WherryLifecycle
import WherryModel

/// Looks at the kernels only: whatever a machine believes, this is what runs.
struct OneVersionChecker: InvariantChecker {
  static let invariant = "a device never runs two versions of a component"
  private var alive: [Int: [WorkloadID: String]] = [:]

  mutating func check(_ observation: Observation) -> String? {
    switch observation {
    case .ran(let device, let id, let identity, _):
      let others = alive[device, default: [:]]
      if others[id] != nil { return "device \(device) starts \(id) although it is alive" }
      let strangers = others.filter { $0.key.component == id.component && $0.value != identity }
      if let other = strangers.min(by: { $0.key < $1.key }) {
        return "device \(device) starts \(id) as \(identity) while \(other.key) is alive as \(other.value)"
      }
      alive[device, default: [:]][id] = identity
    case .gone(let device, let id): alive[device]?[id] = nil
    case .powerCut(let device): alive[device] = [:]
    case .handled, .agentStarted, .desiredIssued, .rolloutBegan, .rolloutSaw, .rolloutHeard, .rolloutReverted,
      .rolloutHalted,
      .rolloutResumed,
      .rolloutReleased, .rolloutCompleted, .reportStored, .acknowledged, .serviceStarted, .finished:
      break
    }
    return nil
  }
}
