import Glibc
import WherryIsolation
import WherryJSON
import WherryLifecycle
import WherryModel
import WherryPlanning

/// What a workload needs beside its own definition: the definitions that it depends on.
struct ComponentDefinition {
  var planned: PlannedComponent
  var configuration: JSON
}

/// Makes a workload's specification, and the directories that it names.
struct WorkloadComposer {
  let paths: AgentPaths
  let device: DeviceName
  let account: UserAccount
  /// `environment.NAME` of agent.conf, for every process component.
  let environment: [String: String]
  let log: AgentLog
  /// Finds out who may call `docker`, and what they find by that name.
  let docker: DockerAccess

  /// More than any sensible script, few enough that a fork bomb leaves the device usable. Greengrass recipes know no
  /// limits, so memory and processors are limited only where a recipe says so.
  static let processPidsDefault = 1024
  private static let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

  /// Nil = the step's Skipif holds.
  func specification(
    _ id: WorkloadID, _ own: ComponentDefinition, dependencies: [ComponentName: ComponentDefinition],
    identity: String, settings: NucleusSettings
  ) throws(Failure) -> WorkloadSpec? {
    let context = interpolation(own, dependencies, settings)
    if let container = own.planned.container, let image = own.planned.image {
      let name = own.planned.name
      let place = ContainerPlace(
        id: id.description, overlay: "\(paths.overlays(name))/\(identity)", logPath: logPath(id),
        hostName: Self.hostName(name), names: [name.rawValue])
      try makeComponentDirectory(name)
      try Files.makeDirectory(paths.overlays(name), mode: 0o700)
      var missing: [String] = []
      defer { warn(missing, id) }
      return try containerSpecification(place, own, container, image) { text in
        let (value, absent) = Interpolation.expand(text, in: context)
        missing += absent
        return value
      }
    }
    guard let step = own.planned.lifecycle.steps[id.step] else {
      throw Failure(
        .internalError, code: "workload.noStep", message: "\(id.component) has no step \(id.step.rawValue)",
        remedy: "report it: the agent should not have asked for it",
        component: id.component)
    }
    return try processSpecification(id, own, step, dependencies, context)
  }

  private func interpolation(
    _ own: ComponentDefinition, _ dependencies: [ComponentName: ComponentDefinition], _ settings: NucleusSettings
  ) -> InterpolationContext {
    func scope(_ definition: ComponentDefinition) -> InterpolationContext.Scope {
      InterpolationContext.Scope(
        artifactsPath: paths.artifactFiles(definition.planned),
        decompressedPath: paths.artifactsUnpacked(definition.planned), workPath: paths.work(definition.planned.name),
        configuration: definition.configuration)
    }
    var scopes = dependencies.mapValues(scope)
    scopes[own.planned.name] = scope(own)
    if settings.interpolatesConfigurations {
      // Each with what its own variables stand for.
      for (name, scope) in scopes {
        let context = InterpolationContext(
          thingName: device.rawValue, rootPath: paths.root, components: [name: scope], own: name)
        scopes[name]?.configuration = Interpolation.expandValues(scope.configuration, in: context)
      }
    }
    return InterpolationContext(
      thingName: device.rawValue, rootPath: paths.root, components: scopes, own: own.planned.name)
  }

  private func warn(_ missing: [String], _ id: WorkloadID) {
    guard !missing.isEmpty else { return }
    log.warning(
      "variables without a value stay as they are",
      ["workload": id.description, "variables": missing.joined(separator: " ")])
  }

  /// Greengrass's name for the device, and Wherry's for what a script may want to know of itself.
  private func identityVariables(_ planned: PlannedComponent) -> [String: String] {
    [
      "AWS_IOT_THING_NAME": device.rawValue, "WHERRY_DEVICE": device.rawValue,
      "WHERRY_COMPONENT": planned.name.rawValue, "WHERRY_COMPONENT_VERSION": planned.version.description,
    ]
  }

  /// What Greengrass scripts look for. There is no IPC socket and no token service, so their variables are not set.
  private var greengrassVariables: [String: String] {
    var variables = ["GGC_VERSION": Self.nucleusVersion]
    if Files.exists(paths.authorityCopy) { variables["GG_ROOT_CA_PATH"] = paths.authorityCopy }
    return variables
  }

  /// The Greengrass nucleus whose recipe format and semantics these are.
  private static let nucleusVersion = "2.16.0"

  private static func list(_ variables: [String: String]) -> [String] {
    variables.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
  }

  // MARK: Process components

