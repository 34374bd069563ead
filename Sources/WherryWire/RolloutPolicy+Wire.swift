import WherryJSON
import WherryModel

extension RolloutPolicy: WireValue {
  package var json: JSON {
    let sizes: [JSON] = waves.map { wave in
      switch wave {
      case .count(let count): ["count": .int(count)]
      case .percent(let percent): ["percent": .int(percent)]
      case .factor(let factor): ["factor": .int(factor)]
      }
    }
    return .members([
      ("waves", .array(sizes)), ("soakMilliseconds", .integer(soakMilliseconds)),
      ("failuresMaximum", .int(failuresMaximum)), ("failureShare", failureShare?.json),
      ("causeBudgets", causeBudgets.nonEmpty.map { .array($0.map(\.json)) }),
      ("canary", canary.isEmpty ? nil : .map(canary)), ("concurrencyMaximum", .int(concurrencyMaximum)),
      ("disruption", disruption.nonEmpty.map { .array($0.map(\.json)) }),
      ("bytesPerSecond", bytesPerSecond == 0 ? nil : .integer(bytesPerSecond)),
      ("deviceTimeoutSeconds", .int(deviceTimeoutSeconds)),
      ("silenceSeconds", silenceSeconds == 0 ? nil : .int(silenceSeconds)), ("onFailure", .string(onFailure.rawValue)),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    self.init()
    if let value = try cursor.optional("waves") {
      waves = try value.list { (element) throws(JSONShapeError) in try Self.size(element) }
      guard (1...100).contains(waves.count) else { throw value.fail("a rollout has 1 to 100 waves") }
    }
    if let value = try cursor.optional("soakMilliseconds") { soakMilliseconds = try value.size() }
    if let value = try cursor.optional("failuresMaximum") { failuresMaximum = try value.count() }
    if let value = try cursor.optional("failureShare") { failureShare = try FailureShare(value) }
    if let value = try cursor.optional("causeBudgets") { causeBudgets = try Self.causeBudgets(value) }
    if let value = try cursor.optional("canary") { canary = try value.stringMap() }
    if let value = try cursor.optional("concurrencyMaximum") { concurrencyMaximum = try value.count() }
    if let value = try cursor.optional("disruption") { disruption = try Self.disruption(value) }
    if let value = try cursor.optional("bytesPerSecond") { bytesPerSecond = try value.size() }
    if let value = try cursor.optional("deviceTimeoutSeconds") { deviceTimeoutSeconds = try value.count() }
    if let value = try cursor.optional("silenceSeconds") { silenceSeconds = try value.count() }
    if let value = try cursor.optional("onFailure") { onFailure = try value.word() }
  }

  private static func size(_ cursor: JSONCursor) throws(JSONShapeError) -> Size {
    if let count = try cursor.optional("count") {
      let value = try count.count()
      guard value > 0 else { throw count.fail("a wave has at least one device") }
      return .count(value)
    }
    if let factor = try cursor.optional("factor") {
      let value = try factor.int()
      guard (2...100).contains(value) else { throw factor.fail("\(value) is not between 2 and 100") }
      return .factor(value)
    }
    let percent = try cursor.require("percent")
    let value = try percent.int()
    guard (1...100).contains(value) else { throw percent.fail("\(value) is not between 1 and 100 percent") }
    return .percent(value)
  }

  private static func causeBudgets(_ cursor: JSONCursor) throws(JSONShapeError) -> [CauseBudget] {
    var taken: Set<FailureCause> = []
    return try cursor.list { (element) throws(JSONShapeError) in
      let budget = try CauseBudget(element)
      if let twice = budget.causes.intersection(taken).min() {
        throw try element.require("causes").fail("\(twice.rawValue) has a budget already")
      }
      taken.formUnion(budget.causes)
      return budget
    }
  }

  private static func disruption(_ cursor: JSONCursor) throws(JSONShapeError) -> [DisruptionBudget] {
    let budgets = try cursor.list { (element) throws(JSONShapeError) in try DisruptionBudget(element) }
    guard budgets.count <= 8 else { throw cursor.fail("there are \(budgets.count) labels, and 8 at most") }
    guard Set(budgets.map(\.label)).count == budgets.count else { throw cursor.fail("a label is named twice") }
    return budgets
  }
}

extension RolloutPolicy.FailureShare: WireValue {
  package var json: JSON { ["percent": .int(percent), "sample": .int(sample)] }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    let percent = try cursor.require("percent")
    let sample = try cursor.require("sample")
    self.init(percent: try percent.int(), sample: try sample.count())
    guard (0...100).contains(self.percent) else { throw percent.fail("it is not between 0 and 100 percent") }
    guard self.sample > 0 else { throw sample.fail("at least one device has to end before failures are counted") }
  }
}

extension RolloutPolicy.CauseBudget: WireValue {
  package var json: JSON {
    .members([
      ("causes", .strings(causes.map(\.rawValue).sorted())), ("maximum", share == nil ? .int(maximum) : nil),
      ("share", share?.json),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    let causes = try cursor.require("causes")
    self.init(
      causes: Set(try causes.list { (element) throws(JSONShapeError) in try element.choice(FailureCause.self) }))
    guard !self.causes.isEmpty else { throw causes.fail("it names no cause") }
    if let value = try cursor.optional("share") { share = try RolloutPolicy.FailureShare(value) }
    if let value = try cursor.optional("maximum") { maximum = try value.count() }
  }
}

extension RolloutPolicy.DisruptionBudget: WireValue {
  package var json: JSON {
    .members([
      ("label", .string(label)), ("changingMaximum", changingMaximum.map(JSON.int)),
      ("upMinimum", upMinimum == 0 ? nil : .int(upMinimum)),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    let label = try cursor.require("label")
    self.init(
      label: try label.string(), changingMaximum: try cursor.optional("changingMaximum")?.count(),
      upMinimum: try cursor.optional("upMinimum")?.count() ?? 0)
    guard !self.label.isEmpty else { throw label.fail("it names no label") }
    guard changingMaximum != nil || upMinimum > 0 else {
      throw cursor.fail("it limits nothing; say changingMaximum or upMinimum")
    }
  }
}
