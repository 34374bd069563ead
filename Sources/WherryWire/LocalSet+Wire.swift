import WherryJSON
import WherryModel

extension LocalSet: WireValue {
  package var json: JSON {
    [
      "roots": .named(roots) { .string($0.text) }, "components": .named(components, \.json),
      "configurations": .named(configurations, \.json),
    ]
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    self.init()
    roots = try cursor.require("roots").requirements()
    components = try cursor.require("components").named { (element) throws(JSONShapeError) in
      try LocalComponent(element)
    }
    for (name, component) in components where component.planned.name != name {
      throw cursor.fail("\(component.planned.name) is not \(name)")
    }
    configurations = try cursor.require("configurations").named { (element) throws(JSONShapeError) in
      try ConfigurationUpdate(element)
    }
  }
}

extension LocalComponent: WireValue {
  package var json: JSON {
    ["planned": planned.json, "requirements": .named(requirements) { .string($0.text) }]
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    self.init(
      planned: try PlannedComponent(cursor.require("planned")),
      requirements: try cursor.require("requirements").requirements())
  }
}

extension JSONCursor {
  fileprivate func requirements() throws(JSONShapeError) -> [ComponentName: VersionRequirement] {
    try named { (element) throws(JSONShapeError) in try element.requirement() }
  }

  /// A generation as a device's own journal has it: local deployments count there, too.
  package func edition() throws(JSONShapeError) -> Generation {
    guard let text = json.stringValue else { return try generation() }
    guard let generation = Generation(text), generation.isLocal else {
      throw fail("\"\(text.prefix(40))\" is not the number of a local deployment; write 7.2")
    }
    return generation
  }
}

extension Generation {
  /// What `edition` reads. Without local deployments it is what it has always been.
  package var edition: JSON { isLocal ? .string(description) : .integer(rawValue) }
}
