import WherryJSON
import WherryLifecycle
import WherryModel

/// A device: the real machine, and around it a journal, a kernel with workloads, and a store of blobs.
struct SimulatedDevice: Sendable {
  let name: DeviceName
  /// The scenario's version crashes here.
  var isFailing = false
  /// So many times slower than others are its downloads.
  var slowness = 1

  // The agent's process. Another incarnation after each start, so that what was asked by a dead agent is not answered
  // to the next.
  var machine = DeviceMachine(state: DeviceState(), plans: [:])
  var isAgentUp = false
  var incarnation = 0
  var tickAt: Int64?
  var fetchToken = 0

  // On disk.
  var journal: String
  var journalled = DeviceState()
  var plans: [Digest: Plan] = [:]
  var outbox: [DeviceReport] = []
  var blobs: Set<Digest> = []
  /// Workloads that stumbled once.
  var stumbled: Set<String> = []

  // The kernel.
  var bootCount = 0
  var bootedAt: Int64 = 0
  var alive: [WorkloadID: SimulatedWorkload] = [:]
  var ended: [WorkloadID: ExitStatus] = [:]
  var serialNext = 0

  // The network.
  var isConnected = false
  var connection = 0
  var uplink = SimulatedLink()
  var downlink = SimulatedLink()
  /// Presence arrives in order.
  var presenceAt: Int64 = 0

  init(name: DeviceName) {
    self.name = name
    journal = journalled.json.canonical
  }

  func bootClock(_ time: Int64) -> Instant { Instant(milliseconds: time - bootedAt) }
}

struct SimulatedWorkload: Sendable {
  var serial: Int
  var identity: String
  var behaviour: Behaviour
  var isStarted = false
}

/// What happens to a workload by itself.
enum WorkloadTurn: Sendable {
  case starts
  case ends(ExitStatus)
}
