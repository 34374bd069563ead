import WherryModel

/// What a device runs that has a local deployment: all that the service orders, and beside it what the local set leads
/// to. Neither takes from the other; where both want a component, the service's version has to suit both.
package enum LocalUnion {
  /// - Parameters:
  ///   - service: the service's plan; nil = it has never ordered anything.
  ///   - digest: of that plan.
  ///   - policy: how the change is applied; nil = as the service's plan says.
  package static func compose(
    service: Plan?, digest: Digest?, local: LocalSet, policy: ApplyPolicy? = nil
  ) throws(PlanningFailure) -> Plan {
    // Nothing local is left: the service's plan is the device's again, with its own digest.
    if local.isEmpty, let service { return service }
    var chosen: [ComponentName: PlannedComponent] = [:]
    for component in service?.components ?? [] { chosen[component.name] = component }
    let ordered = chosen
    var conflicts: [String] = []
    var wishes: [Wish] = local.roots.keys.sorted().map { name in
      Wish(component: name, requirement: local.roots[name], source: "a local deployment")
    }
    while let wish = wishes.popLast() {
      if let component = ordered[wish.component] {
        if let requirement = wish.requirement, !requirement.contains(component.version) {
          conflicts.append("the service orders \(component.name) \(component.version), but \(wish.sentence)")
        }
      } else if let found = local.components[wish.component],
        wish.requirement?.contains(found.planned.version) ?? true
      {
        guard chosen.updateValue(found.planned, forKey: wish.component) == nil else { continue }
        for (name, kind) in found.planned.dependencies {
          wishes.append(
            Wish(
              component: name, requirement: found.requirements[name],
              source: "\(wish.component) \(found.planned.version) (local)", verb: kind == .hard ? "needs" : "asks for"))
        }
      } else {
        conflicts.append("\(wish.sentence), which is not in the local set")
      }
    }
    guard conflicts.isEmpty else {
      throw .resolution(ResolutionFailure(lines: conflicts.sorted() + [remedy]))
    }
    return try plan(chosen, service, digest, local, policy)
  }

  /// The last line of a conflict.
  package static let remedy =
    "order a version that suits both, or take the local one back on the device with "
    + "`wherry-agent deploy --remove NAME`"

  private struct Wish {
    var component: ComponentName
    /// nil = any version.
    var requirement: VersionRequirement?
    var source: String
    var verb = "wants"
    var sentence: String {
      let version = requirement.map { " \($0)" } ?? ""
      return "\(source) \(verb) \(component)\(version)"
    }
  }

  private static func plan(
    _ chosen: [ComponentName: PlannedComponent], _ service: Plan?, _ digest: Digest?, _ local: LocalSet,
    _ policy: ApplyPolicy?
  ) throws(PlanningFailure) -> Plan {
    var components = chosen
    for (name, update) in local.configurations { components[name]?.configuration.add(update) }
    guard let order = DependencyOrder.sorted(components.mapValues { Set($0.dependencies.keys) }) else {
      throw .impossible(
        "what is deployed locally and what the service orders depend on each other in a circle; remove one of the "
          + "dependencies")
    }
    let list = order.compactMap { components[$0] }
    try PlanComposer.checkPorts(list)
    var plan = Plan(
      deployments: service?.deployments ?? [], components: list,
      policy: policy ?? service?.policy ?? ApplyPolicy())
    plan.local = local
    plan.ordered = digest
    plan.localNames = Set(chosen.keys).subtracting(service?.components.map(\.name) ?? [])
    return plan
  }
}

extension ConfigurationUpdate {
  /// One more on top of it. Its RESET also takes back what this one merges.
  package mutating func add(_ update: ConfigurationUpdate) {
    for pointer in update.reset {
      if let merge { self.merge = ConfigurationMerge.removing(pointer, from: merge) }
      if !reset.contains(pointer) { reset.append(pointer) }
    }
    guard let more = update.merge else { return }
    merge = merge.map { ConfigurationMerge.merging(more, into: $0) } ?? more
  }
}
