import WherryModel

/// Where one component is. Every phase says what is alive and where it can go; `until` is the instant (boot clock) at
/// which the machine acts by itself.
package enum ComponentPhase: Hashable, Sendable {
  /// Nothing done yet, nothing alive. Exits: `preparing` or `installed` once nothing is leaving the device any more.
  case new

  /// `bootstrap` or `install` is running. Exits: the next step, `installed`, `stopping` (timeout, no longer wanted),
  /// `waiting` or `broken` (it failed).
  case preparing(LifecycleStep, until: Instant?)

  /// `bootstrap` is done and asked for a restart of the agent or the device; nothing alive. Exits: `new` after the
  /// restart, `waiting` or `broken` when it does not come by `until`.
  case awaitingRestart(RestartKind, until: Instant)

  /// Ready, nothing alive; waits for its dependencies. Exits: `starting`, `finished` (nothing to run).
  case installed

  /// `startup` is running, or `run` was launched and not yet confirmed. Exits: `running`, `finished`, `stopping`,
  /// `recovering`, `waiting`, `broken`.
  case starting(LifecycleStep, until: Instant?)

  /// `run` is alive, or `startup` succeeded. `until` = the `run` step's own timeout. Exits: `finished` (exit 0),
  /// `shuttingDown`, `stopping`, `recovering`, `waiting`, `broken`.
  case running(since: Instant, until: Instant?, health: ComponentHealth)

  /// It failed; `recover` is running. Exits: `waiting` (whatever `recover` says), `stopping`.
  case recovering(until: Instant?)

  /// It failed, nothing alive; the next try is due at `until`. Exits: `new` or `installed`, where it goes on.
  case waiting(until: Instant)

  /// `shutdown` is running, the main workload may be alive. Exits: `stopping`, `installed`.
  case shuttingDown(until: Instant?, isMainAlive: Bool)

  /// These steps were told to end; at `until` they are killed (again). `isRetry`: it goes on as after a failure.
  /// Exits: `installed`, or for a retry `new`, `recovering`, `waiting`, `broken`. Never left while one is alive.
  case stopping([LifecycleStep], until: Instant, isRetry: Bool)

  /// `uninstall` is running; the component leaves the device. Exits: `uninstalled`.
  case uninstalling(until: Instant?)

  /// Nothing is left to do for a component that leaves. Exits: none, its machine is dropped.
  case uninstalled

  /// It ended as it should. Exits: `installed` (restart), or replaced.
  case finished

  /// Failed too often. Exits: `installed` (restart by a person, reboot), or replaced by another version.
  case broken
}

/// What is known of a running component's health. A component without a check is healthy by being alive.
package enum ComponentHealth: Hashable, Sendable {
  case unchecked
  /// No probe succeeded yet. Exits: `healthy`, or the component is stopped after too many failures.
  case pending(failures: Int)
  /// Exits: `pending`-like failures are counted here too, so that one lost probe changes nothing.
  case healthy(failures: Int)

  var isGood: Bool {
    switch self {
    case .unchecked, .healthy: true
    case .pending: false
    }
  }
}

extension ComponentPhase {
  /// The Greengrass word for reports.
  package var componentState: ComponentState {
    switch self {
    case .new, .preparing, .awaitingRestart: .new
    case .installed, .uninstalled: .installed
    case .starting: .starting
    case .running: .running
    case .recovering, .waiting: .errored
    case .shuttingDown, .stopping, .uninstalling: .stopping
    case .finished: .finished
    case .broken: .broken
    }
  }

  /// Dependents may start.
  var isUp: Bool {
    switch self {
    case .running, .finished: true
    case .new, .preparing, .awaitingRestart, .installed, .starting, .recovering, .waiting, .shuttingDown, .stopping,
      .uninstalling, .uninstalled, .broken:
      false
    }
  }

  /// As the deployment wants it: up and, where there is a check, healthy.
  var isGood: Bool {
    switch self {
    case .running(_, _, let health): health.isGood
    case .finished: true
    case .new, .preparing, .awaitingRestart, .installed, .starting, .recovering, .waiting, .shuttingDown, .stopping,
      .uninstalling, .uninstalled, .broken:
      false
    }
  }

  /// Nothing of it can be alive, so it may be replaced or dropped.
  var isAtRest: Bool {
    switch self {
    case .new, .awaitingRestart, .installed, .waiting, .finished, .broken, .uninstalled: true
    case .preparing, .starting, .running, .recovering, .shuttingDown, .stopping, .uninstalling: false
    }
  }

  /// It can be told to stop. A component that stops or uninstalls already goes on with that.
  var isStoppable: Bool {
    switch self {
    case .preparing, .starting, .running, .recovering: true
    case .new, .awaitingRestart, .installed, .waiting, .shuttingDown, .stopping, .uninstalling, .uninstalled, .finished,
      .broken:
      false
    }
  }

  /// Follows its HARD dependencies down.
  var isStartedOrStarting: Bool {
    switch self {
    case .starting, .running: true
    case .new, .preparing, .awaitingRestart, .installed, .recovering, .waiting, .shuttingDown, .stopping, .uninstalling,
      .uninstalled, .finished, .broken:
      false
    }
  }

  var until: Instant? {
    get {
      switch self {
      case .preparing(_, let until), .starting(_, let until), .recovering(let until), .shuttingDown(let until, _),
        .uninstalling(let until), .running(_, let until, _):
        until
      case .waiting(let until), .stopping(_, let until, _), .awaitingRestart(_, let until): until
      case .new, .installed, .uninstalled, .finished, .broken: nil
      }
    }
  }

  /// The same phase with its instants moved, for a clock that began anew.
  func shifted(byMilliseconds delta: Int64) -> ComponentPhase {
    func move(_ instant: Instant?) -> Instant? { instant?.advanced(byMilliseconds: delta) }
    switch self {
    case .preparing(let step, let until): return .preparing(step, until: move(until))
    case .starting(let step, let until): return .starting(step, until: move(until))
    case .running(let since, let until, let health):
      return .running(since: since.advanced(byMilliseconds: delta), until: move(until), health: health)
    case .awaitingRestart(let kind, let until):
      return .awaitingRestart(kind, until: until.advanced(byMilliseconds: delta))
    case .recovering(let until): return .recovering(until: move(until))
    case .waiting(let until): return .waiting(until: until.advanced(byMilliseconds: delta))
    case .shuttingDown(let until, let isMainAlive):
      return .shuttingDown(until: move(until), isMainAlive: isMainAlive)
    case .stopping(let steps, let until, let isRetry):
      return .stopping(steps, until: until.advanced(byMilliseconds: delta), isRetry: isRetry)
    case .uninstalling(let until): return .uninstalling(until: move(until))
    case .new, .installed, .uninstalled, .finished, .broken: return self
    }
  }
}
