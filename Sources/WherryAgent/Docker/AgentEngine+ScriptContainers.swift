import Glibc
import WherryCrypto
import WherryDocker
import WherryIsolation
import WherryJSON
import WherryLifecycle
import WherryModel
import WherryWire

/// Containers that scripts started: launched, listened to, and ended with their component.
extension AgentEngine {
  func run(
    _ run: DockerRun, _ request: DockerRequest, from client: LocalClient, at door: DockerDoor
  ) throws(Failure) {
    let passed = client.takePassed()
    defer { for descriptor in passed { close(descriptor) } }
    let name = door.key.component
    guard let component = machine.state.components[name], Self.keepsContainers(component.phase) else {
      throw Failure(
        .rejected, code: "docker.stopping", message: "\(name) is stopping, so no container is started for it",
        remedy: "start containers in the steps install, startup and run", component: name)
    }
    let mine = docker.containers(of: name)
    guard mine.count < DockerAuthority.containersMaximum else {
      throw Failure(
        .rejected, code: "docker.tooMany", message: "\(name) has \(mine.count) containers already",
        remedy: "remove some with `docker rm`, or use --rm", component: name)
    }
    if let wanted = run.name, mine.contains(where: { $0.name == wanted }) {
      throw Failure(
        .rejected, code: "docker.nameTaken", message: "the name \(wanted) is taken by a container of \(name)",
        remedy: "remove that one first: `docker rm -f \(wanted)`", component: name)
    }
    guard run.isDetached || (2...3).contains(passed.count) else {
      throw Failure(
        .rejected, code: "docker.usage", message: "docker run came without streams",
        remedy: "use the wherry-docker of the agent's version", component: name)
    }
    let record = ScriptContainerRecord(
      id: Self.newID(), component: name, identity: component.identity, request: request,
      isPrivileged: door.key.isPrivileged, image: try image(run.image, of: name), createdAt: ports.clock.wall)
    let container = ScriptContainer(record, try record.run(), at: now)
    try keep(record)
    docker.containers[record.id] = container
    client.container = record.id
    container.starting = client
    if !run.isDetached { container.waiting.append(client) }
    let streams = run.isDetached ? nil : [passed.count > 2 ? passed[2] : -1, passed[0], passed[1]]
    launch(container, streams: streams)
  }

  private static func newID() -> String {
    randomBytes(6).map { byte in
      let digits = String(byte, radix: 16)
      return digits.count == 1 ? "0" + digits : digits
    }.joined()
  }

  private func directory(of record: ScriptContainerRecord) -> String {
    "\(paths.scriptContainers(record.component))/\(record.id)"
  }

  private func keep(_ record: ScriptContainerRecord) throws(Failure) {
    let directory = directory(of: record)
    try Files.makeDirectory(paths.scriptContainers(record.component), mode: 0o700)
    try Files.makeDirectory(directory, mode: 0o700)
    try Files.write(record.json.canonicalBytes, to: directory + "/container.json", mode: 0o600)
  }

  private func launch(_ container: ScriptContainer, streams: [Int32]?) {
    let record = container.record
    do throws(Failure) {
      guard let own = definition(of: record.component) else { throw unknown(record.component) }
      let dependencies = own.planned.dependencies.keys.sorted().compactMap { definition(of: $0)?.planned }
      let authority = DockerAuthority(
        paths: paths, account: account, own: own.planned, dependencies: dependencies,
        isPrivileged: record.isPrivileged)
      let wanted = try authority.container(
        container.run, image: record.image, directory: record.directory)
      let place = WorkloadComposer.ContainerPlace(
        id: record.workload, overlay: directory(of: record) + "/root", logPath: log(of: container),
        hostName: container.run.hostName ?? record.id, names: ["\(container.name).\(record.component)"])
      var spec = try composer.containerSpecification(place, own, wanted, record.image) { $0 }
      spec.isPrivileged = container.run.isPrivileged
      if !record.isPrivileged { for index in spec.mounts.indices { spec.mounts[index].isExact = true } }
      spec.pidsWanted = WorkloadComposer.processPidsDefault
      container.link = try ports.runner.launch(spec, identity: record.identity, streams: streams)
      container.machine.launched(at: now)
      tellConcessions()
      log.info("starting", ["workload": record.workload, "image": container.run.image])
    } catch {
      container.failure = error
      ended(container, 125)
    }
  }

