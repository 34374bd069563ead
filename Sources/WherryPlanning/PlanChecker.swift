import WherryModel

/// Looks at a plan with other eyes than the composer's. The service runs it before it signs, the device before it acts.
package enum PlanChecker {
  package static let componentsMaximum = 1_000
  package static let layersMaximum = 127

  /// One sentence for each thing that is wrong; empty = the plan is sound.
  package static func problems(in plan: Plan) -> [String] {
    var problems: [String] = []
    if plan.components.count > componentsMaximum {
      problems.append("the plan has \(plan.components.count) components, more than \(componentsMaximum)")
      return problems
    }
    problems += order(plan)
    for component in plan.components { problems += Self.problems(in: component) }
    problems += ports(plan)
    return problems
  }

  private static func order(_ plan: Plan) -> [String] {
    var problems: [String] = []
    var seen: Set<ComponentName> = []
    for component in plan.components {
      for dependency in component.dependencies.keys.sorted() where !seen.contains(dependency) {
        problems.append("\(component.name) comes before its dependency \(dependency), or the plan lacks it")
      }
      if !seen.insert(component.name).inserted { problems.append("\(component.name) is in the plan twice") }
    }
    return problems
  }

  private static func problems(in component: PlannedComponent) -> [String] {
    var problems: [String] = []
    let name = component.name
    if (component.container == nil) != (component.image == nil) {
      problems.append("\(name) must have both a container and its image, or neither")
    }
    var files: Set<String> = []
    for artifact in component.artifacts {
      if artifact.size < 0 { problems.append("\(name): the artifact \(artifact.fileName) has a negative size") }
      if !isFileName(artifact.fileName) { problems.append("\(name): \"\(artifact.fileName)\" is not a file name") }
      if !files.insert(artifact.fileName).inserted {
        problems.append("\(name): two artifacts are named \(artifact.fileName)")
      }
      if artifact.source != "wherry:" && !artifact.source.hasPrefix("https://") {
        problems.append("\(name): the artifact \(artifact.fileName) has the source \(artifact.source)")
      }
    }
    if let image = component.image { problems += Self.problems(in: image, of: name) }
    return problems
  }

  private static func problems(in image: PlannedImage, of name: ComponentName) -> [String] {
    var problems: [String] = []
    if image.layers.isEmpty { problems.append("\(name): the image \(image.reference) has no layers") }
    if image.layers.count > layersMaximum {
      problems.append("\(name): the image \(image.reference) has \(image.layers.count) layers, over \(layersMaximum)")
    }
    if image.layers.contains(where: { $0.size < 0 }) {
      problems.append("\(name): a layer of \(image.reference) has a negative size")
    }
    if !image.registry.hasPrefix("https://") && !image.registry.hasPrefix("http://") {
      problems.append("\(name): \(image.registry) is not the address of a registry")
    }
    return problems
  }

  private static func ports(_ plan: Plan) -> [String] {
    var owners: [String: ComponentName] = [:]
    var problems: [String] = []
    for component in plan.components {
      for port in component.container?.ports ?? [] {
        let key = "\(port.host)/\(port.transport.rawValue)"
        if let owner = owners[key] {
          problems.append("\(owner) and \(component.name) both publish port \(key)")
        }
        owners[key] = component.name
      }
    }
    return problems
  }

  private static func isFileName(_ text: String) -> Bool {
    !text.isEmpty && text != "." && text != ".." && text.utf8.count <= 255 && !text.utf8.contains(UInt8(ascii: "/"))
      && !text.utf8.contains(0)
  }
}
