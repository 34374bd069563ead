import WherryJSON
import WherryModel
import Yams

/// The recipe-wide lifecycle, of which manifests may select sections (`Lifecycle: { linux: {…}, all: {…} }`, at the
/// level of the lifecycle, of a step or of `Setenv`). Sections are chosen while reading: the model has none.
struct GlobalLifecycle {
  let node: RecipeNode?
  /// What counts as a section key, lower-case.
  private let keywords: Set<String>

  init(node: RecipeNode?, manifests: RecipeNode?) {
    self.node = node
    var keywords: Set<String> = ["all", "linux", "windows", "darwin", "macos", "amd64", "arm", "aarch64", "x86"]
    // Quietly: what is wrong with them is reported where manifests are read.
    if let manifests, case .sequence(let sequence) = manifests.node {
      for case .mapping(let mapping) in sequence {
        for (key, value) in mapping where key.scalar?.string.lowercased() == "selections" {
          guard case .sequence(let selections) = value else { continue }
          keywords.formUnion(selections.compactMap { $0.scalar?.string.lowercased() })
        }
      }
    }
    keywords.subtract(LifecycleStep.allCases.map(\.rawValue))
    self.keywords = keywords
  }

  /// In the order in which sections are preferred.
  static func selectors(of manifest: Manifest) -> [String] {
    var selectors = manifest.selections.map { $0.lowercased() }
    if selectors.isEmpty {
      selectors = ["os", "architecture"].compactMap { manifest.platform[$0]?.lowercased() }
    }
    return selectors + ["all"]
  }

  func lifecycle(selecting selectors: [String]) -> Lifecycle {
    guard let node, let selected = section(of: node, selectors) else { return Lifecycle() }
    return selected.lifecycle { section(of: $0, selectors) } ?? Lifecycle()
  }

  /// The node itself where it has no sections; nil where it has, but none for these selectors.
  private func section(of node: RecipeNode, _ selectors: [String]) -> RecipeNode? {
    guard case .mapping(let mapping) = node.node else { return node }
    let sections = mapping.filter { keywords.contains($0.key.scalar?.string.lowercased() ?? "") }
    if sections.isEmpty { return node }
    for selector in selectors {
      for (key, value) in sections where key.scalar?.string.lowercased() == selector { return node.at(value, selector) }
    }
    return nil
  }
}

extension RecipeNode {
  private static let stepNames: [(key: String, step: LifecycleStep)] = [
    ("Bootstrap", .bootstrap), ("Install", .install), ("Startup", .startup), ("Run", .run), ("Shutdown", .shutdown),
    ("Recover", .recover), ("Uninstall", .uninstall),
  ]

  /// `section` chooses the part of a step or of Setenv that applies; identity in a manifest's own lifecycle.
  func lifecycle(section: (RecipeNode) -> RecipeNode? = { $0 }) -> Lifecycle? {
    guard let fields = fields(["Setenv"] + Self.stepNames.map(\.key), of: "a Lifecycle") else { return nil }
    var lifecycle = Lifecycle()
    if let node = fields["Setenv"].flatMap(section) { lifecycle.setenv = node.textMap() ?? [:] }
    for (key, name) in Self.stepNames {
      guard let node = fields[key].flatMap(section), let step = node.step(name) else { continue }
      lifecycle.steps[name] = step
    }
    if lifecycle.steps[.run] != nil, lifecycle.steps[.startup] != nil {
      report(
        "a Lifecycle cannot have both Run and Startup",
        "keep Run for a program in the foreground, or Startup for one that goes to the background")
    }
    return lifecycle
  }

  private func step(_ name: LifecycleStep) -> Step? {
    if isNull { return nil }
    if case .scalar(let scalar) = node { return scalar.string.isEmpty ? nil : text().map { Step(script: $0) } }
    var known = ["Script", "RequiresPrivilege", "Setenv", "Skipif", "Timeout"]
    if name == .bootstrap { known.append("BootstrapOnRollback") }
    guard case .mapping = node else {
      expected("a script or a map with Script", "write `Run: |` and the script below it")
      return nil
    }
    guard let fields = fields(known, of: "a step") else { return nil }
    guard let script = fields.has("Script") ? scriptText(fields) : missingScript(fields) else { return nil }
    var step = Step(script: script)
    if let node = fields["RequiresPrivilege"] {
      step.requiresPrivilegeVariable = node.variable()
      if step.requiresPrivilegeVariable == nil { step.requiresPrivilege = node.bool() ?? false }
    }
    if let node = fields["Setenv"] { step.setenv = node.textMap() ?? [:] }
    if let node = fields["Skipif"] { step.skipIf = node.skipCondition() }
    if let node = fields["Timeout"] {
      step.timeoutVariable = node.variable()
      if step.timeoutVariable == nil { step.timeoutSeconds = node.integer(1...Step.timeoutSecondsMaximum) }
    }
    step.bootstrapOnRollback = fields["BootstrapOnRollback"]?.bool() ?? false
    return step
  }

  private func scriptText(_ fields: RecipeFields) -> String? {
    // `Script:` with nothing after it does nothing, successfully, as an empty script would.
    fields["Script"].map { $0.text() } ?? ""
  }

  private func missingScript(_ fields: RecipeFields) -> String? {
    fields.node.report("the step has no Script", "add `Script:` with what it runs, or remove the step")
    return nil
  }

  /// The text when it is one variable, `{configuration:/…}`.
  private func variable() -> String? {
    guard case .scalar(let scalar) = node else { return nil }
    let text = scalar.string
    guard text.hasPrefix("{"), text.hasSuffix("}"), text.contains(":"), text.utf8.count <= 512 else { return nil }
    return text
  }

  private func skipCondition() -> SkipCondition? {
    guard let text = text() else { return nil }
    var rest = text.trimmed[...]
    let isNegated = rest.first == "!"
    if isNegated { rest = rest.dropFirst().trimmed[...] }
    let words = rest.split(maxSplits: 1, whereSeparator: { $0 == " " || $0 == "\t" })
    if words.count == 2 {
      let operand = words[1].trimmed
      switch words[0].lowercased() {
      case "onpath": return SkipCondition(test: .onPath(operand), isNegated: isNegated)
      case "exists": return SkipCondition(test: .exists(operand), isNegated: isNegated)
      default: break
      }
    }
    report(
      "\"\(text.clipped)\" is not a condition for Skipif",
      "write `onpath PROGRAM` or `exists FILE`, with `!` before it to turn it round")
    return nil
  }
}

extension StringProtocol {
  var trimmed: String {
    var rest = self[...]
    while let first = rest.first, first.isWhitespace { rest = rest.dropFirst() }
    while let last = rest.last, last.isWhitespace { rest = rest.dropLast() }
    return String(rest)
  }
}
