import WherryLifecycle
import WherryModel

struct GenerationChecker: InvariantChecker {
  static let invariant = "generations never decrease"
  private var accepted: [Int: Generation] = [:]
  private var committed: [Int: Generation] = [:]
  private var issued: [Int: Generation] = [:]
  private var sequence: [Int: Int64] = [:]

  mutating func check(_ observation: Observation) -> String? {
    switch observation {
    case .handled(let device, _, _, let actions, let state):
      if let before = accepted[device], state.generation < before {
        return "device \(device) went from generation \(before) back to \(state.generation)"
      }
      if let before = committed[device], (state.current?.generation ?? Generation(0)) < before {
        return "device \(device) went from committed generation \(before) back to an older one"
      }
      if let issued = issued[device], state.generation > issued {
        return "device \(device) is at generation \(state.generation), but only \(issued) was issued"
      }
      accepted[device] = state.generation
      committed[device] = state.current?.generation
      for case .report(let report) in actions {
        if let before = sequence[device], report.sequence != before + 1 {
          return "device \(device) numbers a report \(report.sequence) after \(before)"
        }
        sequence[device] = report.sequence
      }
    case .desiredIssued(let device, let generation):
      if let before = issued[device], generation <= before {
        return "generation \(generation) is issued to device \(device) after \(before)"
      }
      issued[device] = generation
    case .ran, .gone, .powerCut, .agentStarted, .rolloutBegan, .rolloutSaw, .rolloutHeard, .rolloutReverted,
      .rolloutHalted,
      .rolloutResumed,
      .rolloutReleased, .rolloutCompleted, .reportStored, .acknowledged, .serviceStarted, .finished:
      break
    }
    return nil
  }
}
