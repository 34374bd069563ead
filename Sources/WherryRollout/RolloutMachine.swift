import WherryJSON
import WherryModel

/// Spreads one deployment over its devices: waves, gates, a failure budget. Pure; the service journals `json` with what
/// the actions make it write.
///
/// A wave's gate: nobody of it who is online is under way, somebody committed, and it soaked. Devices that are offline
/// are parked: they hold no gate, and they are released when they come back or when the rollout completes, so a halted
/// rollout reaches nobody who was away. A wave without evidence takes the next online device in.
package struct RolloutMachine: Hashable, Sendable {
  package let policy: RolloutPolicy
  package internal(set) var state: RolloutState = .created
  /// In the order given; newcomers at the end.
  var members: [Member] = []
  /// Of the last wave that is open; -1 before the start.
  var openWave = -1
  var waveCount: Int
  /// When the open wave will have soaked; nil while its gate is shut.
  var soakUntil: Instant?
  /// Failures that a person accepted by resuming.
  var failuresAccepted = 0

  struct Member: Hashable, Sendable {
    var name: DeviceName
    var wave: Int
    var isOnline: Bool
    /// It was given its desired state.
    var isReleased = false
    /// What it answered; nil = nothing final yet.
    var outcome: Outcome?
    /// Since when it is released and online.
    var since: Instant?

    enum Outcome: Hashable, Sendable {
      case committed
      case failed(Failure?)
    }

    var status: RolloutDeviceStatus {
      switch outcome {
      case .committed: .committed
      case .failed(let failure): .failed(failure)
      case nil: isReleased ? (isOnline ? .released : .parked) : .waiting
      }
    }

    /// Online, its wave is open, and it has not ended: it holds the gate.
    var isUnderWay: Bool { isOnline && outcome == nil }
    var isFailed: Bool { if case .failed = outcome { true } else { false } }
  }

  package init(policy: RolloutPolicy, devices: [RolloutDevice]) {
    self.policy = policy
    let ends = Self.waveEnds(policy.waves, count: devices.count)
    waveCount = max(1, ends.count)
    for (index, device) in devices.enumerated() {
      let wave = ends.firstIndex { index < $0 } ?? max(0, ends.count - 1)
      members.append(Member(name: device.name, wave: wave, isOnline: device.isOnline))
    }
  }

  /// How many devices are in the waves up to each, strictly growing; the last takes everyone.
  static func waveEnds(_ sizes: [RolloutPolicy.Size], count: Int) -> [Int] {
    var ends: [Int] = []
    for size in sizes {
      let end =
        switch size {
        case .count(let devices): devices
        case .percent(let percent): max(1, (count * min(max(percent, 0), 100) + 99) / 100)
        }
      let capped = min(count, end)
      if capped > ends.last ?? 0 { ends.append(capped) }
    }
    if ends.last ?? 0 < count { ends.append(count) }
    return ends
  }

  package mutating func handle(_ event: RolloutEvent, at now: Instant) -> [RolloutAction] {
    switch event {
    case .start:
      guard case .created = state else { break }
      state = .rolling
      openWave = 0
    case .reported(let name, let status, let failure, let digestMatches):
      reported(name, status, failure, digestMatches: digestMatches)
    case .online(let name, let isOnline): cameOrWent(name, isOnline: isOnline, now)
    case .pause:
      if case .rolling = state { state = .paused(reason: "paused by an operator") }
    case .resume: resume()
    case .cancel: cancel()
    case .joined(let name, let isOnline): return joined(name, isOnline: isOnline, now) + advance(now)
    case .left(let name): members.removeAll { $0.name == name }
    case .tick: break  // Time is looked at with every event.
    }
    return advance(now)
  }

  private mutating func reported(
    _ name: DeviceName, _ status: DeploymentStatus, _ failure: Failure?, digestMatches: Bool
  ) {
    guard let index = members.firstIndex(where: { $0.name == name }) else { return }
    switch status {
    case .committed:
      // Another plan than the one given is old news or a fault; the device's timeout decides which.
      guard digestMatches else { return }
      members[index].outcome = .committed
    case .failed, .rolledBack, .rejected: members[index].outcome = .failed(failure)
    case .received, .fetching, .applying, .settling, .rollingBack: return
    }
    members[index].since = nil
  }

  private mutating func cameOrWent(_ name: DeviceName, isOnline: Bool, _ now: Instant) {
    guard let index = members.firstIndex(where: { $0.name == name }), members[index].isOnline != isOnline else {
      return
    }
    members[index].isOnline = isOnline
    members[index].since = isOnline && members[index].isReleased && members[index].outcome == nil ? now : nil
  }

  private mutating func resume() {
    switch state {
    case .paused: state = .rolling
    case .halted:
      // With policy `stop` the deployment has ended; a new one has to be made.
      guard policy.onFailure == .pause else { return }
      failuresAccepted = members.count(where: \.isFailed)
      state = .rolling
    case .created, .rolling, .completed, .cancelled: break
    }
  }

  private mutating func cancel() {
    switch state {
    case .created, .rolling, .paused, .halted: state = .cancelled
    case .completed, .cancelled: break
    }
  }

  private mutating func joined(_ name: DeviceName, isOnline: Bool, _ now: Instant) -> [RolloutAction] {
    guard !members.contains(where: { $0.name == name }) else { return [] }
    var member = Member(name: name, wave: waveCount - 1, isOnline: isOnline)
    guard case .completed = state else {
      members.append(member)
      return []
    }
    member.isReleased = true
    member.since = isOnline ? now : nil
    members.append(member)
    return [.release([name])]
  }
}
