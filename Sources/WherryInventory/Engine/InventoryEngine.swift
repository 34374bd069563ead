import WherryCrypto
import WherryDatabase
import WherryJSON
import WherryModel
import WherryOCI
import WherryPlanning
import WherryRollout
import WherryWire

/// Addresses that devices and operators are told.
package struct Endpoints: Hashable, Sendable {
  package var operatorURL: String
  package var deviceURL: String
  package var brokerHost: String
  package var brokerPort: Int
  /// `host:port` of the operators' listener under each of its names, in lower case, and the host alone where the port
  /// is 443: an image reference that begins so means the service's own registry.
  package var registryHosts: Set<String>
  /// Of images that name none.
  package var defaultRegistry: String
  package init(
    operatorURL: String, deviceURL: String, brokerHost: String, brokerPort: Int, registryHosts: Set<String> = [],
    defaultRegistry: String = ImageReference.defaultRegistry
  ) {
    self.operatorURL = operatorURL
    self.deviceURL = deviceURL
    self.brokerHost = brokerHost
    self.brokerPort = brokerPort
    self.registryHosts = registryHosts
    self.defaultRegistry = defaultRegistry
  }
}

/// Turns an image reference into digests by asking its registry.
package protocol ImagePinning: Sendable {
  func pin(_ reference: String, platform: Platform) async throws -> PlannedImage
}

/// What the engine needs and does not make itself.
package struct EngineEnvironment: Sendable {
  package var authority: CertificateAuthority
  package var signingKey: Ed25519PrivateKey
  package var trustRoot: TrustRoot
  package var endpoints: Endpoints
  package var blobs: ContentStore
  package var images: any ImagePinning
  package var now: @Sendable () -> Instant
  /// Removed device names, whole list: the broker forgets their rights.
  package var revoke: @Sendable ([String]) -> Void
  /// One line for the service's log.
  package var note: @Sendable (String) -> Void

  package init(
    authority: CertificateAuthority, signingKey: Ed25519PrivateKey, trustRoot: TrustRoot, endpoints: Endpoints,
    blobs: ContentStore, images: any ImagePinning, now: @escaping @Sendable () -> Instant,
    revoke: @escaping @Sendable ([String]) -> Void = { _ in }, note: @escaping @Sendable (String) -> Void = { _ in }
  ) {
    self.authority = authority
    self.signingKey = signingKey
    self.trustRoot = trustRoot
    self.endpoints = endpoints
    self.blobs = blobs
    self.images = images
    self.now = now
    self.revoke = revoke
    self.note = note
  }
}

