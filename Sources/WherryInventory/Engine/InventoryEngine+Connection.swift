import WherryDatabase
import WherryModel
import WherryWire

/// The connection to the broker: whether it stands, what is owed over it and who is there. None of this is part of a
/// batch's transaction: a full disk must not make the engine forget what nobody says a second time.
extension InventoryEngine {
  func connected() {
    // A broker that crashed has lost what it acknowledged since its last snapshot.
    delivered.removeAll()
    // The broker tells everyone's presence again.
    unstored.removeAll()
    statistics.connections += 1
    expectPresence()
    mustRepeatOrders = true
    repeatLostOrders()
    // Only now, so that repeated orders go out once, with everything else that is owed.
    isConnected = true
    subscribe()
    publishOwed()
    announceChange()
  }

  func disconnected(_ reason: String) {
    // Attempts that fail say the same again.
    guard isConnected else { return }
    environment.note("the broker's connection ended: \(reason)")
    isConnected = false
    inFlight.removeAll()
    endAllStreams(why: "the connection to the broker ended")
    announceChange()
  }

  private func subscribe() {
    for filter in [Topic.allReported, Topic.allPresence, Topic.allResults] { bus.subscribe(filter, qos: 1) }
  }

  /// Everything that committed transactions owe to the broker. What was refused or is under way goes out once more: an
  /// order that comes twice changes nothing.
  private func publishOwed() {
    do {
      let owed = try database.outbox()
      let taken = Set(delivered)
      inFlight.removeAll()
      for message in owed where !taken.contains(message) {
        publish(
          BusMessage(
            topic: message.topic, payload: message.payload, qos: message.qos, isRetained: message.isRetained))
      }
    } catch {
      tryAgain("what is owed to the broker could not be read", error)
    }
  }

  private func repeatLostOrders() {
    guard mustRepeatOrders else { return }
    let now = environment.now()
    do {
      try commit {
        for device in try database.devicesOnlineWithOrder() { try repeatOrderIfLost(to: device, at: now) }
      }
      mustRepeatOrders = false
    } catch {
      tryAgain("orders that the broker may have lost could not be repeated", error)
    }
  }

  // MARK: - Deliveries

  /// A crash before this publishes messages again that the broker has, which changes nothing: so they need no
  /// transaction, and no fsync, of their own.
  static let deliveredMilliseconds = 500

  func noteDelivered(_ message: OutboxMessage) {
    delivered.append(message)
    guard deliveredTimer == nil else { return }
    deliveredTimer = Task { [weak self] in
      try? await Task.sleep(for: .milliseconds(Self.deliveredMilliseconds))
      await self?.flushDelivered()
    }
  }

  package func flushDelivered() {
    deliveredTimer = nil
    guard !delivered.isEmpty, !isStopped else { return }
    do { try commit {} } catch { tryAgain("the outbox could not be emptied", error) }
  }

  // MARK: - Presence

  /// A broker that stands has told us everyone's retained presence long before.
  static let presenceSeconds = 30

  private func expectPresence() {
    presenceSeen = []
    armPresenceTimer()
  }

  private func armPresenceTimer() {
    presenceTimer?.cancel()
    presenceTimer = Task { [weak self] in
      try? await Task.sleep(for: .seconds(Self.presenceSeconds))
      guard !Task.isCancelled else { return }
      await self?.settlePresence()
    }
  }

  /// Who was online before and is silent since the connection stands went away while we, or the broker, were away.
  package func settlePresence() {
    guard let seen = presenceSeen, isConnected, !isStopped else { return }
    do {
      try commit {
        for device in try database.devices() where device.isOnline && !seen.contains(device.name) {
          try setPresence(Presence(isOnline: false), of: device, at: nil)
        }
      }
      presenceSeen = nil
    } catch {
      environment.note("presence could not be settled: \(error); it is tried again in \(Self.presenceSeconds) s")
      armPresenceTimer()
    }
  }

  // MARK: - Trying again

  static let retryMinimumMilliseconds = 1_000
  static let retryMaximumMilliseconds = 60_000

  /// For what failed and nobody else would begin again.
  func tryAgain(_ what: String, _ error: any Error) {
    environment.note("\(what): \(error); it is tried again")
    scheduleRetry()
  }

  /// The pause doubles as long as one failure follows the other: a disk that stays full, or a broker that refuses a
  /// message each time, costs one attempt a minute.
  func scheduleRetry() {
    guard retryTimer == nil, !isStopped else { return }
    let isNewTrouble = environment.now().milliseconds(since: retriedAt) > 2 * Int64(Self.retryMaximumMilliseconds)
    let wait = isNewTrouble ? Self.retryMinimumMilliseconds : retryMilliseconds
    retryMilliseconds = min(wait * 2, Self.retryMaximumMilliseconds)
    retryTimer = Task { [weak self] in
      try? await Task.sleep(for: .milliseconds(wait))
      guard !Task.isCancelled else { return }
      await self?.retry()
    }
  }

  /// Everything that may have failed, whatever it was: each part is harmless when there is nothing to do.
  package func retry() {
    retryTimer?.cancel()
    retryTimer = nil
    guard !isStopped else { return }
    retriedAt = environment.now()
    storeSingly(unstored.sorted { $0.key < $1.key }.map(\.value))
    do { try loadRollouts() } catch { tryAgain("the rollouts could not be read", error) }
    tick()
    guard isConnected else { return }
    repeatLostOrders()
    subscribe()
    publishOwed()
  }
}
