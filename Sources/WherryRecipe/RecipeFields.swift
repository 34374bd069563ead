import WherryModel

/// The members of a map with a fixed set of keys, found in any case.
struct RecipeFields {
  let node: RecipeNode
  private let values: [String: RecipeNode]

  subscript(key: String) -> RecipeNode? {
    guard let value = values[key], !value.isNull else { return nil }
    return value
  }

  /// Present, with or without a value.
  func has(_ key: String) -> Bool { values[key] != nil }

  init(node: RecipeNode, values: [String: RecipeNode]) {
    self.node = node
    self.values = values
  }

  func require(_ key: String, _ remedy: String) -> RecipeNode? {
    if let value = self[key] { return value }
    node.report("\(key) is missing", remedy)
    return nil
  }
}

extension RecipeNode {
  /// Keys in their documented case; `aliases` are other spellings that are in use. An unknown key is an error: a
  /// misspelt `Timeout` that is silently ignored shows itself in the field.
  func fields(_ known: [String], aliases: [String: String] = [:], of what: String) -> RecipeFields? {
    guard let pairs = pairs() else { return nil }
    var canonical: [String: String] = [:]
    for key in known { canonical[key.lowercased()] = key }
    for (alias, key) in aliases { canonical[alias.lowercased()] = key }
    var values: [String: RecipeNode] = [:]
    for (key, value, keyNode) in pairs {
      guard let name = canonical[key.lowercased()] else {
        if problems.isFull { continue }
        let nearest = Spelling.nearest(to: key, among: known)
        keyNode.report(
          "unknown key \"\(key.clipped)\" in \(what)",
          nearest.map { "did you mean \($0)?" } ?? "known keys are \(known.joined(separator: ", "))")
        continue
      }
      if values[name] != nil {
        keyNode.report("the key \(name) is given twice (case does not matter)", "keep one of them")
        continue
      }
      values[name] = at(value.node, name)
    }
    return RecipeFields(node: self, values: values)
  }
}
