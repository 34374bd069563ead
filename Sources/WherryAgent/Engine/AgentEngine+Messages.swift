import WherryCrypto
import WherryJSON
import WherryLifecycle
import WherryModel
import WherryWire

/// What comes over the broker, and what goes.
extension AgentEngine {
  func pumpTransport(readable: Bool, writable: Bool) {
    for event in ports.transport.pump(readable: readable, writable: writable, now: now) {
      switch event {
      case .connected: connected()
      case .disconnected(let reason):
        // Once: the attempts that follow say the same.
        if isConnected || !hasToldOfBroker { log.warning("not connected to the broker", ["reason": reason]) }
        hasToldOfBroker = true
        isConnected = false
      case .received(let message): received(message)
      case .published: break  // A broker's word proves nothing about the service; `acked` does.
      case .subscribed(let filter): log.debug("subscribed", ["filter": filter])
      case .refused(let sentence): log.warning(sentence)
      }
    }
  }

  private func connected() {
    isConnected = true
    log.info("connected to the broker", ["broker": "\(identity.brokerHost):\(identity.brokerPort)"])
    publishPresence(isOnline: true)
    outbox.begin()
    resendReports()
  }

  @discardableResult
  func publishPresence(isOnline: Bool) -> Int {
    let presence = Presence(isOnline: isOnline, agentVersion: AgentVersion.text, bootID: bootID)
    return ports.transport.publish(
      Topic.presence(identity.name), payload: presence.json.canonicalBytes, qos: 1, retain: true, expirySeconds: nil)
  }

  private func received(_ message: TransportMessage) {
    guard let (device, kind) = Topic.parse(message.topic), device == identity.name else { return }
    switch kind {
    case .desired: desired(message.payload)
    case .acked: acknowledged(message.payload)
    case .commands: command(message.payload)
    case .reported, .presence, .telemetry, .results: break
    }
  }

  // MARK: Desired state

  private func desired(_ payload: [UInt8]) {
    // An empty retained message is how a broker is told to forget one.
    guard !payload.isEmpty else { return }
    let known = machine.state.generation.order
    let verdict = verifier.verdict(on: payload, known: known, wall: ports.clock.wall, proven: provenTime)
    switch verdict {
    case .ignored(let why): log.info(why)
    case .refused(let generation, let digest, let failure): refuse(payload, generation, digest, failure)
    case .accepted(let statement, let inline):
      if statement.notBefore > provenTime {
        provenTime = statement.notBefore
        unsaved.provenTime = provenTime
      }
      if statement.generation == known {
        repeated(statement)
      } else {
        order(statement, inline, payload)
      }
    }
  }

  /// The same junk may be retained and come with each connection; one answer is enough.
  private func refuse(_ payload: [UInt8], _ generation: Generation, _ digest: Digest?, _ failure: Failure) {
    let fingerprint = SHA256.digest(of: payload)
    guard fingerprint != lastRefused else { return }
    lastRefused = fingerprint
    log.error("\(failure)", ["code": failure.code, "generation": "\(generation)"])
    receive(.refused(generation: generation, digest: digest, failure))
  }

  /// The service asks again for what it has no answer to.
  private func repeated(_ statement: DesiredStatement) {
    guard let plan = plans[statement.plan] else { return }
    receive(.desired(generation: statement.generation, digest: statement.plan, plan: plan))
  }

  private func order(_ statement: DesiredStatement, _ inline: String?, _ payload: [UInt8]) {
    if planFetch?.statement.generation ?? Generation(0) > statement.generation { return }
    if planFetch?.statement == statement { return }
    planFetch?.cancel()
    planFetch = nil
    if let plan = plans[statement.plan] {
      accept(statement, plan, text: nil)
    } else if let inline {
      do throws(Failure) {
        accept(statement, try DesiredVerifier.plan(inline, for: statement), text: inline)
      } catch { refuse(payload, statement.generation, statement.plan, error) }
    } else {
      planFetch = PlanFetch(statement, jobs: jobs, worker: ports.worker)
      advancePlanFetch()
    }
  }

  private func accept(_ statement: DesiredStatement, _ plan: Plan, text: String?) {
    log.info(
      "a new desired state", ["generation": "\(statement.generation)", "plan": statement.plan.short])
    arrivals.append(.order(statement, plan, text: text))
    lastRefused = nil
  }

