import WherryJSON
import WherryLifecycle
import WherryModel
import WherryRollout

/// The service's database: everything that it must not lose. Messages leave through an outbox that is written in the
/// same transaction as what they tell.
struct ServiceState: Sendable {
  struct Desired: Sendable {
    var generation: Generation
    var plan: Int
  }

  enum Message: Sendable {
    case desired(device: Int, Desired)
    case acknowledgement(device: Int, sequence: Int64)
  }

  var rollout: RolloutMachine?
  /// The plan that the rollout brings.
  var plan = 0
  var desired: [Int: Desired] = [:]
  var sequences: [Int: Int64] = [:]
  var reports: [Int: DeviceReport] = [:]
  var outbox: [Message] = []
}

/// What reaches the service.
enum ServiceEvent: Sendable {
  case presence(device: Int, isOnline: Bool)
  case report(device: Int, DeviceReport)
  case deploy(plan: Int, RolloutPolicy)
  case pause
  case resume
  case tick
}

struct SimulatedService: Sendable {
  var state = ServiceState()
  var isUp = true
  var incarnation = 0
  var tickAt: Int64?
}
