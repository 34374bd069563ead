import WherryModel

/// One container that a script started, from its launch to its removal. Like the other machines it is told what
/// happens, and says what to do.
package struct DockerContainer: Hashable, Sendable {
  package enum Phase: Hashable, Sendable {
    /// It was launched. Exits: `resting`, `ended`, `removed`.
    case running(since: Instant)
    /// It ended and is to run again. Exits: `running`, `ended` (stop), `removed`.
    case resting(until: Instant)
    /// Exits: `removed`.
    case ended
    /// Exits: none.
    case removed
  }

  package enum Action: Hashable, Sendable {
    case launch
    /// By name; nil = TERM.
    case signal(String?)
    case kill
    /// Nothing is alive: what it had in the kernel goes.
    case letGo
    /// As `letGo`, and its files go, too.
    case remove
  }

  package private(set) var phase: Phase
  package let restart: DockerRestart
  package let isRemovedAtEnd: Bool
  package let stopSignal: String?
  package let stopSeconds: Int
  /// As a shell tells it; of the latest run.
  package private(set) var exitCode: Int32?
  package private(set) var restarts = 0
  package private(set) var isStopWanted = false
  package private(set) var isRemovalWanted = false
  private var killAt: Instant?

  package static let stopSecondsDefault = 10
  private static let killAgainSeconds = 10
  /// Docker's: it doubles from here.
  private static let restMilliseconds: Int64 = 100
  private static let restMillisecondsMaximum: Int64 = 60_000
  /// One that ran this long begins anew.
  private static let stableMilliseconds: Int64 = 10_000

  package init(_ run: DockerRun, stopSignal: String?, at now: Instant) {
    phase = .running(since: now)
    restart = run.restart
    isRemovedAtEnd = run.isRemovedAtEnd
    self.stopSignal = run.stopSignal ?? stopSignal
    stopSeconds = run.stopSeconds ?? Self.stopSecondsDefault
  }

  package var isAlive: Bool { if case .running = phase { true } else { false } }

  package var nextDeadline: Instant? {
    if case .resting(let until) = phase { return until }
    return isAlive ? killAt : nil
  }

  package mutating func launched(at now: Instant) { phase = .running(since: now) }

  /// Nothing of it is alive any more, or it could not be started.
  package mutating func ended(_ code: Int32, at now: Instant) -> [Action] {
    guard case .running(let since) = phase else { return [] }
    exitCode = code
    killAt = nil
    if isRemovalWanted || isRemovedAtEnd {
      phase = .removed
      return [.remove]
    }
    guard !isStopWanted, wantsRestart(code) else {
      phase = .ended
      return [.letGo]
    }
    if now.milliseconds(since: since) >= Self.stableMilliseconds { restarts = 0 }
    let rest = min(Self.restMilliseconds << Int64(min(restarts, 10)), Self.restMillisecondsMaximum)
    restarts += 1
    phase = .resting(until: now.advanced(byMilliseconds: rest))
    return [.letGo]
  }

  private func wantsRestart(_ code: Int32) -> Bool {
    switch restart {
    case .never: false
    case .always: true
    case .onFailure(let maximum): code != 0 && restarts < maximum ?? .max
    }
  }

  /// - Parameter graceSeconds: nil = its own.
  package mutating func stop(graceSeconds: Int? = nil, at now: Instant) -> [Action] {
    switch phase {
    case .running:
      isStopWanted = true
      killAt = now.advanced(bySeconds: graceSeconds ?? stopSeconds)
      return [.signal(stopSignal)]
    case .resting:
      phase = .ended
      return []
    case .ended, .removed: return []
    }
  }

  package mutating func kill(_ signal: String) -> [Action] {
    guard isAlive else { return [] }
    guard ["KILL", "SIGKILL", "9"].contains(signal.uppercased()) else { return [.signal(signal)] }
    isStopWanted = true
    return [.kill]
  }

  /// At once, whatever it does.
  package mutating func remove() -> [Action] {
    isRemovalWanted = true
    switch phase {
    case .running: return [.kill]
    case .resting, .ended:
      phase = .removed
      return [.remove]
    case .removed: return []
    }
  }

  /// Its component stops: it is told to end, has its time, and goes.
  package mutating func leave(at now: Instant) -> [Action] {
    guard !isRemovalWanted else { return [] }
    guard isAlive else { return remove() }
    isRemovalWanted = true
    return stop(at: now)
  }

  package mutating func tick(at now: Instant) -> [Action] {
    guard let due = nextDeadline, now >= due else { return [] }
    if case .resting = phase { return [.launch] }
    killAt = now.advanced(bySeconds: Self.killAgainSeconds)
    return [.kill]
  }

  /// What it rests for is not possible yet.
  package mutating func postpone(byMilliseconds milliseconds: Int64, at now: Instant) {
    if case .resting = phase { phase = .resting(until: now.advanced(byMilliseconds: milliseconds)) }
  }
}
