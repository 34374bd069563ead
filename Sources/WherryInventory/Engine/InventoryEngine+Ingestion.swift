import WherryDatabase
import WherryJSON
import WherryModel
import WherryWire

/// Messages from the broker: a batch is one transaction, acknowledged after its commit.
extension InventoryEngine {
  package func drain() {
    var events = inbox.take()
    events.removeAll { event in
      guard case .published(let token) = event else { return false }
      if let message = inFlight.removeValue(forKey: token) { noteDelivered(message) }
      return true
    }
    guard !events.isEmpty, !isStopped else { return }
    do {
      let acknowledgements = try commit {
        var highest: [DeviceName: Int64] = [:]
        for event in events { try take(event, acknowledging: &highest) }
        return highest
      }
      acknowledge(acknowledgements)
    } catch {
      // Devices send again what was not acknowledged.
      environment.note("a batch of \(events.count) messages was not stored: \(error)")
    }
  }

  private func acknowledge(_ highest: [DeviceName: Int64]) {
    guard isConnected else { return }
    for (device, sequence) in highest.sorted(by: { $0.key < $1.key }) {
      publish(
        BusMessage(
          topic: Topic.acked(device), payload: Acknowledgement(sequence: sequence).json.canonicalBytes, qos: 1))
    }
  }

  private func take(_ event: TransportEvent, acknowledging highest: inout [DeviceName: Int64]) throws {
    switch event {
    case .connected:
      isConnected = true
      statistics.connections += 1
      inFlight.removeAll()
      expectPresence()
      for filter in [Topic.allReported, Topic.allPresence, Topic.allResults] { bus.subscribe(filter, qos: 1) }
      pending += try database.outbox().map {
        BusMessage(topic: $0.topic, payload: $0.payload, qos: $0.qos, isRetained: $0.isRetained)
      }
    case .disconnected(let reason):
      if isConnected { environment.note("the broker's connection ended: \(reason)") }
      isConnected = false
      inFlight.removeAll()
    case .refused(let reason):
      environment.note("the broker refused: \(reason)")
    case .subscribed, .published:
      break
    case .received(let message):
      try takeMessage(message, acknowledging: &highest)
    }
  }

  /// A message that cannot be read is counted, named in the log and dropped: it must not hold up the others.
  private func takeMessage(
    _ message: TransportMessage, acknowledging highest: inout [DeviceName: Int64]
  ) throws {
    guard let (device, kind) = Topic.parse(message.topic) else { return }
    let now = environment.now()
    do {
      switch kind {
      case .reported:
        let report = try DeviceReport(JSONCursor(JSON(parsing: message.payload)))
        try ingest(report, from: device, acknowledging: &highest, at: now)
      case .presence where message.payload.isEmpty:
        break
      case .presence:
        let presence = try Presence(JSONCursor(JSON(parsing: message.payload)))
        try ingest(presence, from: device, isRetained: message.isRetained, at: now)
      case .results:
        deliver(try CommandResult(JSONCursor(JSON(parsing: message.payload))))
      case .desired, .acked, .telemetry, .commands:
        break
      }
    } catch let error as JSONError {
      refuse(message, because: error.description)
    } catch let error as JSONShapeError {
      refuse(message, because: error.description)
    }
  }

  private func refuse(_ message: TransportMessage, because reason: String) {
    statistics.refusedMessages += 1
    environment.note("a message on \(message.topic) was not understood and dropped: \(reason)")
  }

  private func ingest(
    _ report: DeviceReport, from name: DeviceName, acknowledging highest: inout [DeviceName: Int64], at now: Instant
  ) throws {
    guard let old = try database.device(name) else { return }
    let known = old.report?.sequence ?? 0
    highest[name] = max(highest[name] ?? 0, known, report.sequence)
    // Reports are idempotent by (device, sequence): MQTT and the device's outbox both deliver at least once.
    guard report.sequence > known else {
      statistics.duplicateReports += 1
      return
    }
    statistics.reports += 1
    var device = old
    device.report = report
    device.lastSeen = now
    try database.recordObserved(device, was: old)
    try spread(report, of: device, at: now)
    // A service restored from a backup may have given fewer generations than the device has seen.
    if report.generation > device.generation, let digest = device.plan, let text = try database.plan(digest) {
      try issue(name, generation: report.generation.next, plan: ComposedPlan(digest: digest, text: text), at: now)
    }
  }

  private func ingest(_ presence: Presence, from name: DeviceName, isRetained: Bool, at now: Instant) throws {
    presenceSeen?.insert(name)
    guard let old = try database.device(name) else { return }
    let device = try setPresence(presence, of: old, at: isRetained ? nil : now)
    // Retained presence comes to us whenever we connect; only a device that has just come needs its order again.
    guard device.isOnline, !(isRetained && old.isOnline), let current = try database.device(name) else { return }
    try repeatOrder(to: current, at: now)
  }

  /// `now` is nil for what is no sign of life: a retained message.
  @discardableResult
  func setPresence(_ presence: Presence, of old: DeviceRecord, at now: Instant?) throws -> DeviceRecord {
    var device = old
    device.isOnline = presence.isOnline
    if presence.isOnline {
      device.agentVersion = presence.agentVersion
      device.bootID = presence.bootID
    }
    if let now { device.lastSeen = now }
    try database.recordObserved(device, was: old)
    if device.isOnline != old.isOnline {
      for id in try activeRollouts(of: device.name) {
        try drive(id, .online(device.name, device.isOnline), at: now ?? environment.now())
      }
    }
    return device
  }
}