  func readContainer(_ container: ScriptContainer) {
    for event in container.link?.readEvents() ?? [] {
      switch event {
      case .started:
        guard let client = container.starting else { continue }
        container.starting = nil
        let id = JSON.string(container.record.id)
        let isDetached = container.run.isDetached
        client.send(isDetached ? ["lines": [id]] : ["container": id], isLast: isDetached)
      case .failedToStart(_, let number, let sentence):
        container.failure = Failure(
          .start, code: "docker.startFailed", message: "docker run: \(sentence)",
          remedy: "correct the command in the recipe's script", component: container.record.component)
        ended(container, number == ENOENT ? 127 : number == EACCES || number == ENOEXEC ? 126 : 125)
      case .exited(let exit): ended(container, exit.outOfMemory ? 137 : exit.code ?? 128 + (exit.signal ?? 9))
      case .lost: ended(container, 137)
      }
    }
  }

  private func ended(_ container: ScriptContainer, _ code: Int32) {
    let record = container.record
    if container.failure == nil { log.info("ended", ["workload": record.workload, "code": "\(code)"]) }
    docker.remember(record.id, code)
    let actions = container.machine.ended(code, at: now)
    perform(actions, on: container)
    guard !container.machine.isAlive else { return }
    if let failure = container.failure {
      for client in Self.unique(container.waiting + [container.starting].compactMap { $0 }) {
        refuse(client, failure, code: Int(code))
      }
    } else {
      if let client = container.starting, container.run.isDetached {
        client.send(["lines": [.string(record.id)]], isLast: true)
      }
      for client in container.waiting { client.send(["exit": .integer(Int64(code))], isLast: true) }
    }
    if container.failure != nil, actions != [.remove] { perform(container.machine.remove(), on: container) }
    container.waiting = []
    container.starting = nil
    for group in container.groups { group.ended(record.id) }
    container.groups = []
    deliverHeldEnds()
  }

  private static func unique(_ clients: [LocalClient]) -> [LocalClient] {
    var found: [LocalClient] = []
    for client in clients where !found.contains(where: { $0 === client }) { found.append(client) }
    return found
  }

  func perform(_ actions: [DockerContainer.Action], on container: ScriptContainer) {
    let id = container.record.workload
    for action in actions {
      switch action {
      case .launch:
        guard !ports.runner.isLeaving(id) else {
          container.machine.postpone(byMilliseconds: 100, at: now)
          continue
        }
        container.machine.launched(at: now)
        launch(container, streams: nil)
      case .signal(let name): container.link?.signal(Signal.number(name ?? "TERM") ?? SIGTERM)
      case .kill: container.link?.kill()
      case .letGo, .remove:
        container.link?.close()
        container.link = nil
        ports.runner.letGo(id)
        tidySoon()
        guard action == .remove else { continue }
        docker.containers[container.record.id] = nil
        discard([directory(of: container.record)])
      }
    }
  }

  // MARK: With their component

  /// While its component is there to be served by them.
  static func keepsContainers(_ phase: ComponentPhase) -> Bool {
    switch phase {
    case .preparing, .starting, .running, .recovering, .shuttingDown, .uninstalling, .finished: true
    case .new, .awaitingRestart, .installed, .waiting, .stopping, .uninstalled, .broken: false
    }
  }

