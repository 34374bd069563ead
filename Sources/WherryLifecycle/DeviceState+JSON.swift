import WherryJSON
import WherryModel
import WherryWire

/// The journal's form of the state. Written by one agent and read by the next, which may be another version: unknown
/// members are ignored, missing ones have defaults, and an unknown phase is refused.
extension DeviceState: WireValue {
  package var json: JSON {
    .members([
      ("v", .integer(1)),
      ("generation", generation.edition),
      ("nextSequence", .integer(nextSequence)),
      ("bootID", .string(bootID)),
      ("clock", .integer(clock.milliseconds)),
      ("current", current?.json),
      ("previous", previous?.json),
      ("aim", aim?.json),
      ("deployment", deployment?.json),
      ("conclusion", conclusion?.json),
      ("localConclusions", localConclusions.isEmpty ? nil : .array(localConclusions.map(\.json))),
      ("snapshots", .array(snapshots.keys.sorted().compactMap { key in snapshots[key]?.json(of: key) })),
      ("components", .named(components) { $0.json }),
      (
        "orphans",
        .object(
          Dictionary(
            orphans.map { ($0.key.description, .integer($0.value.milliseconds)) }, uniquingKeysWith: { $1 }))
      ),
      ("leaving", .strings(leaving.map(\.rawValue).sorted())),
      ("forgotten", .strings(forgotten.map(\.rawValue).sorted())),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    self.init()
    try cursor.requireVersion("the device's state")
    generation = try cursor.require("generation").edition()
    nextSequence = try cursor.require("nextSequence").integer()
    bootID = try cursor.optional("bootID")?.string() ?? ""
    clock = try cursor.optional("clock")?.instant() ?? .zero
    if let cursor = try cursor.optional("current") { current = try PlanReference(cursor) }
    if let cursor = try cursor.optional("previous") { previous = try PlanReference(cursor) }
    if let cursor = try cursor.optional("aim") { aim = try PlanReference(cursor) }
    if let cursor = try cursor.optional("deployment") { deployment = try DeploymentProgress(cursor) }
    if let cursor = try cursor.optional("conclusion") { conclusion = try DeploymentConclusion(cursor) }
    localConclusions =
      try cursor.optional("localConclusions")?.list { (element) throws(JSONShapeError) in
        try DeploymentConclusion(element)
      } ?? []
    for cursor in try cursor.optional("snapshots")?.array() ?? [] {
      snapshots[try cursor.require("generation").edition()] = try Snapshot(cursor)
    }
    if let cursor = try cursor.optional("components") {
      for (key, element) in try cursor.object() {
        guard let name = try? ComponentName(validating: key) else { throw element.fail("not a component name") }
        components[name] = try ComponentMachine(name: name, element)
      }
    }
    if let cursor = try cursor.optional("orphans") {
      for (key, element) in try cursor.object() {
        guard let id = WorkloadID(key) else { throw element.fail("not a workload") }
        orphans[id] = try element.instant()
      }
    }
    leaving = try Self.names(cursor.optional("leaving"))
    forgotten = try Self.names(cursor.optional("forgotten"))
    try checkReferences(cursor)
  }

  private static func names(_ cursor: JSONCursor?) throws(JSONShapeError) -> Set<ComponentName> {
    guard let cursor else { return [] }
    return Set(try cursor.list { (element) throws(JSONShapeError) in try element.name(ComponentName.self) })
  }

  /// What the machine relies on: whatever is referred to has a snapshot.
  private func checkReferences(_ cursor: JSONCursor) throws(JSONShapeError) {
    for generation in [current?.generation, aim?.generation] + components.values.map({ $0.generation }) {
      guard let generation, snapshots[generation] == nil else { continue }
      throw cursor.fail("generation \(generation) is referred to but has no snapshot")
    }
  }
}

extension PlanReference: WireValue {
  package var json: JSON {
    .object(["generation": generation.edition, "digest": .string(digest.description)])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    self.init(
      generation: try cursor.require("generation").edition(), digest: try cursor.require("digest").digest())
  }
}

extension DeviceState.Snapshot {
  func json(of generation: Generation) -> JSON {
    .object([
      "generation": generation.edition,
      "digest": .string(digest.description),
      "configurations": .named(configurations) { $0 },
    ])
  }

  init(_ cursor: JSONCursor) throws(JSONShapeError) {
    digest = try cursor.require("digest").digest()
    configurations = try cursor.require("configurations").named { (element) throws(JSONShapeError) in element.json }
  }
}
