import WherryJSON
import WherryModel

extension RecipeNode {
  private static let recipeKeys = [
    "RecipeFormatVersion", "ComponentName", "ComponentVersion", "ComponentType", "ComponentDescription",
    "ComponentPublisher", "ComponentSource", "ComponentConfiguration", "ComponentDependencies", "Manifests",
    "Lifecycle",
  ]
  private static let formatVersion = "2020-01-25"

  /// Nil when name or version cannot be told; other problems leave a recipe to go on with.
  func recipe() -> Recipe? {
    let aliases = [
      "Description": "ComponentDescription", "Publisher": "ComponentPublisher",
      "Configuration": "ComponentConfiguration",
      "Dependencies": "ComponentDependencies",
    ]
    guard let fields = fields(Self.recipeKeys, aliases: aliases, of: "a recipe") else { return nil }
    readFormatVersion(fields)
    let name = fields.require("ComponentName", "add `ComponentName: com.example.name`")?.componentName()
    let version = fields.require("ComponentVersion", "add `ComponentVersion: \"1.0.0\"`")?.version()
    // A stand-in lets the rest be looked at when name or version is wrong.
    var recipe = Recipe(name: name ?? "unnamed", version: version ?? Version(0, 0, 0))
    if let type = fields["ComponentType"] { recipe.type = type.componentType() ?? recipe.type }
    recipe.summary = fields["ComponentDescription"]?.text() ?? ""
    recipe.publisher = fields["ComponentPublisher"]?.text() ?? ""
    _ = fields["ComponentSource"]?.text()
    if let node = fields["ComponentConfiguration"] { recipe.defaultConfiguration = node.defaultConfiguration() }
    if let node = fields["ComponentDependencies"] { recipe.dependencies = node.dependencies(of: name) }
    let selection = GlobalLifecycle(node: fields["Lifecycle"], manifests: fields["Manifests"])
    if let node = fields["Manifests"] { recipe.manifests = node.manifests(selection) }
    recipe.lifecycle = selection.lifecycle(selecting: ["all"])
    if recipe.manifests.isEmpty, recipe.lifecycle.isEmpty, fields["Manifests"] == nil, !problems.hasErrors {
      report(
        "the recipe has neither Manifests nor a Lifecycle, so it does nothing",
        "add `Manifests:` with a Lifecycle or a Container, or remove the component", severity: .warning)
    }
    return name == nil || version == nil ? nil : recipe
  }

  private func readFormatVersion(_ fields: RecipeFields) {
    guard let node = fields.require("RecipeFormatVersion", "add `RecipeFormatVersion: \"\(Self.formatVersion)\"`"),
      let text = node.text(), text != Self.formatVersion
    else { return }
    node.report("RecipeFormatVersion \"\(text.clipped)\" is not known", "write \"\(Self.formatVersion)\"")
  }

  private func componentName() -> ComponentName? {
    guard let text = text(), !isPlaceholder(text) else { return nil }
    do {
      return try ComponentName(validating: text)
    } catch {
      report(
        "component name \"\(text.clipped)\" is not valid",
        "use 1 to 128 letters, digits, `-`, `_` or `.`, starting with a letter or digit")
      return nil
    }
  }

  /// `{COMPONENT_NAME}`, `NEXT_PATCH`: what Greengrass's development kit replaces when it builds.
  private func isPlaceholder(_ text: String) -> Bool {
    guard text.contains("{") || text == "NEXT_PATCH" else { return false }
    report(
      "\"\(text.clipped)\" is a placeholder", "write the value in its place; the development kit does so when it builds"
    )
    return true
  }

  private func version() -> Version? {
    guard let text = text(), !isPlaceholder(text) else { return nil }
    if let version = Version(text) { return version }
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    let completed = text + String(repeating: ".0", count: max(0, 3 - parts.count))
    if Version(completed) != nil {
      report("version \"\(text.clipped)\" is not complete", "write \"\(completed)\"")
    } else {
      report(
        "version \"\(text.clipped)\" is not a semantic version",
        "write major.minor.patch, such as \"1.0.0\" or \"1.0.0-rc.1\", with numbers of at most 6 digits without "
          + "leading zeros")
    }
    return nil
  }

  private func componentType() -> String? {
    guard let text = text() else { return nil }
    if text.lowercased() == "aws.greengrass.generic" { return "aws.greengrass.generic" }
    report(
      "ComponentType \"\(text.clipped)\" cannot run here: Wherry has no Java virtual machine or Lambda runtime for it",
      "use aws.greengrass.generic, or leave ComponentType out")
    return nil
  }

  private func defaultConfiguration() -> JSON {
    guard let fields = fields(["DefaultConfiguration"], of: "ComponentConfiguration"),
      let node = fields["DefaultConfiguration"]
    else { return .object([:]) }
    guard case .mapping = node.node else {
      node.expected("a map", "write `Key: value` lines below DefaultConfiguration")
      return .object([:])
    }
    return node.json() ?? .object([:])
  }

  private func dependencies(of component: ComponentName?) -> [ComponentName: Dependency] {
    var result: [ComponentName: Dependency] = [:]
    for (_, value, keyNode) in pairs() ?? [] {
      guard let name = keyNode.componentName() else { continue }
      if name == component { keyNode.report("\(name) depends on itself", "remove this dependency") }
      guard let fields = value.fields(["VersionRequirement", "DependencyType"], of: "a dependency") else { continue }
      var dependency: Dependency?
      if let node = fields.require("VersionRequirement", "add `VersionRequirement: \"^1.0.0\"`") {
        dependency = node.requirement().map { Dependency(requirement: $0) }
      }
      if let kind = fields["DependencyType"]?.word(DependencyWord.self) {
        dependency?.kind = kind == .hard ? .hard : .soft
      }
      result[name] = dependency
    }
    return result
  }

  private enum DependencyWord: String, CaseIterable {
    case hard = "HARD"
    case soft = "SOFT"
  }

  private func requirement() -> VersionRequirement? {
    guard let text = text() else { return nil }
    if let requirement = VersionRequirement(text) { return requirement }
    report(
      "\"\(text.clipped)\" is not a version requirement",
      "write a range such as \"^1.2.0\", \">=1.0.0 <2.0.0\", \"1.x\" or \"*\"")
    return nil
  }
}
