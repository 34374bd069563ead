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
