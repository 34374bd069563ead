import WherryDocker
import WherryJSON
import WherryModel

/// What `docker ps`, `images` and `inspect` say.
extension AgentEngine {
  func log(of container: ScriptContainer) -> String {
    "\(paths.scriptContainers(container.record.component))/\(container.record.id)/log"
  }

  func list(_ list: DockerList, of name: ComponentName) -> [String] {
    let found = docker.containers(of: name).reversed().filter { container in
      guard list.showsAll || !list.statuses.isEmpty || container.machine.isAlive else { return false }
      return list.names.allSatisfy { container.name.contains($0.drop { $0 == "^" || $0 == "/" }.filter { $0 != "$" }) }
        && (list.statuses.isEmpty || list.statuses.contains(word(container)))
    }
    if list.isQuiet { return found.map(\.record.id) }
    var rows = [["CONTAINER ID", "IMAGE", "COMMAND", "STATUS", "PORTS", "NAMES"]]
    for container in found {
      let ports = container.run.ports.map { "\($0.host)->\($0.container)/\($0.transport.rawValue)" }
      let command = (container.record.image.entrypoint + container.run.arguments).joined(separator: " ")
      rows.append([
        container.record.id, String(container.run.image.prefix(40)), "\"\(command.prefix(20))\"", status(container),
        ports.joined(separator: ", "), container.name,
      ])
    }
    return DockerText.table(rows)
  }

  private func word(_ container: ScriptContainer) -> String {
    switch container.machine.phase {
    case .running: "running"
    case .resting: "restarting"
    case .ended, .removed: "exited"
    }
  }

  private func status(_ container: ScriptContainer) -> String {
    switch container.machine.phase {
    case .running(let since): "Up " + DockerText.duration(milliseconds: now.milliseconds(since: since))
    case .resting: "Restarting (\(container.machine.exitCode ?? 0))"
    case .ended, .removed: "Exited (\(container.machine.exitCode ?? 0))"
    }
  }

  // MARK: Images

  /// By what the recipe calls it, with or without the tag that Docker adds.
  func image(_ reference: String, of name: ComponentName) throws(Failure) -> PlannedImage {
    let images = definition(of: name)?.planned.images ?? []
    let wanted = Self.comparable(reference)
    if let found = images.first(where: { Self.comparable($0.reference) == wanted }) { return found }
    if let found = images.first(where: { reference.utf8.count >= 12 && $0.manifest.hex.hasPrefix(reference) }) {
      return found
    }
    throw Failure(
      .rejected, code: "docker.noImage",
      message: "the image \(reference.prefix(200)) is none of \(name)'s: only what was verified runs",
      remedy:
        "add the artifact `docker:\(reference.prefix(200))` to the recipe: it is pinned, fetched and verified when "
        + "it is deployed", component: name)
  }

  private static func comparable(_ reference: String) -> String {
    var text = reference[...]
    for prefix in ["docker.io/", "index.docker.io/", "library/"] where text.hasPrefix(prefix) {
      text = text.dropFirst(prefix.count)
    }
    let last = text.split(separator: "/").last ?? ""
    return last.contains(":") || last.contains("@") ? String(text) : text + ":latest"
  }

  func pull(_ reference: String, of name: ComponentName) throws(Failure) -> [String] {
    let found = try image(reference, of: name)
    return [
      "Digest: \(found.manifest)", "Status: Image is up to date for \(reference)", reference,
    ]
  }

  func imageLines(of name: ComponentName, _ reference: String?, _ isQuiet: Bool) throws(Failure) -> [String] {
    var images = definition(of: name)?.planned.images ?? []
    if let reference {
      let wanted = reference.split(separator: "@").first.map(String.init) ?? reference
      images = images.filter { $0.reference == reference || Self.parts($0.reference).name == Self.parts(wanted).name }
    }
    if isQuiet { return images.map { String($0.manifest.hex.prefix(12)) } }
    return DockerText.table(
      [["REPOSITORY", "TAG", "IMAGE ID"]]
        + images.map { image in
          let (name, tag) = Self.parts(image.reference)
          return [name, tag, String(image.manifest.hex.prefix(12))]
        })
  }

  private static func parts(_ reference: String) -> (name: String, tag: String) {
    let plain = reference.split(separator: "@").first ?? ""
    guard let colon = plain.lastIndex(of: ":"), !plain[colon...].contains("/") else { return (String(plain), "latest") }
    return (String(plain[..<colon]), String(plain[plain.index(after: colon)...]))
  }

  // MARK: Inspect

  func inspect(_ names: [String], of component: ComponentName) throws(Failure) -> String {
    var found: [JSON] = []
    for name in names {
      if let container = try? find(name, of: component) {
        found.append(describe(container))
      } else {
        found.append(describe(try image(name, of: component)))
      }
    }
    return JSON.array(found).canonical
  }

  private func describe(_ container: ScriptContainer) -> JSON {
    [
      "Id": .string(container.record.id), "Name": .string("/" + container.name),
      "Image": .string(container.record.image.manifest.description),
      "State": [
        "Status": .string(word(container)), "Running": .bool(container.machine.isAlive),
        "ExitCode": .integer(Int64(container.machine.exitCode ?? 0)),
      ],
      "RestartCount": .int(container.machine.restarts),
      "NetworkSettings": ["IPAddress": .string(ports.runner.address(of: container.record.workload) ?? "")],
    ]
  }

  private func describe(_ image: PlannedImage) -> JSON {
    [
      "Id": .string(image.manifest.description), "RepoTags": [.string(image.reference)],
      "RepoDigests": [.string("\(Self.parts(image.reference).name)@\(image.manifest)")],
      "Config": [
        "Entrypoint": .strings(image.entrypoint), "Cmd": .strings(image.command), "Env": .strings(image.environment),
        "User": .string(image.user), "WorkingDir": .string(image.workingDirectory),
      ],
    ]
  }
}