/// The service's one inbox. Its fixed shape: load machine → handle → save state and outbox rows in one transaction →
/// publish after commit. Nothing between reading and writing state awaits.
package actor InventoryEngine {
  /// A deployment and its machine, in memory between events.
  struct Rollout {
    var record: DeploymentRecord
    var machine: RolloutMachine
  }

  struct PlanKey: Hashable {
    var deployments: [DeploymentID]
    var platform: String
  }

  struct ComposedPlan {
    var digest: Digest
    var text: String
  }

  static let memoMaximum = 1_024

  let database: InventoryDatabase
  let bus: any MessageBus
  let environment: EngineEnvironment
  nonisolated let inbox = Inbox()

  var catalog: Catalog
  /// Only what is not in the database yet may differ from it, and only inside `commit`.
  var rollouts: [DeploymentID: Rollout] = [:]
  var changedRollouts: Set<DeploymentID> = []
  /// A rollout to alike devices plans once and signs many small envelopes.
  var planMemo: [PlanKey: ComposedPlan] = [:]
  /// What the plans name that devices were fetching for lately.
  var planBlobs: [Digest: Set<Digest>] = [:]
  /// Owed to the broker by the transaction under way.
  var pending: [BusMessage] = []
  var inFlight: [Int: OutboxMessage] = [:]
  /// Taken over by the broker, not yet taken out of the outbox: that waits for the next transaction.
  var delivered: [OutboxMessage] = []
  var isConnected = false
  var isStopped = false
  /// Since the broker's connection stands; nil once those that are missing were taken for offline.
  var presenceSeen: Set<DeviceName>?
  /// The newest presence of devices of which it could not be stored: nobody says it again.
  var unstored: [DeviceName: DeviceMessage] = [:]
  /// Orders that the broker may have lost were not repeated yet on this connection.
  var mustRepeatOrders = false
  var commandStreams: [String: AsyncStream<CommandResult>.Continuation] = [:]
  var watchers: [Int: AsyncStream<Void>.Continuation] = [:]
  var nextWatcher = 0
  var timer: Task<Void, Never>?
  var deliveredTimer: Task<Void, Never>?
  var presenceTimer: Task<Void, Never>?
  var retryTimer: Task<Void, Never>?
  var garbageTimer: Task<Void, Never>?
  /// The pause before the next retry.
  var retryMilliseconds = InventoryEngine.retryMinimumMilliseconds
  var retriedAt = Instant.zero
  var statistics = EngineStatistics()

  package init(database: sending InventoryDatabase, bus: any MessageBus, environment: EngineEnvironment) throws {
    let components = try database.components()
    self.database = database
    self.bus = bus
    self.environment = environment
    catalog = StandInCatalog.catalog(of: components)
  }

  /// Connects to the broker; everything that a former run still owed is published once connected.
  package func start() throws {
    // Uploads that the last run did not finish.
    try environment.blobs.removePartials(except: [])
    collectRegistryGarbageOrNote()
    armGarbageTimer()
    try bus.start { [inbox, weak self] event in
      guard inbox.push(event), let self else { return }
      Task { await self.drain() }
    }
    try renewOrders()
    armTimer()
  }

  package func stop() {
    guard !isStopped else { return }
    flushDelivered()
    isStopped = true
    for timer in [timer, deliveredTimer, presenceTimer, retryTimer, garbageTimer] { timer?.cancel() }
    inbox.close()
    bus.stop()
    for stream in commandStreams.values { stream.finish() }
    for watcher in watchers.values { watcher.finish() }
    database.close()
  }

  package var isReady: Bool { isConnected }

  // MARK: - Transactions

  /// Runs `body` and everything that it caused in one transaction, and only then tells the world.
  func commit<T>(_ body: () throws -> T) throws -> T {
    precondition(pending.isEmpty && changedRollouts.isEmpty, "a commit within a commit")
    let counted = statistics
    do {
      let result = try database.transaction {
        let result = try body()
        try saveRollouts()
        for message in delivered { try database.dequeue(message) }
        return result
      }
      delivered.removeAll()
      statistics.transactions += 1
      publishPending()
      announceChange()
      armTimer()
      return result
    } catch {
      // Memory follows the database: what was not committed never was.
      statistics = counted
      pending.removeAll()
      changedRollouts.removeAll()
      rollouts.removeAll()
      planMemo.removeAll()
      try loadRollouts()
      throw error
    }
  }

  private func saveRollouts() throws {
    for id in changedRollouts.sorted() {
      guard let rollout = rollouts[id] else { continue }
      try database.update(rollout.record)
      guard let changes = rollouts[id]?.machine.takeChanges() else { continue }
      try database.update(changes, of: id)
    }
    changedRollouts.removeAll()
  }

  /// A retained message goes through the outbox, so that it survives a crash between commit and the broker.
  func send(_ message: BusMessage) throws {
    if message.isRetained {
      try database.enqueue(OutboxMessage(topic: message.topic, payload: message.payload, qos: message.qos))
    }
    pending.append(message)
  }

  private func publishPending() {
    let messages = pending
    pending.removeAll()
    guard isConnected else { return }
    for message in messages { publish(message) }
  }

  func publish(_ message: BusMessage) {
    let token = bus.publish(message)
    statistics.published += 1
    guard message.isRetained else { return }
    inFlight[token] = OutboxMessage(topic: message.topic, payload: message.payload, qos: message.qos)
  }

  // MARK: - Time

  /// One timer for the earliest deadline of all rollouts, set again after every commit.
  func armTimer() {
    let deadline = rollouts.values.filter(\.record.state.takesEvents).compactMap(\.machine.nextDeadline).min()
    timer?.cancel()
    guard let deadline else {
      timer = nil
      return
    }
    let wait = max(0, deadline.milliseconds(since: environment.now()))
    timer = Task { [weak self] in
      try? await Task.sleep(for: .milliseconds(wait))
      guard !Task.isCancelled else { return }
      await self?.tick()
    }
  }

  package func tick() {
    guard !isStopped else { return }
    let now = environment.now()
    do {
      try commit {
        for id in rollouts.keys.sorted() where rollouts[id]?.machine.nextDeadline.map({ $0 <= now }) == true {
          try drive(id, .tick, at: now)
        }
      }
    } catch {
      tryAgain("the rollouts' timer could not be handled", error)
    }
  }
}

/// For /metrics.
package struct EngineStatistics: Hashable, Sendable {
  package var transactions = 0
  /// To the broker, since the start.
  package var connections = 0
  package var published = 0
  package var reports = 0
  package var duplicateReports = 0
  package var refusedMessages = 0
  package var plansComposed = 0
}

// MARK: - Change announcements

extension InventoryEngine {
  /// Yields after every commit; several commits that were not looked at are one.
  package func changes() -> AsyncStream<Void> {
    let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    let number = nextWatcher
    nextWatcher += 1
    watchers[number] = continuation
    continuation.onTermination = { [weak self] _ in
      Task { await self?.forgetWatcher(number) }
    }
    return stream
  }

  private func forgetWatcher(_ number: Int) { watchers[number] = nil }

  func announceChange() {
    for watcher in watchers.values { watcher.yield() }
  }
}
