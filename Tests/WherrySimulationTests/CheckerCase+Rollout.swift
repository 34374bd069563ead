import WherryModel

@testable import WherrySimulation

/// What a rollout may do.
extension CheckerCase {
  private static func began(
    _ waves: [RolloutPolicy.Size], online: [Bool], failures: Int = 0, concurrency: Int = 0,
    onFailure: RolloutPolicy.FailureAction = .pause
  ) -> Observation {
    var policy = RolloutPolicy()
    policy.waves = waves
    policy.failuresMaximum = failures
    policy.concurrencyMaximum = concurrency
    policy.onFailure = onFailure
    return .rolloutBegan(policy: policy, online: online)
  }

  private static let three = [true, true, true]

  static let waves: [CheckerCase] = halts + limits + gates + reverts + stores

  private static let halts: [CheckerCase] = [
    CheckerCase(
      "a halted rollout releases nobody until a person resumes it", WaveChecker(),
      before: [
        began([.count(1)], online: three), .rolloutReleased([0]), .rolloutHeard(device: 0, .failed), .rolloutHalted,
      ],
      legal: [.rolloutResumed, .rolloutReleased([1])], illegal: [.rolloutReleased([1])],
      says: "released while it is halted"),
    CheckerCase(
      "a rollout that stops at a failure is not resumed", WaveChecker(),
      before: [
        began([.count(1)], online: three, onFailure: .stop), .rolloutReleased([0]),
        .rolloutHeard(device: 0, .failed), .rolloutHalted,
      ],
      legal: [.rolloutResumed, began([.count(1)], online: three), .rolloutReleased([1])],
      illegal: [.rolloutResumed, .rolloutReleased([1])], says: "released while it is halted"),
    CheckerCase(
      "a spent budget releases nobody", WaveChecker(),
      before: [
        began([.count(1)], online: three), .rolloutReleased([0]), .rolloutHeard(device: 0, .rolledBack),
      ],
      legal: [.rolloutHeard(device: 0, .committed), .rolloutReleased([1])], illegal: [.rolloutReleased([1])],
      says: "after 1 failures, 0 allowed"),
    CheckerCase(
      "a budget that is not spent does not halt", WaveChecker(),
      before: [
        began([.count(1)], online: three, failures: 1), .rolloutReleased([0]), .rolloutHeard(device: 0, .failed),
      ],
      legal: [.rolloutReleased([1]), .rolloutHeard(device: 1, .failed), .rolloutHalted], illegal: [.rolloutHalted],
      says: "halts after 1 failures, 1 allowed"),
  ]

  private static let limits: [CheckerCase] = [
    CheckerCase(
      "no more change at once than allowed", WaveChecker(),
      before: [began([.percent(100)], online: three, concurrency: 2), .rolloutReleased([0, 1])],
      legal: [.rolloutHeard(device: 0, .committed), .rolloutReleased([2])], illegal: [.rolloutReleased([2])],
      says: "3 devices change at once, 2 allowed"),
    CheckerCase(
      "who is away is not released", WaveChecker(), before: [began([.percent(100)], online: [true, false])],
      legal: [.rolloutSaw(online: true, device: 1), .rolloutReleased([0, 1])], illegal: [.rolloutReleased([0, 1])],
      says: "device 1 is released while offline"),
    CheckerCase(
      "who went away is not released", WaveChecker(), before: [began([.percent(100)], online: [true, true])],
      legal: [.rolloutSaw(online: false, device: 1), .rolloutReleased([0])],
      illegal: [.rolloutSaw(online: false, device: 1), .rolloutReleased([1])],
      says: "device 1 is released while offline"),
    CheckerCase(
      "who is away is let go when the rollout completes", WaveChecker(),
      before: [
        began([.percent(100)], online: [true, false, false]), .rolloutReleased([0]),
        .rolloutHeard(device: 0, .committed),
      ],
      legal: [.rolloutCompleted, .rolloutReleased([1, 2])], illegal: [.rolloutReleased([1, 2])],
      says: "device 1 is released while offline"),
  ]

