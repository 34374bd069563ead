import WherryModel

/// Start order: a component comes after everything that it depends on; otherwise by name.
enum DependencyOrder {
  /// Nil when there is a circle.
  static func sorted(_ dependencies: [ComponentName: Set<ComponentName>]) -> [ComponentName]? {
    var missing: [ComponentName: Int] = [:]
    var dependents: [ComponentName: [ComponentName]] = [:]
    for (name, wanted) in dependencies {
      let present = wanted.filter { dependencies[$0] != nil }
      missing[name] = present.count
      for dependency in present { dependents[dependency, default: []].append(name) }
    }
    // Last first, so that the next one is taken off the end.
    var ready = missing.filter { $0.value == 0 }.keys.sorted(by: >)
    var order: [ComponentName] = []
    while let next = ready.popLast() {
      order.append(next)
      for dependent in dependents[next] ?? [] {
        missing[dependent, default: 0] -= 1
        if missing[dependent] == 0 { ready.insert(dependent, at: place(of: dependent, in: ready)) }
      }
    }
    return order.count == dependencies.count ? order : nil
  }

  private static func place(of name: ComponentName, in descending: [ComponentName]) -> Int {
    var range = descending.indices
    while let middle = range.isEmpty ? nil : range.lowerBound + range.count / 2 {
      range = descending[middle] > name ? (middle + 1)..<range.upperBound : range.lowerBound..<middle
    }
    return range.lowerBound
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
