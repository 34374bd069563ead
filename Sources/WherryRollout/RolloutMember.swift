import WherryModel

extension RolloutMachine {
  struct Member: Hashable, Sendable {
    var name: DeviceName
    var isOnline: Bool
    /// The wave in which it was given its desired state; nil = it was not.
    var wave: Int?
    /// What it answered; nil = nothing final yet.
    var outcome: Outcome?
    /// Since when it is released and online, and its time runs.
    var since: Instant?
    /// It has said something of the deployment since it was given it.
    var hasSpoken = false
    /// It said *not now*: its time stands still.
    var isDeferred = false
    /// It failed in such a way that what ran before may not run.
    var isDown = false
    /// Its value of each label that the policy's disruption budgets name; nil = it has none.
    var sites: [String?] = []
    /// What it is expected to download.
    var bytes: Int64 = 0

    enum Outcome: Hashable, Sendable {
      case committed
      case failed(Failure?)
      /// It was given back what it had before.
      case reverted
    }

    init(name: DeviceName, isOnline: Bool) {
      self.name = name
      self.isOnline = isOnline
    }

    init(_ device: RolloutDevice) {
      self.init(name: device.name, isOnline: device.isOnline)
      sites = device.sites
      bytes = device.bytes
    }

    var isReleased: Bool { wave != nil }
    /// It is online and has not ended.
    var isOpen: Bool { isOnline && outcome == nil }
    var isUnderWay: Bool { isReleased && isOpen }
    var isCandidate: Bool { !isReleased && isOpen }
    var isFailed: Bool { cause != nil }
    /// Why it failed; nil = it did not.
    var cause: FailureCause? { if case .failed(let failure) = outcome { FailureCause(failure) } else { nil } }
    /// What it does for others at its site may be missing: it changes, went away while it did, or broke.
    var isChanging: Bool { isReleased && (outcome == nil || isDown) }
    var isUp: Bool { isOnline && !isChanging }

    /// Its desired state goes out.
    mutating func release(in wave: Int, at now: Instant) {
      self.wave = wave
      since = isOnline && outcome == nil ? now : nil
      hasSpoken = false
      isDeferred = false
    }

    mutating func end(_ outcome: Outcome, isDown: Bool = false) {
      self.outcome = outcome
      self.isDown = isDown
      since = nil
      isDeferred = false
    }

    /// As if it had never been given anything.
    mutating func forget() {
      wave = nil
      outcome = nil
      since = nil
      hasSpoken = false
      isDeferred = false
      isDown = false
    }

    /// It is at it; `isDeferred`: not now.
    mutating func goOn(isDeferred: Bool, at now: Instant) {
      // It was given up too early.
      if cause == .silent {
        outcome = nil
        isDown = false
      }
      self.isDeferred = isDeferred && isUnderWay
      if self.isDeferred {
        since = nil
      } else if isUnderWay && since == nil {
        since = now
      }
    }
  }
}

extension Failure {
  /// Of a device that was rolled back nowhere: whether it had come to touch what ran.
  var leavesDown: Bool {
    switch failureClass {
    case .download, .verify, .space, .rejected: false
    case .install, .start, .health, .timeout, .internalError: true
    }
  }
}