  private func processSpecification(
    _ id: WorkloadID, _ own: ComponentDefinition, _ step: Step, _ dependencies: [ComponentName: ComponentDefinition],
    _ context: InterpolationContext
  ) throws(Failure) -> WorkloadSpec? {
    let (step, missing) = Interpolation.resolve(step, in: context)
    warn(missing, id)
    let name = own.planned.name
    let user = step.requiresPrivilege ? UserAccount.root : account
    let work = paths.work(name)
    try makeComponentDirectory(name)
    // A privileged step may have left files of root's; the directory itself stays the component's.
    try Files.makeDirectory(work, mode: 0o750, owner: account)
    var variables = identityVariables(own.planned)
    variables.merge(greengrassVariables) { $1 }
    variables["WHERRY_HOLD_FILE"] = paths.holdFile(name)
    variables["WHERRY_UPDATE_FILE"] = paths.updateFile(name)
    variables.merge(environment) { $1 }
    variables["PATH"] = environment["PATH"] ?? Self.path
    let hasDocker = docker.isFor(own.planned)
    if hasDocker { variables["PATH"] = "\(docker.programs):\(variables["PATH"] ?? "")" }
    variables["HOME"] = work
    variables["USER"] = user.name
    variables["LANG"] = "C.UTF-8"
    for (key, value) in own.planned.lifecycle.setenv {
      let (text, missing) = Interpolation.expand(value, in: context)
      warn(missing, id)
      variables[key] = text
    }
    variables.merge(step.setenv) { $1 }
    if let skip = step.skipIf, holds(skip, path: variables["PATH"] ?? Self.path, hasDocker: hasDocker) { return nil }
    var spec = WorkloadSpec(
      id: id.description,
      root: .host(writable: [work], hidden: hidden),
      arguments: ["/bin/sh", "-c", step.script],
      user: .ids(user: user.user, group: user.group, groups: user.groups), logPath: logPath(id))
    spec.environment = Self.list(variables)
    spec.workingDirectory = work
    spec.network = .host
    spec.isPrivileged = step.requiresPrivilege
    spec.resources = own.planned.resources
    spec.pidsWanted = Self.processPidsDefault
    spec.mounts = readOnlyMounts(own, dependencies)
    if hasDocker { spec.mounts += try docker.mounts(DockerDoor.Key(name, isPrivileged: step.requiresPrivilege)) }
    return spec
  }

  /// Everything that the agent keeps. All process components have one user, so modes do not keep them apart: of this a
  /// component sees only what is attached again below, its own and what its dependencies offer.
  private var hidden: [String] {
    let database = paths.database
    return [
      paths.trust, database, database + "-wal", database + "-shm", paths.blobStore, paths.snapshots, paths.artifacts,
      paths.components, paths.trash, paths.run,
    ]
  }

  /// Nobody but the agent goes in on this way: components get what is theirs as mounts.
  private func makeComponentDirectory(_ name: ComponentName) throws(Failure) {
    for directory in [paths.components, paths.component(name)] { try Files.makeDirectory(directory, mode: 0o700) }
  }

  /// Its own artifacts and what its dependencies offer, wherever the host keeps them.
  private func readOnlyMounts(
    _ own: ComponentDefinition, _ dependencies: [ComponentName: ComponentDefinition]
  ) -> [WorkloadMount] {
    var directories = [paths.artifacts(own.planned)]
    for (name, definition) in dependencies.sorted(by: { $0.key < $1.key }) {
      directories += [paths.artifacts(definition.planned), paths.work(name)]
    }
    return directories.filter(Files.exists).map { WorkloadMount(source: $0, target: $0, readOnly: true) }
  }

  private func holds(_ condition: SkipCondition, path: String, hasDocker: Bool) -> Bool {
    let isMet: Bool
    switch condition.test {
    case .exists(let file): isMet = access(file, F_OK) == 0
    case .onPath("docker") where hasDocker: isMet = true
    case .onPath(let name): isMet = path.split(separator: ":").contains { access("\($0)/\(name)", X_OK) == 0 }
    }
    return isMet != condition.isNegated
  }

  /// `shutdown` may run beside `run`: two writers would rotate one file under each other.
  func logPath(_ id: WorkloadID) -> String {
    id.step == .shutdown ? "\(paths.logs)/\(id.component).shutdown.log" : paths.log(id.component)
  }

  // MARK: Containers

  /// Where a container has its files, and how it is called.
  struct ContainerPlace {
    var id: String
    var overlay: String
    var logPath: String
    var hostName: String
    /// Beside its host name.
    var names: [String]
  }

