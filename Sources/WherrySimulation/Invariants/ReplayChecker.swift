import WherryJSON
import WherryLifecycle
import WherryModel

/// Runs a second machine beside some agents, begun from the same journal and fed the same events.
struct ReplayChecker: InvariantChecker {
  static let invariant = "replaying a journal gives the same state"
  /// Twins are half the cost of a simulation, and what one device does every device may do.
  static let devicesWatched = 0..<2
  private var twins: [Int: DeviceMachine] = [:]
  private var journalled: [Int: DeviceState] = [:]

  mutating func check(_ observation: Observation) -> String? {
    switch observation {
    case .agentStarted(let device, let journal, let state, let plans) where Self.devicesWatched.contains(device):
      if let before = journalled[device], before != state {
        return "device \(device) journalled \(before) and read \(state)"
      }
      guard let json = try? JSON(parsing: journal), let read = try? DeviceState(JSONCursor(json)) else {
        return "device \(device) cannot read its journal: \(journal)"
      }
      if read.json.canonical != journal { return "device \(device)'s journal does not survive being read and written" }
      twins[device] = DeviceMachine(state: read, plans: plans)
    case .handled(let device, let event, let now, let actions, let state)
    where Self.devicesWatched.contains(device):
      journalled[device] = state
      guard let twinActions = twins[device]?.handle(event, at: now) else { return nil }
      if twinActions != actions { return "device \(device) does another thing when replayed: \(twinActions)" }
      if twins[device]?.state != state { return "device \(device) is another when replayed" }
    case .handled, .agentStarted, .ran, .gone, .powerCut, .desiredIssued, .rolloutBegan, .rolloutSaw, .rolloutHeard,
      .rolloutReverted,
      .rolloutHalted,
      .rolloutResumed,
      .rolloutReleased, .rolloutCompleted, .reportStored, .acknowledged, .serviceStarted, .finished:
      break
    }
    return nil
  }
}
