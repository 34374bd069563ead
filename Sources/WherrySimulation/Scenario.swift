import WherryJSON
import WherryModel
import WherryWire

/// A rehearsal of one rollout: how large the fleet is, what the policy says and what goes wrong.
package struct Scenario: Hashable, Sendable {
  package static let devicesMaximum = 100_000

  package var devices = 10_000
  package var policy = RolloutPolicy()
  package var faults = FaultRates.ordinary
  /// In thousandths of the fleet: devices on which the new version crashes.
  package var failing = 2
  /// In thousandths of the fleet: devices whose downloads take `slowFactor` times as long.
  package var slow = 50
  package var slowFactor = 10
  /// Labels of the devices, by how many share a value: with `store` 2 the first two have `store-1`.
  package var labels: [String: Int] = [:]
  /// What each device downloads, as far as the policy's rate is concerned.
  package var downloadBytes: Int64 = 0
  /// Own components; nil = made-up ones.
  package var plan: Plan?
  /// Faults stop then, if the rollout has not ended before.
  package var minutesMaximum = 60

  package init() {
    policy.waves = [.count(10), .percent(1), .percent(10), .percent(50), .percent(100)]
    policy.soakMilliseconds = 5_000
    policy.failureShare = RolloutPolicy.FailureShare(percent: 5, sample: 20)
  }

  init(labels: [String: Int]) {
    self.init()
    self.labels = labels
  }
}

/// Written by a person, so what is not known is refused.
extension Scenario {
  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    self.init()
    try Self.refuseUnknown(
      cursor,
      [
        "devices", "policy", "faults", "failing", "slow", "slowFactor", "minutesMaximum", "labels", "downloadBytes",
      ])
    try Self.read(cursor, "devices", 1...Self.devicesMaximum, &devices)
    try Self.read(cursor, "failing", 0...1_000, &failing)
    try Self.read(cursor, "slow", 0...1_000, &slow)
    try Self.read(cursor, "slowFactor", 1...1_000, &slowFactor)
    try Self.read(cursor, "minutesMaximum", 1...1_440, &minutesMaximum)
    if let value = try cursor.optional("policy") {
      try Self.refuseUnknown(
        value,
        [
          "waves", "soakMilliseconds", "failuresMaximum", "failureShare", "causeBudgets", "concurrencyMaximum",
          "disruption", "bytesPerSecond", "deviceTimeoutSeconds", "silenceSeconds", "onFailure",
        ])
      policy = try RolloutPolicy(value)
      for (key, seconds) in [
        ("deviceTimeoutSeconds", policy.deviceTimeoutSeconds), ("silenceSeconds", policy.silenceSeconds),
      ] {
        guard let timeout = try value.optional(key), seconds < 600 else { continue }
        throw timeout.fail("a rehearsal needs at least 600 s, since its clocks jump")
      }
    }
    if let value = try cursor.optional("labels") {
      for key in try value.object().keys.sorted() {
        var shared = 1
        try Self.read(value, key, 1...Self.devicesMaximum, &shared)
        labels[key] = shared
      }
    }
    if let value = try cursor.optional("downloadBytes") { downloadBytes = try value.size() }
    if let value = try cursor.optional("faults") { try faults.read(value) }
  }

  fileprivate static func refuseUnknown(_ cursor: JSONCursor, _ known: Set<String>) throws(JSONShapeError) {
    guard let key = try cursor.object().keys.filter({ !known.contains($0) }).min() else { return }
    throw cursor.fail("\"\(key.prefix(40))\" is not known here; known are \(known.sorted().joined(separator: ", "))")
  }

  fileprivate static func read(
    _ cursor: JSONCursor, _ key: String, _ range: ClosedRange<Int>, _ value: inout Int
  ) throws(JSONShapeError) {
    guard let found = try cursor.optional(key) else { return }
    let number = try found.int()
    guard range.contains(number) else {
      throw found.fail("\(number) is not between \(range.lowerBound) and \(range.upperBound)")
    }
    value = number
  }
}

extension FaultRates {
  /// What a fleet of thousands sees on an ordinary day.
  package static let ordinary: FaultRates = {
    var rates = FaultRates.none
    rates.agentCrash = 1
    rates.messageLost = 10
    rates.messageDuplicated = 10
    rates.messageLate = 10
    rates.fetchFails = 10
    rates.launchFails = 1
    rates.bigFaultPauseMilliseconds = 50
    rates.serviceFaultPauseMilliseconds = 30_000
    rates.clockJumpMilliseconds = 60_000
    return rates
  }()

  private static let keys: [(name: String, path: WritableKeyPath<FaultRates, Int> & Sendable, maximum: Int)] = [
    ("agentCrash", \.agentCrash, 200), ("messageLost", \.messageLost, 500),
    ("messageDuplicated", \.messageDuplicated, 500), ("messageLate", \.messageLate, 500),
    ("oldDesiredReplayed", \.oldDesiredReplayed, 500), ("fetchFails", \.fetchFails, 500),
    ("launchFails", \.launchFails, 500), ("messageDelayMilliseconds", \.messageDelayMilliseconds, 60_000),
    ("deviceFaultPauseMilliseconds", \.bigFaultPauseMilliseconds, 3_600_000),
    ("serviceFaultPauseMilliseconds", \.serviceFaultPauseMilliseconds, 3_600_000),
    ("clockJumpMilliseconds", \.clockJumpMilliseconds, 300_000),
  ]

  fileprivate mutating func read(_ cursor: JSONCursor) throws(JSONShapeError) {
    try Scenario.refuseUnknown(cursor, Set(Self.keys.map(\.name)))
    for key in Self.keys {
      let least = key.name == "messageDelayMilliseconds" ? 1 : 0
      try Scenario.read(cursor, key.name, least...key.maximum, &self[keyPath: key.path])
    }
  }
}