  /// - Parameter expanded: texts of the recipe with what their variables stand for.
  func containerSpecification(
    _ place: ContainerPlace, _ own: ComponentDefinition, _ container: ContainerSpec, _ image: PlannedImage,
    _ expanded: (String) -> String
  ) throws(Failure) -> WorkloadSpec {
    let name = own.planned.name
    let arguments = container.command?.map(expanded) ?? image.entrypoint + image.command
    guard !arguments.isEmpty else {
      throw Failure(
        .start, code: "component.noCommand",
        message: "\(name): neither its recipe nor the image \(image.reference) "
          + "says what to run", remedy: "add Container.Command to the recipe", component: name)
    }
    try Files.makeDirectory(place.overlay, mode: 0o700)
    var spec = WorkloadSpec(
      id: place.id,
      root: .overlay(
        lower: image.layers.reversed().map { paths.snapshot($0.diffID) }, upper: place.overlay + "/upper",
        work: place.overlay + "/work", readOnly: container.readOnlyRoot),
      arguments: arguments, user: .named(container.user ?? (image.user.isEmpty ? "0:0" : image.user)),
      logPath: place.logPath)
    spec.environment = Self.list(environment(own, container, image, expanded))
    spec.workingDirectory =
      container.workingDirectory ?? (image.workingDirectory.isEmpty ? "/" : image.workingDirectory)
    spec.hostName = place.hostName
    spec.mounts = try container.volumes.map { (volume) throws(Failure) in
      try mount(volume, of: name, user: container.user ?? image.user)
    }
    spec.devices = container.devices
    spec.capabilities = try capabilities(container, name)
    spec.users = container.usersInEffect
    spec.limits = container.limits
    spec.sysctls = container.sysctls
    spec.seccomp = container.seccomp
    spec.appArmorProfile = container.appArmorProfile
    spec.clocks = container.clocks
    spec.hasInput = container.hasInput
    spec.resources = container.resources
    spec.network =
      switch container.network {
      case .none: .none
      case .host: .host
      case .bridge:
        // The host name first: it is what /etc/hosts says of the container itself.
        .bridge(
          NetworkAttachment(
            ports: container.ports, names: [spec.hostName] + place.names, egress: container.egress))
      }
    return spec
  }

  private func environment(
    _ own: ComponentDefinition, _ container: ContainerSpec, _ image: PlannedImage, _ expanded: (String) -> String
  ) -> [String: String] {
    var variables = identityVariables(own.planned)
    variables["PATH"] = Self.path
    for line in image.environment {
      guard let equals = line.firstIndex(of: "=") else { continue }
      variables[String(line[..<equals])] = String(line[line.index(after: equals)...])
    }
    for (key, value) in container.environment { variables[key] = expanded(value) }
    let user = container.user ?? image.user
    let isRoot = ["", "0", "root"].contains(user.prefix { $0 != ":" })
    if variables["HOME"] == nil { variables["HOME"] = isRoot ? "/root" : "/" }
    return variables
  }

  /// A label of DNS: at most 63 bytes of the component's name.
  private static func hostName(_ name: ComponentName) -> String {
    let label = name.rawValue.map { $0 == "." || $0 == "_" ? "-" : $0 }.suffix(63)
    return String(label.drop { $0 == "-" })
  }

  private func capabilities(_ container: ContainerSpec, _ name: ComponentName) throws(Failure) -> Set<String> {
    var names = Capability.containerDefault
    if container.capabilitiesDropped.contains(where: { $0.uppercased() == "ALL" }) { names = [] }
    for text in container.capabilitiesAdded + container.capabilitiesDropped where text.uppercased() != "ALL" {
      guard Capability.normalized(text) == nil else { continue }
      throw Failure(
        .start, code: "component.unknownCapability", message: "\(name): there is no capability \"\(text.prefix(80))\"",
        remedy: "correct Container.Capabilities in the recipe", component: name)
    }
    names.subtract(container.capabilitiesDropped.compactMap(Capability.normalized))
    names.formUnion(container.capabilitiesAdded.compactMap(Capability.normalized))
    return names
  }

  private func mount(_ volume: Volume, of name: ComponentName, user: String) throws(Failure) -> WorkloadMount {
    switch volume.source {
    case .named(let text):
      guard ComponentName.isValid(text) else {
        throw Failure(
          .start, code: "component.badVolume", message: "\(name): the volume name \"\(text.prefix(80))\" is not valid",
          remedy: "use letters, digits, '-', '_' and '.'", component: name)
      }
      try Files.makeDirectory(paths.data(name), mode: 0o700)
      // Who writes is only known here when the user is a number; a name is the image's affair.
      let numbers = user.split(separator: ":").compactMap { UInt32($0) }
      let owner = numbers.first.map { UserAccount(name: user, user: $0, group: numbers.count > 1 ? numbers[1] : $0) }
      let directory = try VolumeDirectory.make(text, in: paths.data(name), owner: owner)
      return WorkloadMount(source: directory, target: volume.path, readOnly: volume.readOnly)
    case .hostPath(let path):
      guard Files.exists(path) else {
        throw Failure(
          .start, code: "component.missingHostPath",
          message: "\(name): \(path), which it mounts, is not on this device",
          remedy: "make it, or correct Container.Volumes in the recipe", component: name)
      }
      return WorkloadMount(source: path, target: volume.path, readOnly: volume.readOnly)
    }
  }
}
