/// How a deployment spreads over its target. Docs/rollouts.md says what each part means.
package struct RolloutPolicy: Hashable, Sendable {
  /// Cumulative share of the target at the end of each wave; the last wave always takes the rest.
  package enum Size: Hashable, Sendable {
    case count(Int)
    /// Of the target, rounded up, at least one.
    case percent(Int)
    /// So many times what the waves before it hold, again and again, until everyone has a place.
    case factor(Int)
  }
  /// A budget that grows with the fleet.
  package struct FailureShare: Hashable, Sendable {
    /// More of those that have ended than this halt the rollout.
    package var percent: Int
    /// As soon as so many have ended; where there are fewer, all of them.
    package var sample: Int
    package init(percent: Int, sample: Int) {
      self.percent = percent
      self.sample = sample
    }
  }
  package enum FailureAction: String, Hashable, Sendable {
    /// Stop opening waves and wait for a person.
    case pause
    /// End the deployment; what changed stays.
    case stop
    /// End the deployment; whoever changed gets back what its target had before.
    case revert
  }
  /// What some causes may take, beside the budget that all others share.
  package struct CauseBudget: Hashable, Sendable {
    package var causes: Set<FailureCause>
    /// More devices that failed for these causes than this halt the rollout.
    package var maximum: Int
    /// In place of that number; nil = the number counts.
    package var share: FailureShare?
    package init(causes: Set<FailureCause>, maximum: Int = 0, share: FailureShare? = nil) {
      self.causes = causes
      self.maximum = maximum
      self.share = share
    }
  }
  /// What devices with the same value of a label (those of one store) owe each other. One without the label owes
  /// nothing.
  package struct DisruptionBudget: Hashable, Sendable {
    package var label: String
    /// So many of them may be changing at the same time; nil = any number.
    package var changingMaximum: Int?
    /// So many of them are online and not changing at any time.
    package var upMinimum: Int
    package init(label: String, changingMaximum: Int? = nil, upMinimum: Int = 0) {
      self.label = label
      self.changingMaximum = changingMaximum
      self.upMinimum = upMinimum
    }
  }
  package var waves: [Size] = [.percent(10), .percent(50), .percent(100)]
  /// After the last device of a wave committed, before the next wave opens.
  package var soakMilliseconds: Int64 = 0
  /// More failed devices than this halt the rollout.
  package var failuresMaximum: Int = 0
  /// In place of that number; nil = the number counts.
  package var failureShare: FailureShare?
  /// Failures for these causes do not count against the number or the share above.
  package var causeBudgets: [CauseBudget] = []
  /// Devices with all of these labels are a wave of their own before the others; empty = there is none.
  package var canary: [String: String] = [:]
  /// Devices that may be changing at the same time; 0 = as many as the wave holds.
  package var concurrencyMaximum: Int = 0
  package var disruption: [DisruptionBudget] = []
  /// Devices are released so that what they are expected to download leaves the service no faster than this, beyond
  /// one second's worth and one device; 0 = at any rate.
  package var bytesPerSecond: Int64 = 0
  /// A released, online device that has not ended by then counts as failed with class `timeout`.
  package var deviceTimeoutSeconds: Int = 3_600
  /// One that has said nothing at all of the deployment by then is silent; 0 = the device timeout.
  package var silenceSeconds: Int = 0
  package var onFailure: FailureAction = .pause
  package init() {}
}

/// Why a device failed, as budgets tell it apart: the failure's class, or that nothing was heard.
package enum FailureCause: String, Hashable, Sendable, CaseIterable, Comparable {
  case download, verify, space, install, start, health, timeout, rejected
  case internalError = "internal"
  /// It was released and online, and said nothing of the deployment in time.
  case silent

  package static let silentCode = "rollout.deviceSilent"

  package init(_ failure: Failure?) {
    if failure?.code == Self.silentCode {
      self = .silent
      return
    }
    switch failure?.failureClass {
    case .download: self = .download
    case .verify: self = .verify
    case .space: self = .space
    case .install: self = .install
    case .start: self = .start
    case .health: self = .health
    case .timeout: self = .timeout
    case .rejected: self = .rejected
    case .internalError, nil: self = .internalError
    }
  }

  package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}
