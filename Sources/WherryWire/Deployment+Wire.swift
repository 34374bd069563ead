import WherryJSON
import WherryModel

extension DeploymentTarget: WireValue {
  package var json: JSON {
    switch self {
    case .group(let name): ["group": .string(name.rawValue)]
    case .device(let name): ["device": .string(name.rawValue)]
    }
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    let group = try cursor.optional("group")
    let device = try cursor.optional("device")
    switch (group, device) {
    case (let group?, nil): self = .group(try group.name())
    case (nil, let device?): self = .device(try device.name())
    case (nil, nil), (_?, _?): throw cursor.fail("name one target: either \"group\" or \"device\"")
    }
  }
}

extension DeployedComponent: WireValue {
  package var json: JSON {
    .members([("version", .string(requirement.text)), ("reset", reset.nonEmpty.map(JSON.strings)), ("merge", merge)])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    self.init(
      requirement: try cursor.require("version").requirement(), reset: try cursor.optional("reset")?.strings() ?? [],
      merge: try cursor.optional("merge")?.json)
  }
}

extension Deployment: WireValue {
  package var json: JSON {
    [
      "id": .integer(id.rawValue), "target": target.json, "components": .named(components, \.json),
      "rollout": rollout.json, "apply": apply.json,
    ]
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    let request = try DeploymentRequest(cursor)
    self.init(
      id: try cursor.require("id").deployment(), target: request.target, components: request.components,
      rollout: request.rollout, apply: request.apply)
  }
}

extension RolloutPolicy: WireValue {
  package var json: JSON {
    let sizes: [JSON] = waves.map { wave in
      switch wave {
      case .count(let count): ["count": .int(count)]
      case .percent(let percent): ["percent": .int(percent)]
      case .factor(let factor): ["factor": .int(factor)]
      }
    }
    let share: JSON? = failureShare.map { ["percent": .int($0.percent), "sample": .int($0.sample)] }
    return .members([
      ("waves", .array(sizes)), ("soakMilliseconds", .integer(soakMilliseconds)),
      ("failuresMaximum", .int(failuresMaximum)), ("failureShare", share),
      ("canary", canary.isEmpty ? nil : .map(canary)), ("concurrencyMaximum", .int(concurrencyMaximum)),
      ("deviceTimeoutSeconds", .int(deviceTimeoutSeconds)), ("onFailure", .string(onFailure.rawValue)),
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
    if let value = try cursor.optional("failureShare") {
      let percent = try value.require("percent")
      let sample = try value.require("sample")
      let share = FailureShare(percent: try percent.int(), sample: try sample.count())
      guard (0...100).contains(share.percent) else { throw percent.fail("it is not between 0 and 100 percent") }
      guard share.sample > 0 else { throw sample.fail("at least one device has to end before failures are counted") }
      failureShare = share
    }
    if let value = try cursor.optional("canary") { canary = try value.stringMap() }
    if let value = try cursor.optional("concurrencyMaximum") { concurrencyMaximum = try value.count() }
    if let value = try cursor.optional("deviceTimeoutSeconds") { deviceTimeoutSeconds = try value.count() }
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
}
