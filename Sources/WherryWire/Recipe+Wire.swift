import WherryJSON
import WherryModel

/// Canonical JSON of a recipe: its digest is computed over this text.
extension Recipe: WireValue {
  package static let formatVersion = "2020-01-25"

  package var json: JSON {
    .members([
      ("recipeFormatVersion", .string(Self.formatVersion)), ("name", .string(name.rawValue)),
      ("version", .string(version.description)), ("type", .string(type)),
      ("summary", summary.nonEmpty.map(JSON.string)), ("publisher", publisher.nonEmpty.map(JSON.string)),
      ("defaultConfiguration", defaultConfiguration),
      (
        "dependencies",
        dependencies.nonEmpty.map {
          .named($0) { ["requirement": .string($0.requirement.text), "kind": .string($0.kind.rawValue)] }
        }
      ),
      ("manifests", .array(manifests.map(\.json))), ("lifecycle", lifecycle.isEmpty ? nil : lifecycle.json),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    let format = try cursor.require("recipeFormatVersion")
    guard try format.string() == Self.formatVersion else {
      throw format.fail("recipe format \(format.json) is not known here, only \(Self.formatVersion)")
    }
    self.init(name: try cursor.require("name").name(), version: try cursor.require("version").version())
    if let type = try cursor.optional("type")?.string() { self.type = type }
    summary = try cursor.optional("summary")?.string() ?? ""
    publisher = try cursor.optional("publisher")?.string() ?? ""
    defaultConfiguration = try cursor.optional("defaultConfiguration")?.json ?? .object([:])
    dependencies =
      try cursor.optional("dependencies")?.named { (element) throws(JSONShapeError) in
        Dependency(
          requirement: try element.require("requirement").requirement(), kind: try element.require("kind").word())
      } ?? [:]
    manifests = try cursor.require("manifests").list { (element) throws(JSONShapeError) in try Manifest(element) }
    if let lifecycle = try cursor.optional("lifecycle") { self.lifecycle = try Lifecycle(lifecycle) }
  }
}

extension Manifest: WireValue {
  package var json: JSON {
    .members([
      ("name", name.nonEmpty.map(JSON.string)), ("platform", platform.nonEmpty.map(JSON.map)),
      ("lifecycle", lifecycle.isEmpty ? nil : lifecycle.json), ("selections", selections.nonEmpty.map(JSON.strings)),
      ("artifacts", artifacts.nonEmpty.map { .array($0.map(\.json)) }),
      ("resources", resources == Resources() ? nil : resources.json), ("container", container?.json),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    self.init()
    name = try cursor.optional("name")?.string() ?? ""
    platform = try cursor.optional("platform")?.stringMap() ?? [:]
    if let lifecycle = try cursor.optional("lifecycle") { self.lifecycle = try Lifecycle(lifecycle) }
    selections = try cursor.optional("selections")?.strings() ?? []
    artifacts =
      try cursor.optional("artifacts")?.list { (element) throws(JSONShapeError) in try Artifact(element) } ?? []
    if let resources = try cursor.optional("resources") { self.resources = try Resources(resources) }
    if let container = try cursor.optional("container") { self.container = try ContainerSpec(container) }
  }
}

extension Lifecycle: WireValue {
  package var json: JSON {
    .members([
      ("setenv", setenv.nonEmpty.map(JSON.map)),
      (
        "steps",
        .object(Dictionary(steps.map { ($0.key.rawValue, $0.value.json) }, uniquingKeysWith: { $1 }))
      ),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    self.init()
    setenv = try cursor.optional("setenv")?.stringMap() ?? [:]
    for (key, element) in try cursor.require("steps").object() {
      guard let step = LifecycleStep(rawValue: key) else { throw element.fail("\"\(key)\" is no lifecycle step") }
      steps[step] = try Step(element)
    }
  }
}

extension Step: WireValue {
  package var json: JSON {
    .members([
      ("script", .string(script)), ("requiresPrivilege", requiresPrivilege ? true : nil),
      ("requiresPrivilegeVariable", requiresPrivilegeVariable.map(JSON.string)),
      ("setenv", setenv.nonEmpty.map(JSON.map)), ("skipIf", skipIf?.json),
      ("timeoutSeconds", timeoutSeconds.map(JSON.int)), ("timeoutVariable", timeoutVariable.map(JSON.string)),
      ("bootstrapOnRollback", bootstrapOnRollback ? true : nil),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    self.init(script: try cursor.require("script").string())
    requiresPrivilege = try cursor.optional("requiresPrivilege")?.bool() ?? false
    requiresPrivilegeVariable = try cursor.optional("requiresPrivilegeVariable")?.string()
    setenv = try cursor.optional("setenv")?.stringMap() ?? [:]
    if let skipIf = try cursor.optional("skipIf") { self.skipIf = try SkipCondition(skipIf) }
    if let timeout = try cursor.optional("timeoutSeconds") {
      let seconds = try timeout.int()
      guard (0...Step.timeoutSecondsMaximum).contains(seconds) else {
        throw timeout.fail("\(seconds) is not between 0 and \(Step.timeoutSecondsMaximum) seconds")
      }
      timeoutSeconds = seconds
    }
    timeoutVariable = try cursor.optional("timeoutVariable")?.string()
    bootstrapOnRollback = try cursor.optional("bootstrapOnRollback")?.bool() ?? false
  }
}

extension SkipCondition: WireValue {
  package var json: JSON {
    switch test {
    case .onPath(let name): .members([("onPath", .string(name)), ("not", isNegated ? true : nil)])
    case .exists(let path): .members([("exists", .string(path)), ("not", isNegated ? true : nil)])
    }
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    let isNegated = try cursor.optional("not")?.bool() ?? false
    if let name = try cursor.optional("onPath")?.string() {
      self.init(test: .onPath(name), isNegated: isNegated)
    } else {
      self.init(test: .exists(try cursor.require("exists").string()), isNegated: isNegated)
    }
  }
}

extension Artifact: WireValue {
  package var json: JSON {
    .members([
      ("uri", .string(uri)), ("digest", (digest?.description).map(JSON.string)), ("size", size.map(JSON.integer)),
      ("unarchive", unarchive == .none ? nil : .string(unarchive.rawValue)),
      ("read", read == .owner ? nil : .string(read.rawValue)),
      ("execute", execute == .none ? nil : .string(execute.rawValue)),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    self.init(uri: try cursor.require("uri").string())
    digest = try cursor.optional("digest")?.digest()
    size = try cursor.optional("size")?.size()
    if let value = try cursor.optional("unarchive") { unarchive = try value.word() }
    if let value = try cursor.optional("read") { read = try value.word() }
    if let value = try cursor.optional("execute") { execute = try value.word() }
  }
}