  private static let gates: [CheckerCase] = [
    CheckerCase(
      "a wave waits for the one before it", WaveChecker(),
      before: [began([.count(1)], online: three), .rolloutReleased([0])],
      legal: [.rolloutHeard(device: 0, .committed), .rolloutReleased([1, 2])], illegal: [.rolloutReleased([1, 2])],
      says: "more than 1 devices are released while 1 are under way"),
    CheckerCase(
      "a first wave is no larger than it says", WaveChecker(), before: [began([.percent(34)], online: three)],
      legal: [.rolloutReleased([0, 1])], illegal: [.rolloutReleased([0, 1, 2])],
      says: "3 more devices are released although none has committed"),
    CheckerCase(
      "without a proof one more may try", WaveChecker(),
      before: [
        began([.count(1)], online: three, failures: 1), .rolloutReleased([0]), .rolloutHeard(device: 0, .failed),
      ],
      legal: [.rolloutReleased([1])], illegal: [.rolloutReleased([1, 2])],
      says: "2 more devices are released although none has committed"),
    CheckerCase(
      "waves open one at a time", WaveChecker(),
      before: [
        began([.count(1), .count(2)], online: [true, true, true, true]), .rolloutReleased([0]),
        .rolloutHeard(device: 0, .committed),
      ],
      legal: [.rolloutReleased([1]), .rolloutHeard(device: 1, .committed), .rolloutReleased([2, 3])],
      illegal: [.rolloutReleased([1, 2])], says: "a wave of 2 devices gets 3"),
    CheckerCase(
      "who went away leaves the place to another", WaveChecker(),
      before: [began([.count(1)], online: three), .rolloutReleased([0])],
      legal: [.rolloutSaw(online: false, device: 0), .rolloutReleased([1])], illegal: [.rolloutReleased([1])],
      says: "more than 1 devices are released while 1 are under way"),
  ]

  private static let reverts: [CheckerCase] = {
    let before: [Observation] = [
      .rolloutReleased([0, 1, 2]), .rolloutHeard(device: 0, .committed), .rolloutHeard(device: 1, .rolledBack, .start),
    ]
    let wanted = [began([.percent(100)], online: three, onFailure: .revert)] + before
    let unwanted = [began([.percent(100)], online: three)] + before
    return [
      CheckerCase(
        "whoever has it or may have it goes back", WaveChecker(), before: wanted,
        legal: [.rolloutReverted([0, 2]), .rolloutHalted], illegal: [.rolloutReverted([0])],
        says: "devices [0] go back, and not [0, 2]"),
      CheckerCase(
        "who went back by itself is left alone", WaveChecker(), before: wanted, legal: [.rolloutReverted([0, 2])],
        illegal: [.rolloutReverted([0, 1, 2])], says: "devices [0, 1, 2] go back, and not [0, 2]"),
      CheckerCase(
        "nobody goes back unless the policy says so", WaveChecker(), before: unwanted, legal: [.rolloutHalted],
        illegal: [.rolloutReverted([0, 2])], says: "although nobody wanted that"),
    ]
  }()

  private static func stores(_ limit: RolloutPolicy.DisruptionBudget, online: [Bool]) -> Observation {
    var policy = RolloutPolicy()
    policy.waves = [.percent(100)]
    policy.disruption = [limit]
    return .rolloutBegan(policy: policy, online: online, sites: [["a"], ["a"], [nil]])
  }

  private static let stores: [CheckerCase] = [
    CheckerCase(
      "one of a store at a time", WaveChecker(),
      before: [stores(.init(label: "store", changingMaximum: 1), online: three)],
      legal: [.rolloutReleased([0, 2]), .rolloutHeard(device: 0, .committed), .rolloutReleased([1])],
      illegal: [.rolloutReleased([0, 1])], says: "2 devices of store=a change at once, 1 allowed"),
    CheckerCase(
      "the last of a store stays up", WaveChecker(),
      before: [stores(.init(label: "store", upMinimum: 1), online: [true, false, true])],
      legal: [.rolloutSaw(online: true, device: 1), .rolloutReleased([0])], illegal: [.rolloutReleased([0])],
      says: "0 devices of store=a stay up, not 1"),
    CheckerCase(
      "a cause has a budget of its own", WaveChecker(),
      before: {
        var policy = RolloutPolicy()
        policy.waves = [.percent(100)]
        policy.causeBudgets = [RolloutPolicy.CauseBudget(causes: [.download], maximum: 1)]
        return [
          .rolloutBegan(policy: policy, online: three), .rolloutReleased([0, 1]),
          .rolloutHeard(device: 0, .failed, .download),
        ]
      }(), legal: [.rolloutHeard(device: 1, .failed, .download), .rolloutHalted], illegal: [.rolloutHalted],
      says: "it halts after 1 failures"),
  ]
}
