import WherryJSON
import WherryModel

/// A plan as a reviewer wants to read it: every choice that was made, nothing else.
extension Plan {
  var text: String {
    let deployments = deployments.map(\.description).joined(separator: ", ")
    var lines = [
      "deployments \(deployments); \(policy.failureHandling.rawValue), settle \(policy.settleMilliseconds) ms, "
        + "timeout \(policy.timeoutSeconds) s"
    ]
    for component in components { lines += component.lines }
    return lines.joined(separator: "\n")
  }
}

extension PlannedComponent {
  fileprivate var lines: [String] {
    var lines = ["\(name) \(version), recipe \(recipe.hex.suffix(2))"]
    for (dependency, kind) in dependencies.sorted(by: { $0.key < $1.key }) {
      lines.append("  after \(dependency) \(kind.rawValue)")
    }
    for (name, value) in lifecycle.setenv.sorted(by: { $0.key < $1.key }) { lines.append("  env \(name)=\(value)") }
    for name in LifecycleStep.allCases {
      guard let step = lifecycle.steps[name] else { continue }
      let timeout = step.timeoutSeconds.map { " within \($0) s" } ?? ""
      lines.append("  \(name.rawValue)\(timeout): \(step.script)")
    }
    for artifact in artifacts {
      lines.append(
        "  file \(artifact.fileName) from \(artifact.source) \(artifact.digest.hex.suffix(2)), \(artifact.size) bytes, "
          + "\(artifact.unarchive.rawValue), read \(artifact.read.rawValue), execute \(artifact.execute.rawValue)")
    }
    if let container {
      lines.append("  container \(container.image) on \(container.network.rawValue)")
      for port in container.ports { lines.append("    port \(port.host):\(port.container)/\(port.transport.rawValue)") }
    }
    if let image {
      lines.append("  image \(image.registry)/\(image.repository)@\(image.manifest.hex.suffix(2))")
      for layer in image.layers { lines.append("    layer \(layer.digest.hex.suffix(2)), \(layer.size) bytes") }
    }
    lines.append("  defaults \(configuration.defaults.canonical)")
    if !configuration.reset.isEmpty { lines.append("  reset \(configuration.reset.joined(separator: " "))") }
    if let merge = configuration.merge { lines.append("  merge \(merge.canonical)") }
    return lines
  }
}
