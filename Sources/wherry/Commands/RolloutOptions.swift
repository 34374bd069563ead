import ArgumentParser
import WherryModel

/// How a deployment spreads over its target.
struct RolloutOptions: ParsableArguments {
  @Option(help: "Cumulative size of each wave, counts, percent or a factor: 1,50%,100% or 1,x3.") var waves: String?
  @Option(help: "KEY=VALUE: devices with this label are a wave of their own before the others (repeatable).")
  var canary: [String] = []
  @Option(help: "How long a wave must stay healthy before the next opens.") var soak: String?
  @Option(help: "Failed devices that are tolerated before the rollout halts: 3, or 5% of those that have ended.")
  var maxFailures: String?
  @Option(help: "CAUSE[,CAUSE…]=N or =P%: tolerated failures for these causes, apart from the others (repeatable).")
  var budget: [String] = []
  @Option(help: "With a percentage: how many have to end before it is looked at.") var failureSample: Int?
  @Option(help: "Devices that change at the same time; 0 = the whole wave.") var concurrency: Int?
  @Option(help: "LABEL=N: no more than N devices with the same value of the label change at once (repeatable).")
  var atMost: [String] = []
  @Option(help: "LABEL=N: N devices with the same value of the label stay online and unchanged (repeatable).")
  var keepUp: [String] = []
  @Option(help: "What the devices' downloads may take of the service's network: 10MB/s.") var rate: String?
  @Option(help: "Time that a device has before it counts as failed.") var deviceTimeout: String?
  @Option(help: "Time after which an online device that said nothing counts as silent.") var silence: String?
  @Option(help: "What a halt does: pause, stop or revert.") var onFailure: String?

  func policy() throws -> RolloutPolicy {
    var policy = RolloutPolicy()
    if let waves { policy.waves = try waves.split(separator: ",").map(size) }
    for text in canary {
      let (key, value) = try parsePair(text, what: "--canary")
      policy.canary[key] = value
    }
    if let soak { policy.soakMilliseconds = Int64(try parseSeconds(soak, what: "--soak")) * 1000 }
    try readBudgets(into: &policy)
    if let concurrency { policy.concurrencyMaximum = concurrency }
    policy.disruption = try disruption()
    if let rate { policy.bytesPerSecond = try bytesPerSecond(rate) }
    if let deviceTimeout { policy.deviceTimeoutSeconds = try parseSeconds(deviceTimeout, what: "--device-timeout") }
    if let silence { policy.silenceSeconds = try parseSeconds(silence, what: "--silence") }
    if let onFailure {
      guard let action = RolloutPolicy.FailureAction(rawValue: onFailure) else {
        throw ValidationError("--on-failure \"\(onFailure)\" must be pause, stop or revert")
      }
      policy.onFailure = action
    }
    return policy
  }

  private func size(_ part: Substring) throws -> RolloutPolicy.Size {
    let isPercent = part.hasSuffix("%")
    let isFactor = part.hasPrefix("x")
    let digits = isPercent ? part.dropLast() : isFactor ? part.dropFirst() : part
    guard let number = Int(digits), number > 0, !isPercent || number <= 100, !isFactor || (2...100).contains(number)
    else {
      throw ValidationError(
        "--waves \"\(waves ?? "")\": \"\(part)\" is neither a count nor a percentage nor a factor; write 1,50%,100% "
          + "or 1,x3")
    }
    return isPercent ? .percent(number) : isFactor ? .factor(number) : .count(number)
  }

  // MARK: - Budgets

  private static let failureSampleDefault = 20

  private enum Allowance {
    case number(Int)
    case share(RolloutPolicy.FailureShare)
  }

  private func readBudgets(into policy: inout RolloutPolicy) throws {
    var hasShare = false
    func allowance(_ text: String, _ what: String) throws -> Allowance {
      let isShare = text.hasSuffix("%")
      guard let number = Int(isShare ? text.dropLast() : text[...]), number >= 0, !isShare || number <= 100 else {
        throw ValidationError("\(what) \"\(text)\" must be a number such as 3, or a percentage such as 5%")
      }
      hasShare = hasShare || isShare
      let sample = failureSample ?? Self.failureSampleDefault
      return isShare ? .share(RolloutPolicy.FailureShare(percent: number, sample: sample)) : .number(number)
    }
    switch try maxFailures.map({ try allowance($0, "--max-failures") }) {
    case .number(let number): policy.failuresMaximum = number
    case .share(let share): policy.failureShare = share
    case nil: break
    }
    for text in budget {
      let (causes, number) = try parsePair(text, what: "--budget")
      var own = RolloutPolicy.CauseBudget(causes: try self.causes(causes))
      switch try allowance(number, "--budget \(causes)") {
      case .number(let number): own.maximum = number
      case .share(let share): own.share = share
      }
      policy.causeBudgets.append(own)
    }
    guard failureSample == nil || (hasShare && failureSample ?? 0 > 0) else {
      throw ValidationError(
        "--failure-sample is a number from 1, and goes with a percentage of --max-failures or --budget")
    }
  }

  private func causes(_ list: String) throws -> Set<FailureCause> {
    var causes: Set<FailureCause> = []
    for name in list.split(separator: ",") {
      guard let cause = FailureCause(rawValue: String(name)) else {
        let known = FailureCause.allCases.map(\.rawValue).joined(separator: ", ")
        throw ValidationError("--budget: \"\(name)\" is not one of \(known)")
      }
      causes.insert(cause)
    }
    return causes
  }

  // MARK: - Limits

  private func disruption() throws -> [RolloutPolicy.DisruptionBudget] {
    var budgets: [RolloutPolicy.DisruptionBudget] = []
    func change(_ label: String, _ body: (inout RolloutPolicy.DisruptionBudget) -> Void) {
      let index = budgets.firstIndex { $0.label == label } ?? budgets.count
      if index == budgets.count { budgets.append(RolloutPolicy.DisruptionBudget(label: label)) }
      body(&budgets[index])
    }
    for text in atMost {
      let (label, number) = try limit(text, what: "--at-most")
      change(label) { $0.changingMaximum = number }
    }
    for text in keepUp {
      let (label, number) = try limit(text, what: "--keep-up")
      change(label) { $0.upMinimum = number }
    }
    return budgets
  }

  private func limit(_ text: String, what: String) throws -> (String, Int) {
    let (label, text) = try parsePair(text, what: what)
    guard let number = Int(text), number > 0 else {
      throw ValidationError("\(what) \(label)=\(text): \"\(text)\" is not a number from 1")
    }
    return (label, number)
  }

  private func bytesPerSecond(_ text: String) throws -> Int64 {
    let size = text.hasSuffix("/s") ? String(text.dropLast(2)) : text
    guard let bytes = ByteCount.parse(size), bytes > 0 else {
      throw ValidationError("--rate \"\(text)\" is not a number of bytes a second; write 500kB/s or 10MiB/s")
    }
    return bytes
  }
}
