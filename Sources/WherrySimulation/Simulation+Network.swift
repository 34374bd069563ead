import WherryLifecycle
import WherryModel

/// The broker and the lines to it. Within a connection QoS 1 brings every message, late or twice; with the connection
/// goes what was under way. Reports and acknowledgements may also vanish at the broker's ends.
extension Simulation {
  static let presenceDelayMilliseconds = 200
  static let resendMilliseconds: Int64 = 4_000

  private mutating func delay() -> Int64 { random.milliseconds(1...options.faults.messageDelayMilliseconds) }

  mutating func connect(_ index: Int) {
    guard devices[index].isAgentUp, !devices[index].isConnected else { return }
    devices[index].isConnected = true
    devices[index].connection += 1
    let connection = devices[index].connection
    say(devices[index].name.rawValue, "connected")
    announce(index, isOnline: true)
    if let retained = published[index].last {
      schedule(.toDevice(index, connection: connection, .desired(device: index, retained)), in: delay())
    }
    schedule(.agentResends(index, connection: connection), in: 1)
  }

  mutating func disconnect(_ index: Int) {
    guard devices[index].isConnected else { return }
    devices[index].isConnected = false
    say(devices[index].name.rawValue, "connection lost")
    announce(index, isOnline: false)
  }

  private mutating func announce(_ index: Int, isOnline: Bool) {
    let at = max(time + random.milliseconds(1...Self.presenceDelayMilliseconds), devices[index].presenceAt + 1)
    devices[index].presenceAt = at
    agenda.schedule(.toService(.presence(device: index, isOnline: isOnline)), at: at)
  }

  /// From the device.
  mutating func publish(_ report: DeviceReport, of index: Int) {
    guard devices[index].isConnected else { return }
    let copies = fault(options.faults.messageLost) ? 0 : fault(options.faults.messageDuplicated) ? 2 : 1
    for _ in 0..<copies { schedule(.toService(.report(device: index, report)), in: delay()) }
  }

  /// The outbox is sent again until it is acknowledged.
  mutating func resend(_ index: Int, _ connection: Int) {
    guard devices[index].isConnected, devices[index].connection == connection else { return }
    for report in devices[index].outbox { publish(report, of: index) }
    schedule(.agentResends(index, connection: connection), in: Self.resendMilliseconds)
  }

  /// From the service.
  mutating func publish(_ message: ServiceState.Message) {
    switch message {
    case .desired(let index, let desired):
      if published[index].last?.generation != desired.generation { published[index].append(desired) }
      guard devices[index].isConnected else { return }
      let copies = fault(options.faults.messageDuplicated) ? 2 : 1
      for _ in 0..<copies {
        let isLate = fault(options.faults.messageLost)
        schedule(
          .toDevice(index, connection: devices[index].connection, message), in: delay() + (isLate ? 5_000 : 0))
      }
      replayOld(index)
    case .acknowledgement(let index, _):
      guard devices[index].isConnected, !fault(options.faults.messageLost) else { return }
      schedule(.toDevice(index, connection: devices[index].connection, message), in: delay())
    }
  }

  /// A broker that was restored from a backup, or a hostile one.
  private mutating func replayOld(_ index: Int) {
    guard fault(options.faults.oldDesiredReplayed), let old = random.pick(published[index]) else { return }
    schedule(.toDevice(index, connection: devices[index].connection, .desired(device: index, old)), in: delay())
  }

  mutating func deliver(_ message: ServiceState.Message, to index: Int, _ connection: Int) {
    guard devices[index].isAgentUp, devices[index].isConnected, devices[index].connection == connection else { return }
    switch message {
    case .desired(_, let desired):
      let plan = software.plans[desired.plan]
      agentHears(
        index, .desired(generation: desired.generation, digest: software.digest(desired.plan), plan: plan))
    case .acknowledgement(_, let sequence):
      devices[index].outbox.removeAll { $0.sequence <= sequence }
    }
  }
}
