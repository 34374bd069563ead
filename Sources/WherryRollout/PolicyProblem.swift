import WherryModel

/// Why a policy cannot mean what it says, for this target.
package struct PolicyProblem: Hashable, Sendable {
  /// The policy's key that has to change: `waves/1`, `disruption/0`.
  package var place: String
  /// One sentence: what and where.
  package var message: String
  /// One sentence: how to mend it.
  package var remedy: String
}

/// What a policy is held against.
package struct PolicyContext: Sendable {
  package var target: String
  package var settleMilliseconds: Int64
  package var devices: [RolloutDevice]
  package init(target: String, settleMilliseconds: Int64, devices: [RolloutDevice]) {
    self.target = target
    self.settleMilliseconds = settleMilliseconds
    self.devices = devices
  }
}

extension RolloutPolicy {
  /// Signed orders are good for so long.
  private static let daysMaximum: Int64 = 365

  /// Everything about it that contradicts itself or starves, the first the most telling.
  package func problems(in context: PolicyContext) -> [PolicyProblem] {
    waveProblems(context) + budgetProblems(context) + timeProblems(context) + disruptionProblems(context)
  }

  private func waveProblems(_ context: PolicyContext) -> [PolicyProblem] {
    var problems: [PolicyProblem] = []
    let count = context.devices.count
    for (index, size) in waves.enumerated() {
      let place = "waves/\(index)"
      if case .count(let devices) = size, count > 0, devices > count {
        problems.append(
          PolicyProblem(
            place: place, message: "wave \(index + 1) takes \(devices) devices, and \(context.target) has \(count)",
            remedy: "let it take \(count) at most, or a percentage"))
      }
      guard index > 0, let message = waves[index - 1].leavesNothing(to: size) else { continue }
      problems.append(
        PolicyProblem(
          place: place, message: "wave \(index + 1) adds nobody: \(message)",
          remedy: "sizes are counted from the beginning and have to grow; leave it out or make it larger"))
    }
    return problems
  }

  private func budgetProblems(_ context: PolicyContext) -> [PolicyProblem] {
    var problems: [PolicyProblem] = []
    let all =
      [("failureShare", failuresMaximum, failureShare)]
      + causeBudgets.enumerated().map { ("causeBudgets/\($0.offset)", $0.element.maximum, $0.element.share) }
    for case (let place, let maximum, let share?) in all {
      if maximum > 0 {
        problems.append(
          PolicyProblem(
            place: place, message: "\(maximum) failures and \(share.percent)% are two budgets for the same failures",
            remedy: "say the one or the other"))
      }
      if share.percent == 100 {
        problems.append(
          PolicyProblem(
            place: place, message: "more than 100% of the devices can never fail, so nothing would ever halt it",
            remedy: "allow less than 100%"))
      }
      if share.percent == 0 && share.sample > 1 {
        problems.append(
          PolicyProblem(
            place: place,
            message: "0% allow no failure, and until \(share.sample) devices have ended any number is allowed",
            remedy: "write the number 0 in place of 0%"))
      }
    }
    if onFailure != .pause, failureShare == nil, !context.devices.isEmpty, failuresMaximum >= context.devices.count {
      problems.append(
        PolicyProblem(
          place: "failuresMaximum",
          message:
            "\(failuresMaximum) failures are allowed and \(context.target) has \(context.devices.count) devices, "
            + "so it would never come to \(onFailure.rawValue)",
          remedy: "allow fewer failures than there are devices"))
    }
    return problems
  }

  private func timeProblems(_ context: PolicyContext) -> [PolicyProblem] {
    var problems: [PolicyProblem] = []
    if context.settleMilliseconds >= Int64(deviceTimeoutSeconds) * 1_000 {
      problems.append(
        PolicyProblem(
          place: "deviceTimeoutSeconds",
          message: "each device watches its components for \(context.settleMilliseconds) ms before it commits, and has "
            + "\(deviceTimeoutSeconds) s for everything, so none could finish",
          remedy: "give devices more time or let them settle for less"))
    }
    if silenceSeconds > deviceTimeoutSeconds {
      problems.append(
        PolicyProblem(
          place: "silenceSeconds",
          message:
            "a device is silent after \(silenceSeconds) s, and has failed after \(deviceTimeoutSeconds) s already",
          remedy: "make the silence no longer than the device timeout"))
    }
    let yearMilliseconds = Self.daysMaximum * 86_400_000
    let (soaking, soaksTooLong) = soakMilliseconds.multipliedReportingOverflow(by: Int64(max(0, waves.count - 1)))
    if soaksTooLong || soaking > yearMilliseconds {
      problems.append(
        PolicyProblem(
          place: "soakMilliseconds",
          message:
            "the last of \(waves.count) waves would open after more than \(Self.daysMaximum) days of soaking, when "
            + "orders of the first have expired",
          remedy: "soak for less"))
    }
    let bytes = context.devices.reduce(Int64(0)) { $0.addingReportingOverflow($1.bytes).partialValue }
    if bytesPerSecond > 0, milliseconds(for: bytes) > yearMilliseconds {
      problems.append(
        PolicyProblem(
          place: "bytesPerSecond",
          message: "\(ByteCount.readable(bytes)) at \(rate) take more than "
            + "\(Self.daysMaximum) days",
          remedy: "let more leave the service"))
    }
    return problems
  }

  private func disruptionProblems(_ context: PolicyContext) -> [PolicyProblem] {
    disruption.enumerated().compactMap { index, budget -> PolicyProblem? in
      let place = "disruption/\(index)"
      if budget.changingMaximum == 0 {
        return PolicyProblem(
          place: place, message: "0 devices of each \(budget.label) may be changing, so none ever does",
          remedy: "allow 1 at least")
      }
      guard !context.devices.isEmpty else { return nil }
      var sizes: [String: Int] = [:]
      for device in context.devices {
        if device.sites.indices.contains(index), let site = device.sites[index] { sizes[site, default: 0] += 1 }
      }
      guard !sizes.isEmpty else {
        return PolicyProblem(
          place: place, message: "no device of \(context.target) has the label \(budget.label)",
          remedy: "give devices the label when they are provisioned, or leave this limit out")
      }
      let starved = sizes.filter { $0.value <= budget.upMinimum }.sorted { $0.key < $1.key }
      guard budget.upMinimum > 0, let first = starved.first else { return nil }
      let others = starved.count == 1 ? "" : "; so it is with \(starved.count - 1) more"
      return PolicyProblem(
        place: place,
        message:
          "\(budget.label)=\(first.key) has \(first.value) of \(context.target)'s devices and \(budget.upMinimum) "
          + "have to stay up, so none of them could ever change\(others)",
        remedy: "let fewer stay up, or put these in a group of their own")
    }
  }
}

extension RolloutPolicy {
  /// `bytesPerSecond` for people.
  var rate: String { bytesPerSecond < 1_024 ? "\(bytesPerSecond) B/s" : "\(ByteCount.readable(bytesPerSecond))/s" }
}

extension RolloutPolicy.Size {
  /// Why a wave of that size cannot follow this one, whatever the target; nil = it can.
  fileprivate func leavesNothing(to next: Self) -> String? {
    switch (self, next) {
    case (.percent(100), _): "the one before it is 100%, which is everyone"
    case (.factor(let factor), _): "x\(factor) goes on until everyone has a place"
    case (.count(let before), .count(let after)) where after <= before: "\(after) is no more than \(before)"
    case (.percent(let before), .percent(let after)) where after <= before: "\(after)% is no more than \(before)%"
    default: nil
    }
  }
}
