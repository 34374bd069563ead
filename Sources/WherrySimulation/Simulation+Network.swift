import WherryLifecycle
import WherryModel

/// The lines to the broker. Within a connection QoS 1 brings every message, late or twice; with the connection goes
/// what was under way. Reports and acknowledgements may also vanish at the broker's ends.
extension Simulation {
  static let presenceDelayMilliseconds = 200
  static let resendMilliseconds: Int64 = 4_000
  static let lateMilliseconds: Int64 = 5_000

  private mutating func delay() -> Int64 { random.milliseconds(1...options.faults.messageDelayMilliseconds) }

  // MARK: - Connections and presence

  mutating func connect(_ index: Int) {
    guard broker.isUp, devices[index].isAgentUp, !devices[index].isConnected else { return }
    devices[index].isConnected = true
    devices[index].connection += 1
    let connection = devices[index].connection
    say(devices[index].name.rawValue, "connected")
    announce(index, isOnline: true)
    if let retained = broker.retained[index] { send(.desired(device: index, retained), to: index) }
    schedule(.agentResends(index, connection: connection), in: 1)
  }

  mutating func disconnect(_ index: Int) {
    guard devices[index].isConnected else { return }
    devices[index].isConnected = false
    say(devices[index].name.rawValue, "connection lost")
    announce(index, isOnline: false)
  }

  /// Retained: a service that is not connected hears it later.
  private mutating func announce(_ index: Int, isOnline: Bool) {
    broker.presence[index] = isOnline
    guard service.isConnected else { return }
    let at = max(time + random.milliseconds(1...Self.presenceDelayMilliseconds), devices[index].presenceAt + 1)
    tellPresence(of: index, isOnline: isOnline, isRetained: false, at: at)
  }

  mutating func tellRetainedPresence(of index: Int) {
    guard let isOnline = broker.presence[index] else { return }
    tellPresence(of: index, isOnline: isOnline, isRetained: true, at: max(time, devices[index].presenceAt))
  }

  private mutating func tellPresence(of index: Int, isOnline: Bool, isRetained: Bool, at: Int64) {
    devices[index].presenceAt = at
    let connection = service.connection
    agenda.schedule(
      .presenceToService(index, isOnline: isOnline, isRetained: isRetained, connection: connection), at: at)
  }

  mutating func deliverPresence(of index: Int, isOnline: Bool, isRetained: Bool, _ connection: Int) {
    guard service.isConnected, service.connection == connection else { return }
    serviceHears(.presence(device: index, isOnline: isOnline, isRetained: isRetained))
  }

  // MARK: - From the device

  mutating func publish(_ report: DeviceReport, of index: Int) {
    guard devices[index].isConnected else { return }
    guard service.isConnected, !fault(options.faults.messageLost) else {
      statistics.messagesLost += 1
      return
    }
    let number = devices[index].uplink.send()
    let connection = service.connection
    let copies = fault(options.faults.messageDuplicated) ? 2 : 1
    for _ in 0..<copies {
      schedule(.reportToService(index, report, number: number, connection: connection), in: delay())
    }
  }

  /// The outbox is sent again until it is acknowledged.
  mutating func resend(_ index: Int, _ connection: Int) {
    guard devices[index].isConnected, devices[index].connection == connection else { return }
    for report in devices[index].outbox { publish(report, of: index) }
    schedule(.agentResends(index, connection: connection), in: Self.resendMilliseconds)
  }

  mutating func deliver(_ report: DeviceReport, of index: Int, _ number: Int, _ connection: Int) {
    guard service.isConnected, service.connection == connection else {
      statistics.messagesLost += 1
      return
    }
    count(devices[index].uplink.receive(number))
    serviceHears(.report(device: index, report))
  }

  private mutating func count(_ arrival: SimulatedLink.Arrival) {
    switch arrival {
    case .inOrder: break
    case .again: statistics.messagesDoubled += 1
    case .overtaken: statistics.messagesOvertaken += 1
    }
  }

  // MARK: - From the service

  mutating func publish(_ message: ServiceState.Message) {
    switch message {
    case .desired(let index, let desired):
      broker.retain(desired, for: index)
      // It said that it has the order, so the service owes it no more.
      guard !fault(options.faults.brokerCrash) else {
        crashBroker()
        return
      }
      guard devices[index].isConnected else { return }
      send(message, to: index, copies: fault(options.faults.messageDuplicated) ? 2 : 1)
      replayOld(index)
    case .acknowledgement(let index, _):
      guard devices[index].isConnected else { return }
      guard !fault(options.faults.messageLost) else {
        statistics.messagesLost += 1
        return
      }
      send(message, to: index)
    }
  }

  /// A broker that was restored from a backup, or a hostile one.
  private mutating func replayOld(_ index: Int) {
    guard fault(options.faults.oldDesiredReplayed), let old = random.pick(broker.published[index]) else { return }
    send(.desired(device: index, old), to: index)
  }

  /// Over the device's present connection.
  private mutating func send(_ message: ServiceState.Message, to index: Int, copies: Int = 1) {
    let number = devices[index].downlink.send()
    let connection = devices[index].connection
    for _ in 0..<copies {
      let wait = fault(options.faults.messageLate) ? Self.lateMilliseconds : 0
      schedule(.toDevice(index, connection: connection, number: number, message), in: delay() + wait)
    }
  }

  mutating func deliver(_ message: ServiceState.Message, to index: Int, _ number: Int, _ connection: Int) {
    guard devices[index].isAgentUp, devices[index].isConnected, devices[index].connection == connection else {
      statistics.messagesLost += 1
      return
    }
    count(devices[index].downlink.receive(number))
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
