import WherryJSON
import WherryModel

/// What a device would have to do to come from one plan to another. Of two plans that a device gets one after the other
/// the agent decides the same way: by what a component would see.
package struct PlanDifference: Hashable, Sendable {
  /// By name; what stays as it is included.
  package let changes: [ComponentChange]
  /// What is not there yet, compressed. Content that both plans name counts as there.
  package let bytesToDownload: Int64

  /// - Parameters:
  ///   - current: what the device runs; nil = nothing.
  ///   - definition: how a component is told apart from another: its JSON without the configuration.
  package init(from current: Plan?, to next: Plan, definition: (PlannedComponent) -> JSON) {
    let old = Dictionary((current?.components ?? []).map { ($0.name, $0) }, uniquingKeysWith: { $1 })
    let new = Dictionary(next.components.map { ($0.name, $0) }, uniquingKeysWith: { $1 })
    changes = Set(old.keys).union(new.keys).sorted().map { name in
      let (before, after) = (old[name], new[name])
      return ComponentChange(
        component: name, kind: Self.kind(before, after, definition), from: before?.version, to: after?.version)
    }
    let there = current?.blobs ?? []
    var sizes: [Digest: Int64] = [:]
    for component in next.components {
      for artifact in component.artifacts { sizes[artifact.digest] = artifact.size }
      for layer in component.allImages.flatMap(\.layers) { sizes[layer.digest] = layer.size }
    }
    bytesToDownload = sizes.filter { !there.contains($0.key) }.values.reduce(0, +)
  }

  private static func kind(
    _ before: PlannedComponent?, _ after: PlannedComponent?, _ definition: (PlannedComponent) -> JSON
  ) -> ComponentChange.Kind {
    guard let before else { return .added }
    guard let after else { return .removed }
    if before.version != after.version { return .changed }
    if definition(before) != definition(after) { return .rebuilt }
    return before.configuration == after.configuration ? .unchanged : .reconfigured
  }
}
