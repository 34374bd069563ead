import WherryJSON
import WherryLifecycle
import WherryModel
import WherryRollout

/// The service's database: everything that it must not lose. Messages leave through an outbox that is written in the
/// same transaction as what they tell, and are out of it once the broker has them.
struct ServiceState: Sendable {
  struct Desired: Hashable, Sendable {
    var generation: Generation
    var plan: Int
  }

  enum Message: Hashable, Sendable {
    case desired(device: Int, Desired)
    case acknowledgement(device: Int, sequence: Int64)
  }

  var rollout: RolloutMachine?
  /// The plan that the rollout brings.
  var plan = 0
  /// Of the last rollout that completed.
  var planCompleted: Int?
  /// Of each device the plan that it said last that it runs.
  var committed: [Int: Int] = [:]
  var desired: [Int: Desired] = [:]
  var sequences: [Int: Int64] = [:]
  var reports: [Int: DeviceReport] = [:]
  /// The devices that are online as far as the service has heard.
  var online: Set<Int> = []
  var outbox: [Message] = []
}

/// When an order is sent a second time: the rule of the real service (`InventoryEngine+Orders`), told anew.
extension ServiceState {
  /// For a device that has just come online, since a broker's retention is an optimisation and no promise.
  mutating func repeatOrder(to device: Int) {
    guard let order = desired[device] else { return }
    outbox.append(.desired(device: device, order))
  }

  /// Unless the device has spoken of it, or it is still owed to the broker. Whether it is repeated.
  mutating func repeatOrderIfLost(to device: Int) -> Bool {
    let reported = reports[device]?.generation ?? Generation(0)
    guard let order = desired[device], reported < order.generation, !owesOrder(to: device) else { return false }
    repeatOrder(to: device)
    return true
  }

  /// What the device goes back to; nil = nothing.
  func before(_ device: Int) -> Int? {
    guard let last = committed[device], last != plan else { return planCompleted == plan ? nil : planCompleted }
    return last
  }

  private func owesOrder(to device: Int) -> Bool {
    outbox.contains { if case .desired(let other, _) = $0 { other == device } else { false } }
  }
}

/// What reaches the service.
enum ServiceEvent: Sendable {
  case presence(device: Int, isOnline: Bool, isRetained: Bool)
  case report(device: Int, DeviceReport)
  case deploy(plan: Int, RolloutPolicy)
  case pause
  case resume
  case tick
}

struct SimulatedService: Sendable {
  var state = ServiceState()
  var isUp = true
  /// To the broker. Another number for each connection: what was under way over one does not come over the next.
  var isConnected = true
  var connection = 0
  var incarnation = 0
  var tickAt: Int64?
  /// How far its clock is from the true time, in milliseconds.
  var clockError: Int64 = 0
}
