import WherryModel

/// Start order: a component comes after everything that it depends on; otherwise by name.
enum DependencyOrder {
  /// Nil when there is a circle.
  static func sorted(_ dependencies: [ComponentName: Set<ComponentName>]) -> [ComponentName]? {
    var waiting = dependencies.mapValues { $0.filter { dependencies[$0] != nil } }
    var order: [ComponentName] = []
    var isDone: Set<ComponentName> = []
    while !waiting.isEmpty {
      guard let next = waiting.filter({ $0.value.isSubset(of: isDone) }).keys.min() else { return nil }
      waiting[next] = nil
      isDone.insert(next)
      order.append(next)
    }
    return order
  }

  /// A circle, its first component repeated at its end.
  static func cycle(in chosen: [ComponentName: Version], catalog: Catalog) -> [ComponentName]? {
    var dependencies: [ComponentName: [ComponentName]] = [:]
    for (name, version) in chosen {
      dependencies[name] = catalog[name, version]?.dependencies.keys.filter { chosen[$0] != nil }.sorted() ?? []
    }
    var isCleared: Set<ComponentName> = []
    for start in chosen.keys.sorted() {
      var path: [ComponentName] = []
      if let cycle = walk(start, dependencies, &path, &isCleared) { return cycle }
    }
    return nil
  }

  private static func walk(
    _ name: ComponentName, _ dependencies: [ComponentName: [ComponentName]], _ path: inout [ComponentName],
    _ isCleared: inout Set<ComponentName>
  ) -> [ComponentName]? {
    if let index = path.firstIndex(of: name) { return Array(path[index...]) + [name] }
    guard !isCleared.contains(name) else { return nil }
    path.append(name)
    for next in dependencies[name] ?? [] {
      if let cycle = walk(next, dependencies, &path, &isCleared) { return cycle }
    }
    path.removeLast()
    isCleared.insert(name)
    return nil
  }
}
