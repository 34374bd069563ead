import Glibc
import WherryDocker
import WherryJSON
import WherryLifecycle
import WherryModel
import WherryWire

/// Everything of the `docker` command that the engine keeps.
struct DockerBook {
  var doors: [DockerDoor.Key: DockerDoor] = [:]
  /// By id.
  var containers: [String: ScriptContainer] = [:]
  /// How containers ended that are gone, for callers that come back after the agent was started again; the latest last.
  var exits: [(id: String, code: Int32)] = []
  /// Ends of steps that are told to the machine once the component's containers have ended, too.
  var heldEnds: [WorkloadID: ExitStatus] = [:]
  /// Components whose main step was launched.
  var started: Set<ComponentName> = []

  static let exitsMaximum = 64

  func containers(of name: ComponentName) -> [ScriptContainer] {
    containers.values.filter { $0.record.component == name }.sorted { $0.record.createdAt < $1.record.createdAt }
  }

  mutating func remember(_ id: String, _ code: Int32) {
    exits.append((id, code))
    if exits.count > Self.exitsMaximum { exits.removeFirst() }
  }
}

/// `docker`, called by scripts.
extension AgentEngine {
  func openDoor(_ key: DockerDoor.Key) throws(Failure) {
    if docker.doors[key] == nil { docker.doors[key] = try DockerDoor(key, in: paths) }
  }

  /// Of all components that may have callers waiting, after a start.
  func openDoors() {
    for name in machine.state.components.keys.sorted() {
      guard let planned = definition(of: name)?.planned, composer.docker.isFor(planned) else { continue }
      for isPrivileged in Set(planned.lifecycle.steps.values.map(\.requiresPrivilege)).sorted(by: { !$0 && $1 }) {
        do throws(Failure) { try openDoor(DockerDoor.Key(name, isPrivileged: isPrivileged)) } catch {
          log.warning("\(error)")
        }
      }
    }
  }

  func closeDoors(of name: ComponentName) {
    for isPrivileged in [false, true] {
      let key = DockerDoor.Key(name, isPrivileged: isPrivileged)
      docker.doors.removeValue(forKey: key)?.server.close()
      let directory = "\(paths.docker)/\(key.directoryName)"
      for path in ["/bin/docker", "/socket"] { unlink(directory + path) }
      for path in ["/bin", ""] { rmdir(directory + path) }
    }
  }

  func serve(_ client: LocalClient, at door: DockerDoor) {
    for request in client.readRequests() {
      if let number = request["signal"]?.integerValue {
        pass(Int32(clamping: number), from: client)
        continue
      }
      do throws(Failure) {
        let wish: DockerRequest
        do throws(JSONShapeError) { wish = try DockerRequest(request) } catch {
          throw Failure(
            .rejected, code: "docker.usage", message: "the agent cannot read what docker asks: \(error)",
            remedy: "use the wherry-docker of the agent's version")
        }
        try answer(wish, to: client, at: door)
      } catch { refuse(client, error) }
    }
    if client.isClosed { cancelFollowing(Self.dockerFollowingID(client)) }
  }

  func refuse(_ client: LocalClient, _ failure: Failure, code: Int = 125) {
    client.send(["failure": failure.json, "exit": .int(code)], isLast: true)
  }

  static func dockerFollowingID(_ client: LocalClient) -> String { "docker \(ObjectIdentifier(client).hashValue)" }

  private func pass(_ number: Int32, from client: LocalClient) {
    guard let id = client.container, let container = docker.containers[id] else { return }
    container.link?.signal(number)
  }