  func advancePlanFetch() {
    guard let fetching = planFetch, let outcome = fetching.advance(now: now) else { return }
    switch outcome {
    case .text(let text):
      planFetch = nil
      do throws(Failure) {
        accept(fetching.statement, try DesiredVerifier.plan(text, for: fetching.statement), text: text)
      } catch { receive(.refused(generation: fetching.statement.generation, digest: fetching.statement.plan, error)) }
    case .retry(let failure): log.warning("\(failure)", ["code": failure.code])
    case .refused(let failure):
      planFetch = nil
      log.error("\(failure)", ["code": failure.code])
      receive(.refused(generation: fetching.statement.generation, digest: fetching.statement.plan, failure))
    }
  }

  // MARK: Reports

  func send(_ report: DeviceReport) {
    guard isConnected else { return }
    publish(report)
  }

  private func publish(_ report: DeviceReport) {
    ports.transport.publish(
      Topic.reported(identity.name), payload: report.json.canonicalBytes, qos: 1, retain: false, expirySeconds: nil)
    outbox.published(report.sequence, now: now)
  }

  func resendReports() {
    guard isConnected, !outbox.isEmpty else { return }
    do throws(Failure) {
      for report in try ports.journal.outbox(after: outbox.acknowledged, limit: SQLiteJournal.outboxMaximum) {
        publish(report)
      }
    } catch { log.error("\(error)") }
  }

  private func acknowledged(_ payload: [UInt8]) {
    guard let json = try? JSON(parsing: payload), let acknowledgement = try? Acknowledgement(JSONCursor(json)) else {
      log.warning("an acknowledgement cannot be read")
      return
    }
    let sequence = acknowledgement.sequence
    let newest = machine.state.nextSequence - 1
    guard sequence <= max(newest, Self.acknowledgedMaximum) else {
      log.warning(
        "an acknowledgement is ignored: no service can have that many reports; see who writes to this device's topic",
        ["sequence": "\(sequence)", "newest": "\(newest)"])
      return
    }
    guard sequence > outbox.acknowledged else { return }
    if sequence > newest {
      // Below that the service would take everything for a repetition, acknowledge it and never look at it.
      log.warning(
        "the service knows more reports of this device than its journal, so reports are numbered on from there; "
          + "nothing needs to be done if the journal was moved away",
        ["sequence": "\(sequence)", "newest": "\(newest)"])
      receive(.reportsKnown(upTo: sequence))
    }
    outbox.acknowledge(sequence, newest: newest, now: now)
    // Forgetting it is not urgent: the next write takes it along, or the timer does. A crash sends it once more.
    unsaved.acknowledged = sequence
  }

  /// A report each microsecond would take more than a century to get there. It is half of what every reader of JSON
  /// holds exactly, so numbers can go on from there.
  private static let acknowledgedMaximum: Int64 = 1 << 52

  func flushAcknowledgement() {
    guard let due = outbox.flushAt, now >= due else { return }
    outbox.flushAt = nil
    if unsaved.acknowledged != nil { _ = save() }
  }
}

/// Which reports the service still has to acknowledge. The reports themselves lie in the journal.
struct Outbox {
  var isEmpty = true
  private(set) var acknowledged: Int64 = 0
  private(set) var resendAt: Instant?
  var flushAt: Instant?
  private var delayMilliseconds = Outbox.delayMinimumMilliseconds

  static let delayMinimumMilliseconds: Int64 = 15_000
  static let delayMaximumMilliseconds: Int64 = 300_000
  static let flushMilliseconds: Int64 = 5_000

  mutating func begin() { delayMilliseconds = Self.delayMinimumMilliseconds }

  mutating func published(_ sequence: Int64, now: Instant) {
    isEmpty = false
    if resendAt == nil { resendAt = now.advanced(byMilliseconds: delayMilliseconds) }
  }

  /// True when it is time to send everything again.
  mutating func isResendDue(now: Instant) -> Bool {
    guard let resendAt, now >= resendAt else { return false }
    self.resendAt = nil
    delayMilliseconds = min(delayMilliseconds * 2, Self.delayMaximumMilliseconds)
    return !isEmpty
  }

  mutating func acknowledge(_ sequence: Int64, newest: Int64, now: Instant) {
    acknowledged = sequence
    delayMilliseconds = Self.delayMinimumMilliseconds
    if sequence >= newest {
      isEmpty = true
      resendAt = nil
    }
    if flushAt == nil { flushAt = now.advanced(byMilliseconds: Self.flushMilliseconds) }
  }
}
