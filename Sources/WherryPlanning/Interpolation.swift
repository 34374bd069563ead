import WherryJSON
import WherryModel

/// What the variables of one component's recipe stand for.
package struct InterpolationContext: Hashable, Sendable {
  /// Where one component's things lie on the device, and its configuration.
  package struct Scope: Hashable, Sendable {
    package var artifactsPath: String
    package var decompressedPath: String
    package var workPath: String
    package var configuration: JSON
    package init(artifactsPath: String, decompressedPath: String, workPath: String, configuration: JSON) {
      self.artifactsPath = artifactsPath
      self.decompressedPath = decompressedPath
      self.workPath = workPath
      self.configuration = configuration
    }
  }

  package var thingName: String
  package var rootPath: String
  /// The component itself and the dependencies that it declares; no other can be named.
  package var components: [ComponentName: Scope]
  package var own: ComponentName
  package init(thingName: String, rootPath: String, components: [ComponentName: Scope], own: ComponentName) {
    self.thingName = thingName
    self.rootPath = rootPath
    self.components = components
    self.own = own
  }
}

/// Greengrass's recipe variables: `{artifacts:path}`, `{configuration:/pointer}`, `{other.component:work:path}`, ….
package enum Interpolation {
  /// A value is put in byte for byte and is not looked through again. What is no variable (`${NAME:-x}`) stays as it
  /// is; a variable without a value stays too and is named in `missing`, in order and once each.
  package static func expand(_ text: String, in context: InterpolationContext) -> (text: String, missing: [String]) {
    let bytes = Array(text.utf8)
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count)
    var missing: [String] = []
    var index = 0
    while index < bytes.count {
      guard bytes[index] == UInt8(ascii: "{"), let end = closing(bytes, after: index) else {
        result.append(bytes[index])
        index += 1
        continue
      }
      let inner = String(decoding: bytes[(index + 1)..<end], as: UTF8.self)
      switch value(of: inner, in: context) {
      case .found(let value): result.append(contentsOf: value.utf8)
      case .missing:
        result.append(contentsOf: bytes[index...end])
        let variable = "{\(inner)}"
        if !missing.contains(variable) { missing.append(variable) }
      case .notAVariable: result.append(contentsOf: bytes[index...end])
      }
      index = end + 1
    }
    return (String(decoding: result, as: UTF8.self), missing)
  }

  private enum Value {
    case found(String)
    case missing
    case notAVariable
  }

  /// The brace that closes the one at `start`, with no other brace and no line's end between them.
  private static func closing(_ bytes: [UInt8], after start: Int) -> Int? {
    var index = start + 1
    while index < bytes.count {
      switch bytes[index] {
      case UInt8(ascii: "}"): return index
      case UInt8(ascii: "{"), UInt8(ascii: "\n"): return nil
      default: index += 1
      }
    }
    return nil
  }

  private static func value(of inner: String, in context: InterpolationContext) -> Value {
    if let value = ownValue(of: inner, in: context) { return value }
    // `other.component:namespace:key`
    guard let colon = inner.firstIndex(of: ":") else { return .notAVariable }
    let rest = inner[inner.index(after: colon)...]
    guard let name = try? ComponentName(validating: String(inner[..<colon])), isScopeVariable(rest) else {
      return .notAVariable
    }
    guard let scope = context.components[name] else { return .missing }
    return scopeValue(of: rest, in: scope)
  }

  private static func ownValue(of inner: String, in context: InterpolationContext) -> Value? {
    if inner == "kernel:rootPath" { return .found(context.rootPath) }
    if inner == "iot:thingName" { return .found(context.thingName) }
    guard isScopeVariable(inner[...]) else { return nil }
    return context.components[context.own].map { scopeValue(of: inner[...], in: $0) } ?? .missing
  }

  private static let configurationPrefix = "configuration:"
  private static let pathVariables = ["artifacts:path", "artifacts:decompressedPath", "work:path"]

  private static func isScopeVariable(_ text: Substring) -> Bool {
    if pathVariables.contains(String(text)) { return true }
    guard text.hasPrefix(configurationPrefix) else { return false }
    let pointer = text.dropFirst(configurationPrefix.count)
    return pointer.isEmpty || pointer.hasPrefix("/")
  }

  private static func scopeValue(of text: Substring, in scope: InterpolationContext.Scope) -> Value {
    switch text {
    case "artifacts:path": return .found(scope.artifactsPath)
    case "artifacts:decompressedPath": return .found(scope.decompressedPath)
    case "work:path": return .found(scope.workPath)
    default:
      let pointer = String(text.dropFirst(configurationPrefix.count))
      guard let value = scope.configuration.value(at: pointer) else { return .missing }
      // Text as it is; everything else as JSON, as Greengrass does.
      return .found(value.stringValue ?? value.canonical)
    }
  }
}

extension Interpolation {
  /// A configuration whose texts are expanded, as deep as they lie; keys stay. What is put in is not looked through
  /// again, so a value that names itself comes to an end.
  package static func expandValues(_ value: JSON, in context: InterpolationContext) -> JSON {
    switch value {
    case .string(let text): .string(expand(text, in: context).text)
    case .array(let elements): .array(elements.map { expandValues($0, in: context) })
    case .object(let members): .object(members.mapValues { expandValues($0, in: context) })
    case .null, .bool, .integer, .number: value
    }
  }

  /// A step with its script, environment and variable settings filled in. A setting whose variable has no usable value
  /// keeps its safe default (no privilege, the step's own timeout) and is named in `missing`.
  package static func resolve(_ step: Step, in context: InterpolationContext) -> (step: Step, missing: [String]) {
    var result = step
    var missing: [String] = []
    func expanded(_ text: String) -> String {
      let (value, absent) = expand(text, in: context)
      missing += absent.filter { !missing.contains($0) }
      return value
    }
    result.script = expanded(step.script)
    for (name, value) in step.setenv.sorted(by: { $0.key < $1.key }) { result.setenv[name] = expanded(value) }
    switch step.skipIf?.test {
    case .onPath(let name): result.skipIf?.test = .onPath(expanded(name))
    case .exists(let path): result.skipIf?.test = .exists(expanded(path))
    case nil: break
    }
    if let variable = step.requiresPrivilegeVariable {
      switch expanded(variable).lowercased() {
      case "true": result.requiresPrivilege = true
      case "false": result.requiresPrivilege = false
      default: if !missing.contains(variable) { missing.append(variable) }
      }
      result.requiresPrivilegeVariable = nil
    }
    if let variable = step.timeoutVariable {
      if let seconds = Int(expanded(variable)), (1...Step.timeoutSecondsMaximum).contains(seconds) {
        result.timeoutSeconds = seconds
      } else if !missing.contains(variable) {
        missing.append(variable)
      }
      result.timeoutVariable = nil
    }
    return (result, missing)
  }
}
