import WherryDatabase
import WherryJSON
import WherryModel
import WherryWire

/// What a device said of itself: read, and not stored yet.
struct DeviceMessage: Sendable {
  enum Content: Sendable {
    case report(DeviceReport)
    case presence(Presence, isRetained: Bool)
  }

  var device: DeviceName
  var content: Content

  var topic: String {
    switch content {
    case .report: Topic.reported(device)
    case .presence: Topic.presence(device)
    }
  }
}

/// Messages from the broker: a batch is one transaction, acknowledged after its commit.
extension InventoryEngine {
  /// So many failures in a row are the database's, not the messages'.
  static let storeFailuresMaximum = 3
  /// A report this far ahead of what the device was told is no report of an order that was ever given.
  static let generationsAheadMaximum: Int64 = 1 << 32

  package func drain() {
    guard !isStopped else { return }
    var messages: [DeviceMessage] = []
    for event in inbox.take() {
      switch event {
      case .received(let received):
        if let message = read(received) { messages.append(message) }
      case .published(let token):
        if let message = inFlight.removeValue(forKey: token) { noteDelivered(message) }
      case .subscribed: break
      case .refused(let reason):
        environment.note("the broker refused: \(reason)")
        scheduleRetry()
      case .connected:
        // What came before it belongs to the connection before.
        store(messages)
        messages.removeAll()
        connected()
      case .disconnected(let reason):
        store(messages)
        messages.removeAll()
        disconnected(reason)
      }
    }
    store(messages)
  }

  /// nil for what is not stored. A message that cannot be read is counted, named in the log and dropped: it must not
  /// hold up the others.
  private func read(_ message: TransportMessage) -> DeviceMessage? {
    guard let (device, kind) = Topic.parse(message.topic) else { return nil }
    do {
      switch kind {
      case .reported:
        let report = try DeviceReport(JSONCursor(JSON(parsing: message.payload)))
        return DeviceMessage(device: device, content: .report(report))
      case .presence where message.payload.isEmpty: return nil
      case .presence:
        let presence = try Presence(JSONCursor(JSON(parsing: message.payload)))
        presenceSeen?.insert(device)
        return DeviceMessage(device: device, content: .presence(presence, isRetained: message.isRetained))
      case .results:
        deliver(try CommandResult(JSONCursor(JSON(parsing: message.payload))), from: device)
        return nil
      case .desired, .acked, .telemetry, .commands: return nil
      }
    } catch {
      refuse(message.topic, because: "\(error)")
      return nil
    }
  }

  private func refuse(_ topic: String, because reason: String) {
    statistics.refusedMessages += 1
    environment.note("a message on \(topic) was refused and dropped: \(reason)")
  }

  // MARK: - Storing

  private func store(_ messages: [DeviceMessage]) {
    guard !messages.isEmpty else { return }
    do { try storeTogether(messages) } catch {
      environment.note("\(messages.count) messages were not stored in one transaction: \(error)")
      storeSingly(messages)
    }
  }

  private func storeTogether(_ messages: [DeviceMessage]) throws {
    let now = environment.now()
    let acknowledgements = try commit {
      var highest: [DeviceName: Int64] = [:]
      for message in messages { try take(message, acknowledging: &highest, at: now) }
      return highest
    }
    acknowledge(acknowledgements)
    for message in messages {
      if case .presence = message.content { unstored[message.device] = nil }
    }
  }

