import WherryJSON
import WherryModel

/// Spreads one deployment over its devices: waves, gates, a failure budget. Pure; the service journals `json` with what
/// the actions make it write.
///
/// A wave is a quota: so many devices in all may have been given the new state. Devices take their places in the
/// order given. Those who are offline are parked: they hold no gate and no place, and they are released when they are
/// back and there is a place, or when the rollout completes. So a halted rollout reaches nobody who was away. The gate
/// to the next wave: nobody who is online is under way, somebody committed, and the wave soaked. As long as nobody
/// committed, one device more at a time may show that the version works. Whoever its site cannot do without is passed
/// by, and holds no gate either until the last wave.
package struct RolloutMachine: Hashable, Sendable {
  package let policy: RolloutPolicy
  package internal(set) var state: RolloutState = .created
  /// In the order given; newcomers at the end.
  var roster: RolloutRoster
  var members: [Member] { roster.members }
  /// Of the last wave that is open; -1 before the start.
  var openWave = -1
  package var openWaveIndex: Int { openWave }
  /// How many devices may be released up to the end of each wave.
  var waveEnds: [Int]
  /// When the open wave will have soaked; nil while its gate is shut.
  var soakUntil: Instant?
  /// Failures that a person accepted by resuming.
  var failuresAccepted: [FailureCause: Int] = [:]
  /// When what was released so far will have left the service, at the policy's rate.
  var bytesOutAt = Instant.zero
  /// When the next may be released that only the rate keeps back; nil = there is none.
  var throttledUntil: Instant?

  package init(policy: RolloutPolicy, devices: [RolloutDevice]) {
    self.init(policy: policy, roster: RolloutRoster(devices.map(Member.init), policy: policy))
    waveEnds = Self.waveEnds(policy.waves, count: devices.count)
  }

  init(policy: RolloutPolicy, roster: RolloutRoster) {
    self.policy = policy
    self.roster = roster
    waveEnds = []
  }

  /// How many devices are in the waves up to each, strictly growing; the last takes everyone. Never empty.
  static func waveEnds(_ sizes: [RolloutPolicy.Size], count: Int) -> [Int] {
    var ends: [Int] = []
    func append(_ end: Int) {
      let capped = min(count, end)
      if capped > ends.last ?? 0 { ends.append(capped) }
    }
    for size in sizes {
      switch size {
      case .count(let devices): append(devices)
      case .percent(let percent): append(max(1, (count * min(max(percent, 0), 100) + 99) / 100))
      case .factor(let factor):
        if ends.isEmpty { append(1) }
        while let last = ends.last, last < count { append(last * max(2, factor)) }
      }
    }
    if ends.isEmpty || ends.last ?? 0 < count { ends.append(count) }
    return ends
  }

  package mutating func handle(_ event: RolloutEvent, at now: Instant) -> [RolloutAction] {
    switch event {
    case .start:
      guard case .created = state else { break }
      state = .rolling
      openWave = 0
    case .reported(let name, let status, let failure, let digestMatches):
      reported(name, status, failure, digestMatches: digestMatches, now)
    case .online(let name, let isOnline): cameOrWent(name, isOnline: isOnline, now)
    case .pause:
      if case .rolling = state { state = .paused(reason: "paused by an operator") }
    case .resume: resume()
    case .retry: retry()
    case .cancel: cancel()
    case .joined(let name, let isOnline, let sites, let bytes):
      let device = RolloutDevice(name: name, isOnline: isOnline, sites: sites, bytes: bytes)
      return joined(device, now) + advance(now)
    case .left(let name): roster.remove(name)
    case .tick: break  // Time is looked at with every event.
    }
    return advance(now)
  }

  private mutating func reported(
    _ name: DeviceName, _ status: DeploymentStatus, _ failure: Failure?, digestMatches: Bool, _ now: Instant
  ) {
    guard let index = roster.index(of: name) else { return }
    // Another plan than the one given is old news or a fault; the device's timeout decides which.
    if status == .committed && !digestMatches { return }
    // What it says of this deployment now was said before it heard.
    if roster[index]?.outcome == .reverted { return }
    roster.update(index) { member in
      member.hasSpoken = true
      switch status {
      case .committed: member.end(.committed)
      case .failed: member.end(.failed(failure), isDown: failure?.leavesDown ?? true)
      case .rolledBack, .rejected: member.end(.failed(failure))
      // What took its place brings the same, or is what the operator wants instead: its end counts.
      case .superseded: break
      case .received, .fetching, .applying, .settling, .rollingBack:
        member.goOn(isDeferred: failure?.isDeferral == true, at: now)
      }
    }
  }

  private mutating func cameOrWent(_ name: DeviceName, isOnline: Bool, _ now: Instant) {
    guard let index = roster.index(of: name), roster[index]?.isOnline != isOnline else { return }
    roster.update(index) { member in
      member.isOnline = isOnline
      member.since = member.isUnderWay && !member.isDeferred ? now : nil
    }
  }

  private mutating func resume() {
    switch state {
    case .paused: state = .rolling
    case .halted:
      // With policy `stop` the deployment has ended; a new one has to be made.
      guard policy.onFailure == .pause else { return }
      failuresAccepted = roster.failedBy.filter { $0.value > 0 }
      state = .rolling
    case .created, .rolling, .completed, .cancelled: break
    }
  }

  /// They are candidates again, so gates, places and the concurrency limit hold for them as for everyone.
  private mutating func retry() {
    switch state {
    case .rolling, .completed: break
    case .halted: guard policy.onFailure == .pause else { return }
    case .created, .paused, .cancelled: return
    }
    guard roster.failed > 0 else { return }
    for index in roster.indices where roster[index]?.isFailed == true {
      roster.update(index) { $0.forget() }
    }
    failuresAccepted = [:]
    soakUntil = nil
    state = .rolling
  }

  private mutating func cancel() {
    switch state {
    case .created, .rolling, .paused, .halted: state = .cancelled
    case .completed, .cancelled: break
    }
  }

  private mutating func joined(_ device: RolloutDevice, _ now: Instant) -> [RolloutAction] {
    guard !roster.contains(device.name) else { return [] }
    var member = Member(device)
    waveEnds[waveEnds.count - 1] += 1
    guard case .completed = state, !policy.holdsBackAfterTheEnd else {
      roster.append(member)
      return []
    }
    member.release(in: waveEnds.count - 1, at: now)
    roster.append(member)
    return [.release([device.name])]
  }
}
