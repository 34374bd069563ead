import WherryModel

struct InputsChecker: InvariantChecker {
  static let invariant = "a step's inputs exist before it acts"

  mutating func check(_ observation: Observation) -> String? {
    guard case .ran(let device, let id, _, let missing) = observation, let blob = missing.first else { return nil }
    return "device \(device) starts \(id) while \(missing.count) of its blobs are missing, \(blob.short) among them"
  }
}