  /// One transaction each, so that one that cannot be stored takes no other along. Devices repeat reports that are not
  /// acknowledged; presence comes once, so its newest is kept for the retry.
  func storeSingly(_ messages: [DeviceMessage]) {
    // An acknowledgement covers everything before it, so nothing of a device overtakes what was not stored.
    var isHeldUp: Set<DeviceName> = []
    var failuresInARow = 0
    for message in messages {
      if failuresInARow < Self.storeFailuresMaximum, !isHeldUp.contains(message.device) {
        do {
          try storeTogether([message])
          failuresInARow = 0
          continue
        } catch {
          failuresInARow += 1
          tryAgain("a message on \(message.topic) could not be stored", error)
        }
      }
      isHeldUp.insert(message.device)
      if case .presence = message.content { unstored[message.device] = message }
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

  private func take(
    _ message: DeviceMessage, acknowledging highest: inout [DeviceName: Int64], at now: Instant
  ) throws {
    guard let old = try database.device(message.device) else { return }
    switch message.content {
    case .report(let report):
      let ahead = report.generation.rawValue - old.generation.rawValue
      guard ahead <= Self.generationsAheadMaximum else {
        refuse(
          message.topic,
          because: "\(old.name) speaks of generation \(report.generation) and was told \(old.generation); "
            + "see who holds its certificate, then remove the device and provision it again")
        return
      }
      try ingest(report, from: old, acknowledging: &highest, at: now)
    case .presence(let presence, let isRetained):
      try ingest(presence, from: old, isRetained: isRetained, at: now)
    }
  }

  private func ingest(
    _ report: DeviceReport, from old: DeviceRecord, acknowledging highest: inout [DeviceName: Int64], at now: Instant
  ) throws {
    let known = old.report?.sequence ?? 0
    highest[old.name] = max(highest[old.name] ?? 0, known, report.sequence)
    // Reports are idempotent by (device, sequence): MQTT and the device's outbox both deliver at least once.
    guard report.sequence > known else {
      statistics.duplicateReports += 1
      return
    }
    statistics.reports += 1
    var device = old
    device.report = report
    device.lastSeen = now
    device.pace = Self.pace(of: report, after: old, at: now)
    try database.recordObserved(device, was: old)
    try spread(report, of: device, at: now)
    // A service restored from a backup may have given fewer generations than the device has seen.
    guard let current = try database.device(old.name), report.generation > current.generation else { return }
    try orderAnew(current, at: now)
  }

  /// Too short a time between two reports says nothing.
  private static let paceMilliseconds: Int64 = 500

  private static func pace(of report: DeviceReport, after old: DeviceRecord, at now: Instant) -> Int64? {
    guard let before = old.report, before.generation == report.generation, before.status == .fetching,
      report.status == .fetching, report.bytesTotal == before.bytesTotal, report.bytesDone > before.bytesDone,
      let milliseconds = old.lastSeen.map(now.milliseconds(since:)), milliseconds >= paceMilliseconds
    else { return old.pace }
    let (bytes, overflow) = (report.bytesDone - before.bytesDone).multipliedReportingOverflow(by: 1_000)
    guard !overflow else { return old.pace }
    let pace = max(1, bytes / milliseconds)
    return old.pace.map { ($0 / 4) * 3 + pace / 4 } ?? pace
  }

  private func ingest(
    _ presence: Presence, from old: DeviceRecord, isRetained: Bool, at now: Instant
  ) throws {
    try setPresence(presence, of: old, at: isRetained ? nil : now)
    guard presence.isOnline, let current = try database.device(old.name) else { return }
    // Retained presence comes to us whenever we connect: of a device that was online all the time it says nothing new.
    if isRetained && old.isOnline {
      try repeatOrderIfLost(to: current, at: now)
    } else {
      try repeatOrder(to: current, at: now)
    }
  }

  /// `now` is nil for what is no sign of life: a retained message.
  func setPresence(_ presence: Presence, of old: DeviceRecord, at now: Instant?) throws {
    var device = old
    device.isOnline = presence.isOnline
    if presence.isOnline {
      device.agentVersion = presence.agentVersion
      device.bootID = presence.bootID
    }
    if let now { device.lastSeen = now }
    try database.recordObserved(device, was: old)
    if !device.isOnline {
      endStreams(of: device.name, why: "\(device.name) went offline")
    } else if device.bootID != old.bootID {
      endStreams(of: device.name, why: "\(device.name) was started anew")
    }
    if device.isOnline != old.isOnline {
      for id in try activeRollouts(of: device.name) {
        try drive(id, .online(device.name, device.isOnline), at: now ?? environment.now())
      }
    }
  }
}