  private func answer(_ request: DockerRequest, to client: LocalClient, at door: DockerDoor) throws(Failure) {
    let name = door.key.component
    let command: DockerCommand
    do throws(DockerMisuse) { command = try DockerParser.parse(request.words) } catch {
      throw Failure(
        .rejected, code: "docker.usage", message: error.description,
        remedy: "correct the command in the recipe's script",
        component: name)
    }
    func say(_ lines: [String]) { client.send(["lines": .strings(lines)], isLast: true) }
    switch command {
    case .run(let run): try self.run(run, request, from: client, at: door)
    case .stop(let names, let grace):
      try each(names, of: name, client) { $0.machine.stop(graceSeconds: grace, at: self.now) }
    case .kill(let names, let signal): try each(names, of: name, client) { $0.machine.kill(signal) }
    case .remove(let names, let isForced): try remove(names, isForced, of: name, client)
    case .wait(let names): try wait(names, of: name, client)
    case .list(let list): say(self.list(list, of: name))
    case .logs(let text, let tail, let follows, _):
      let container = try find(text, of: name)
      try sendLog(
        at: log(of: container), tail: tail ?? Self.tailMaximum, follow: follows && container.machine.isAlive,
        id: Self.dockerFollowingID(client), to: client)
    case .images(let reference, let isQuiet): say(try imageLines(of: name, reference, isQuiet))
    case .pull(let reference, _): say(try pull(reference, of: name))
    case .inspect(let names): say([try inspect(names, of: name)])
    case .removeImages(let references): say(references.map { "Untagged: \($0)" })
    case .login, .version, .help: say([])
    }
  }

  func find(_ text: String, of name: ComponentName) throws(Failure) -> ScriptContainer {
    let all = docker.containers(of: name).filter { !$0.machine.isRemovalWanted || $0.machine.isAlive }
    if let found = all.first(where: { $0.name == text }) { return found }
    if text.utf8.count >= 4, let found = all.first(where: { $0.record.id.hasPrefix(text) }) { return found }
    throw Failure(
      .rejected, code: "docker.noContainer", message: "No such container: \(text.prefix(80))",
      remedy: "`docker ps -a` names those that this component started", component: name)
  }

  /// Does it to each, and answers with the names once all are as wanted.
  private func each(
    _ names: [String], of component: ComponentName, _ client: LocalClient,
    _ change: (ScriptContainer) -> [DockerContainer.Action]
  ) throws(Failure) {
    var found: [ScriptContainer] = []
    for name in names { found.append(try find(name, of: component)) }
    for container in found { perform(change(container), on: container) }
    let group = DockerWaiting(
      names, client, alive: Set(found.filter { $0.machine.isStopWanted && $0.machine.isAlive }.map(\.record.id)))
    for container in found where group.alive.contains(container.record.id) { container.groups.append(group) }
    group.answerIfDone()
  }

  private func remove(
    _ names: [String], _ isForced: Bool, of component: ComponentName, _ client: LocalClient
  ) throws(Failure) {
    var found: [ScriptContainer] = []
    for name in names {
      let container = try find(name, of: component)
      guard isForced || !container.machine.isAlive else {
        throw Failure(
          .rejected, code: "docker.running", message: "the container \(name) is running",
          remedy: "stop it first, or use `docker rm -f`", component: component)
      }
      found.append(container)
    }
    let group = DockerWaiting(names, client, alive: Set(found.filter(\.machine.isAlive).map(\.record.id)))
    for container in found {
      if group.alive.contains(container.record.id) { container.groups.append(group) }
      perform(container.machine.remove(), on: container)
    }
    group.answerIfDone()
  }

  private func wait(_ names: [String], of component: ComponentName, _ client: LocalClient) throws(Failure) {
    guard let name = names.first else { return }
    if let known = docker.exits.last(where: { $0.id == name }), docker.containers[name] == nil {
      client.send(["exit": .integer(Int64(known.code))], isLast: true)
      return
    }
    let container = try find(name, of: component)
    guard container.machine.isAlive else {
      client.send(["exit": .integer(Int64(container.machine.exitCode ?? 0))], isLast: true)
      return
    }
    client.container = container.record.id
    container.waiting.append(client)
  }
}

/// Who asked several containers to end, and is answered when all have.
final class DockerWaiting {
  private let names: [String]
  private let client: LocalClient
  var alive: Set<String>

  init(_ names: [String], _ client: LocalClient, alive: Set<String>) {
    self.names = names
    self.client = client
    self.alive = alive
  }

  func ended(_ id: String) {
    alive.remove(id)
    answerIfDone()
  }

  func answerIfDone() {
    if alive.isEmpty { client.send(["lines": .strings(names)], isLast: true) }
  }
}
