import WherryJSON
import WherryModel
import Yams

/// A place in the document: reads a value of an expected kind or notes the problem.
struct RecipeNode {
  let node: Node
  let path: String
  let problems: ProblemCollector

  func at(_ node: Node, _ key: String) -> RecipeNode {
    let escaped =
      key.utf8.contains { $0 == UInt8(ascii: "~") || $0 == UInt8(ascii: "/") }
      ? key.split(separator: "~", omittingEmptySubsequences: false).joined(separator: "~0")
        .split(separator: "/", omittingEmptySubsequences: false).joined(separator: "~1")
      : key
    return RecipeNode(node: node, path: path + "/" + escaped, problems: problems)
  }

  func report(_ message: String, _ remedy: String, severity: RecipeProblem.Severity = .error) {
    problems.add(
      RecipeProblem(
        severity: severity, line: node.mark?.line ?? 1, column: node.mark?.column ?? 1, path: path,
        message: message, remedy: remedy))
  }

  /// `Run:` with nothing after it.
  var isNull: Bool {
    guard case .scalar(let scalar) = node else { return false }
    return isPlain(scalar) && ["", "~", "null", "Null", "NULL"].contains(scalar.string)
  }

  private func isPlain(_ scalar: Node.Scalar) -> Bool {
    scalar.style == .plain && scalar.tag.description != Tag.Name.str.rawValue
  }

  var kind: String {
    switch node {
    case .scalar: isNull ? "nothing" : "a single value"
    case .mapping: "a map"
    case .sequence: "a list"
    case .alias: "an alias"
    }
  }

  func expected(_ what: String, _ remedy: String) {
    report("expected \(what), found \(kind)", remedy)
  }

  // MARK: Single values

  /// The value's text as written: a number, a date or `true` is text where text is expected.
  func text() -> String? {
    guard case .scalar(let scalar) = node else {
      if let variable = unquotedVariable {
        report("the variable {\(variable)} is not in quotes and reads as a map", "write \"{\(variable)}\" in quotes")
      } else {
        expected("text", "write a single value; put it into quotes if it holds `{`, `[` or `: `")
      }
      return nil
    }
    guard !isNull else {
      expected("text", "write a value or remove the key")
      return nil
    }
    if scalar.string.utf8.contains(0) { report("the text holds a NUL character", "remove it") }
    return scalar.string
  }

  /// `{configuration:/x}` without quotes is a YAML map.
  private var unquotedVariable: String? {
    guard case .mapping(let mapping) = node, mapping.count == 1, let pair = mapping.first,
      case .scalar(let key) = pair.key, key.string.contains(":")
    else { return nil }
    return key.string
  }

  func bool() -> Bool? {
    guard let text = text() else { return nil }
    switch text.lowercased() {
    case "true": return true
    case "false": return false
    default:
      report("\"\(text.clipped)\" is neither true nor false", "write true or false")
      return nil
    }
  }

  func integer(_ range: ClosedRange<Int>) -> Int? {
    guard let text = text() else { return nil }
    guard let value = Int(text), range.contains(value) else {
      report(
        "\"\(text.clipped)\" is not a whole number from \(range.lowerBound) to \(range.upperBound)",
        "write such a number")
      return nil
    }
    return value
  }

  /// One of some words, in any case.
  func word<Word: RawRepresentable & CaseIterable>(_: Word.Type) -> Word? where Word.RawValue == String {
    guard let text = text() else { return nil }
    if let word = Word.allCases.first(where: { $0.rawValue.lowercased() == text.lowercased() }) { return word }
    let words = Word.allCases.map(\.rawValue)
    report(
      "\"\(text.clipped)\" is not one of \(words.joined(separator: ", "))",
      Spelling.nearest(to: text, among: words).map { "did you mean \($0)?" } ?? "write one of them")
    return nil
  }

  // MARK: Collections

  func list() -> [RecipeNode]? {
    if isNull { return [] }
    guard case .sequence(let sequence) = node else {
      expected("a list", "begin each entry with `- `")
      return nil
    }
    return sequence.enumerated().map { at($1, String($0)) }
  }

  func texts() -> [String]? {
    guard let elements = list() else { return nil }
    let texts = elements.map { $0.text() }
    return texts.contains(nil) ? nil : texts.compactMap { $0 }
  }

  /// Key and value in the order written, with keys that are texts.
  func pairs() -> [(key: String, value: RecipeNode, keyNode: RecipeNode)]? {
    if isNull { return [] }
    guard case .mapping(let mapping) = node else {
      expected("a map", "write `Key: value` lines, indented")
      return nil
    }
    var result: [(String, RecipeNode, RecipeNode)] = []
    for (key, value) in mapping {
      guard case .scalar(let scalar) = key else {
        RecipeNode(node: key, path: path, problems: problems).report(
          "a key must be text", "write a name before the colon")
        continue
      }
      let keyNode = RecipeNode(node: key, path: path + "/" + scalar.string.clipped, problems: problems)
      result.append((scalar.string, at(value, scalar.string), keyNode))
    }
    return result
  }

  /// A map of texts, as for environment variables.
  func textMap() -> [String: String]? {
    guard let pairs = pairs() else { return nil }
    var result: [String: String] = [:]
    for (key, value, keyNode) in pairs {
      if key.isEmpty || key.utf8.contains(UInt8(ascii: "=")) || key.utf8.contains(0) {
        keyNode.report("\"\(key.clipped)\" is not the name of a variable", "use letters, digits and `_`")
        continue
      }
      // An empty value is a value: `DEBUG:` sets DEBUG to nothing.
      if let text = value.isNull ? "" : value.text() { result[key] = text }
    }
    return result
  }

  // MARK: Limits

  func isWithinLimits() -> Bool {
    var nodes = 0
    return isWithinLimits(depth: 1, nodes: &nodes)
  }

  private func isWithinLimits(depth: Int, nodes: inout Int) -> Bool {
    nodes += 1
    guard depth <= RecipeReader.depthMaximum else {
      report("nested deeper than \(RecipeReader.depthMaximum) levels", "flatten the recipe")
      return false
    }
    guard nodes <= RecipeReader.nodesMaximum else {
      report("more than \(RecipeReader.nodesMaximum) values", "put data into an artifact")
      return false
    }
    switch node {
    case .scalar(let scalar): return hasKnownTag(scalar.tag)
    case .sequence(let sequence):
      for (index, element) in sequence.enumerated()
      where !at(element, String(index)).isWithinLimits(depth: depth + 1, nodes: &nodes) { return false }
      return hasKnownTag(sequence.tag)
    case .mapping(let mapping):
      for (key, value) in mapping {
        let name = key.scalar?.string.clipped ?? "?"
        guard at(key, name).isWithinLimits(depth: depth + 1, nodes: &nodes),
          at(value, name).isWithinLimits(depth: depth + 1, nodes: &nodes)
        else { return false }
      }
      return hasKnownTag(mapping.tag)
    case .alias: return true
    }
  }

  private func hasKnownTag(_ tag: Tag) -> Bool {
    let name = tag.description
    if name.isEmpty || name == "!" { return true }
    let prefix = "tag:yaml.org,2002:"
    let known = ["str", "int", "float", "bool", "null", "seq", "map", "timestamp"]
    if name.hasPrefix(prefix), known.contains(String(name.dropFirst(prefix.count))) { return true }
    report("the YAML tag \(name.clipped) has no meaning in a recipe", "remove it, or put the text into quotes")
    return false
  }
}

extension String {
  /// For sentences: somebody's kilobyte does not flood them.
  var clipped: String { utf8.count <= 80 ? self : String(prefix(60)) + "…" }
}