  /// Containers whose component has gone on without them are told to end.
  func advanceContainers() {
    guard !docker.containers.isEmpty else { return }
    for container in Array(docker.containers.values) {
      let component = machine.state.components[container.record.component]
      let isKept = component.map {
        $0.identity == container.record.identity && Self.keepsContainers($0.phase)
      }
      if isKept != true { perform(container.machine.leave(at: now), on: container) }
      perform(container.machine.tick(at: now), on: container)
    }
  }

  /// Whether a step has to wait: what an earlier run of the component started is still ending.
  func waitsForContainers(_ id: WorkloadID) -> Bool {
    let mine = docker.containers(of: id.component)
    if id.step == .run || id.step == .startup {
      // It begins anew, and with nothing of the last time.
      if docker.started.contains(id.component) {
        for container in mine { perform(container.machine.leave(at: now), on: container) }
      }
    }
    let isWaiting = docker.containers(of: id.component).contains { $0.machine.isRemovalWanted }
    if !isWaiting, id.step == .run || id.step == .startup { docker.started.insert(id.component) }
    return isWaiting
  }

  /// True = the machine is told of this end later, when the component's containers have ended, too.
  func holdsBack(_ id: WorkloadID, _ status: ExitStatus) -> Bool {
    let mine = docker.containers(of: id.component)
    guard !mine.isEmpty, let phase = machine.state.components[id.component]?.phase else { return false }
    switch phase {
    case .stopping: break
    case .shuttingDown(_, isMainAlive: false) where id.step == .shutdown: break
    default: return false
    }
    for container in mine { perform(container.machine.leave(at: now), on: container) }
    guard !docker.containers(of: id.component).isEmpty else { return false }
    docker.heldEnds[id] = status
    return true
  }

  private func deliverHeldEnds() {
    for (id, status) in docker.heldEnds where docker.containers(of: id.component).isEmpty {
      docker.heldEnds[id] = nil
      tellEnd(id, status)
    }
  }

  func killContainers(of name: ComponentName) {
    for container in docker.containers(of: name) { perform(container.machine.remove(), on: container) }
  }

  /// The component leaves the device.
  func forgetContainers(of name: ComponentName) {
    killContainers(of: name)
    docker.started.remove(name)
    closeDoors(of: name)
    discard([paths.scriptContainers(name)])
  }

  // MARK: After a start

  /// The records of an earlier agent, with what the runner found of them. What was recorded and never ran is removed.
  func adoptContainers(_ runs: [AdoptedRun]) {
    var runs = Dictionary(
      runs.compactMap { run in ScriptContainerRecord.id(inWorkload: run.id).map { ($0, run) } },
      uniquingKeysWith: { first, _ in first })
    for directory in Files.names(in: paths.components).map({ "\(paths.components)/\($0)/docker" }) {
      for id in Files.names(in: directory) {
        guard let record = record(at: "\(directory)/\(id)"), record.id == id, let run = try? record.run(),
          let found = runs.removeValue(forKey: id), found.id == record.workload
        else {
          discard(["\(directory)/\(id)"])
          continue
        }
        adopt(ScriptContainer(record, run, at: now), found)
      }
    }
    for run in runs.values {
      run.link?.kill()
      run.link?.close()
      ports.runner.letGo(run.id)
    }
    docker.started = Set(
      machine.state.components.filter { Self.keepsContainers($0.value.phase) }.map(\.key))
  }

  private func adopt(_ container: ScriptContainer, _ run: AdoptedRun) {
    docker.containers[container.record.id] = container
    container.link = run.link
    if run.link != nil {
      log.info("adopted", ["workload": run.id])
    } else {
      ended(container, run.exit.map { $0.code ?? 128 + ($0.signal ?? 9) } ?? 137)
    }
  }

  private func record(at directory: String) -> ScriptContainerRecord? {
    guard let bytes = try? Files.read(directory + "/container.json", maximum: 1 << 20),
      let json = try? JSON(parsing: bytes)
    else { return nil }
    return try? ScriptContainerRecord(JSONCursor(json))
  }
}
