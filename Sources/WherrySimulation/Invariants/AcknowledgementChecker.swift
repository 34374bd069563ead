import WherryModel

struct AcknowledgementChecker: InvariantChecker {
  static let invariant = "nothing acknowledged is lost"
  private var acknowledged: [Int: Int64] = [:]
  private var stored: [Int: Int64] = [:]

  mutating func check(_ observation: Observation) -> String? {
    switch observation {
    case .reportStored(let device, let report):
      if let before = stored[device], report.sequence <= before {
        return "report \(report.sequence) of device \(device) replaces the newer \(before)"
      }
      stored[device] = report.sequence
    case .acknowledged(let device, let sequence):
      if sequence > stored[device] ?? 0 {
        return "report \(sequence) of device \(device) is acknowledged but not stored"
      }
      acknowledged[device] = max(acknowledged[device] ?? 0, sequence)
    case .serviceStarted(let sequences):
      for (device, sequence) in sequences.enumerated() where sequence < acknowledged[device] ?? 0 {
        return "the service came back with report \(sequence) of device \(device), newer ones were acknowledged"
      }
    case .finished(let fleet):
      for (index, device) in fleet.devices.enumerated() {
        guard let reported = device.reported else { continue }
        let last = device.state.nextSequence - 1
        if device.reportsUnacknowledged == 0 && reported.sequence != last {
          return "device \(index) sent report \(last), the service knows \(reported.sequence)"
        }
      }
    case .ran, .gone, .powerCut, .handled, .agentStarted, .desiredIssued, .rolloutBegan, .rolloutSaw, .rolloutHeard,
      .rolloutReverted,
      .rolloutHalted, .rolloutResumed, .rolloutReleased, .rolloutCompleted:
      break
    }
    return nil
  }
}
