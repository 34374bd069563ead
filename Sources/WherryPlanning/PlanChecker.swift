import WherryJSON
import WherryModel

/// Looks at a plan with other eyes than the composer's. The service runs it before it signs, the device before it acts.
package enum PlanChecker {
  package static let componentsMaximum = 1_000
  package static let layersMaximum = 127
  package static let artifactsMaximum = 1_000
  package static let imagesMaximum = 100
  /// One blob: 1 TiB. All blobs of a plan stay far below what an Int64 holds.
  package static let blobBytesMaximum: Int64 = 1 << 40
  static let scriptBytesMaximum = 1 << 20
  static let configurationBytesMaximum = 1 << 20

  /// One sentence for each thing that is wrong; empty = the plan is sound.
  package static func problems(in plan: Plan) -> [String] {
    if plan.components.count > componentsMaximum {
      return ["the plan has \(plan.components.count) components, more than \(componentsMaximum)"]
    }
    var problems = Self.policy(plan) + order(plan)
    for component in plan.components { problems += Self.problems(in: component) }
    return problems + ports(plan) + blobs(plan)
  }

  private static func policy(_ plan: Plan) -> [String] {
    var problems: [String] = []
    if zip(plan.deployments, plan.deployments.dropFirst()).contains(where: { $0 >= $1 }) {
      problems.append("the plan's deployments are not in ascending order, or one is named twice")
    }
    if !(0...86_400_000).contains(plan.policy.settleMilliseconds) {
      problems.append("the settle time of \(plan.policy.settleMilliseconds) ms is not between 0 and a day")
    }
    if !(1...2_592_000).contains(plan.policy.timeoutSeconds) {
      problems.append("the apply timeout of \(plan.policy.timeoutSeconds) s is not between 1 second and 30 days")
    }
    if !(0...604_800).contains(plan.policy.updateTimeoutSeconds) {
      problems.append("the update timeout of \(plan.policy.updateTimeoutSeconds) s is not between 0 and 7 days")
    }
    return problems
  }

  private static func order(_ plan: Plan) -> [String] {
    let names = Set(plan.components.map(\.name))
    var problems: [String] = []
    var seen: Set<ComponentName> = []
    for component in plan.components {
      for dependency in component.dependencies.keys.sorted() where !seen.contains(dependency) {
        if dependency == component.name {
          problems.append("\(component.name) depends on itself")
        } else if names.contains(dependency) {
          problems.append("\(component.name) comes before its dependency \(dependency)")
        } else {
          problems.append("\(component.name) depends on \(dependency), which the plan lacks")
        }
      }
      if !seen.insert(component.name).inserted { problems.append("\(component.name) is in the plan twice") }
    }
    return problems
  }

  private static func ports(_ plan: Plan) -> [String] {
    var owners: [PortKey: ComponentName] = [:]
    var problems: [String] = []
    for component in plan.components {
      for port in component.container?.ports ?? [] {
        let key = PortKey(port: port.host, transport: port.transport)
        if let owner = owners[key] {
          let number = "\(port.host)/\(port.transport.rawValue)"
          problems.append(
            owner == component.name
              ? "\(owner) publishes port \(number) twice" : "\(owner) and \(component.name) both publish port \(number)"
          )
        }
        owners[key] = component.name
      }
    }
    return problems
  }

  private struct PortKey: Hashable {
    var port: UInt16
    var transport: PublishedPort.Transport
  }

  /// A digest names bytes, and bytes have one length.
  private static func blobs(_ plan: Plan) -> [String] {
    var sizes: [Digest: Int64] = [:]
    var problems: [String] = []
    func note(_ digest: Digest, _ size: Int64, _ name: ComponentName) {
      if let known = sizes[digest], known != size {
        problems.append("\(name): the blob \(digest) has \(size) bytes here and \(known) elsewhere in the plan")
      }
      sizes[digest] = size
    }
    for component in plan.components {
      for artifact in component.artifacts { note(artifact.digest, artifact.size, component.name) }
      for layer in component.allImages.flatMap(\.layers) { note(layer.digest, layer.size, component.name) }
    }
    return problems
  }
}
