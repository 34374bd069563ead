import WherryDatabase
import WherryModel
import WherryPlanning
import WherryRollout
import WherryWire

extension InventoryEngine {
  /// Resolves versions, pins images, tries the plan of every kind of device in the target, and only then creates the
  /// deployment and opens its first wave: a deployment that cannot work is refused whole.
  package func deploy(_ request: DeploymentRequest, by actor: String) async throws -> DeploymentSummary {
    let draft = Deployment(
      id: DeploymentID(0), target: request.target, components: try exactVersions(request.components),
      rollout: request.rollout, apply: request.apply)
    try requireTarget(draft.target)
    let pins = try await pinImages(of: draft, kinds: try kinds(in: draft.target))
    // The world may have moved while registries answered: everything below looks again.
    try requireTarget(draft.target)
    let now = environment.now()
    return try commit {
      let devices = try devices(in: draft.target)
      try requirePlans(for: draft, devices: devices, pins: pins)
      try supersede(draft.target, at: now)
      let id = try create(draft, devices: devices, at: now)
      for (platform, images) in pins {
        for (reference, image) in images.sorted(by: { $0.key < $1.key }) {
          try database.pin(image, reference: reference, deployment: id, platform: platform)
        }
      }
      try drive(id, .start, at: now)
      let names = draft.components.map { "\($0.key)=\($0.value.requirement)" }.sorted().joined(separator: " ")
      try database.audit(
        "deployment.create", subject: "\(id)", actor: actor, detail: "\(draft.target) \(names)", at: now)
      return try summary(of: id)
    }
  }

  private func create(_ draft: Deployment, devices: [DeviceRecord], at now: Instant) throws -> DeploymentID {
    let machine = RolloutMachine(
      policy: draft.rollout, devices: devices.map { RolloutDevice(name: $0.name, isOnline: $0.isOnline) })
    let record = try database.insertDeployment(target: draft.target, at: now) { id in
      var deployment = draft
      deployment.id = id
      return DeploymentRecord(deployment: deployment, state: .rolling, machine: machine.json, createdAt: now)
    }
    rollouts[record.deployment.id] = Rollout(record: record, machine: machine)
    return record.deployment.id
  }

  /// The newest deployment of a target is the one that counts. A completed one stays what it is: done.
  private func supersede(_ target: DeploymentTarget, at now: Instant) throws {
    for var record in try database.deployments(of: target) where !record.state.isFinal {
      record.state = .superseded
      record.reason = "a newer deployment to \(target) was created"
      record.finishedAt = now
      try database.update(record)
      rollouts[record.deployment.id] = nil
    }
  }

  package func control(_ id: DeploymentID, _ event: RolloutEvent, by actor: String) throws -> DeploymentSummary {
    guard let record = try database.deployment(id) else { throw Self.noDeployment(id) }
    guard !record.state.isFinal else {
      throw Refusal(
        409, "deployment.ended", "deployment \(id) has ended: it is \(record.state.rawValue)",
        remedy: "create a new deployment")
    }
    let now = environment.now()
    return try commit {
      try drive(id, event, at: now)
      try database.audit("deployment.\(event.verb)", subject: "\(id)", actor: actor, at: now)
      return try summary(of: id)
    }
  }

  static func noDeployment(_ id: DeploymentID) -> Refusal {
    .notFound("deployment \(id)", remedy: "`wherry deployment list` names them")
  }

  // MARK: - What it is made of

  /// Each requirement as the newest published version that satisfies it.
  private func exactVersions(
    _ components: [ComponentName: DeployedComponent]
  ) throws(Refusal) -> [ComponentName: DeployedComponent] {
    guard !components.isEmpty else {
      throw .badRequest(
        "the deployment names no component", remedy: "name at least one, for example com.example.hello=1.0.0")
    }
    var exact = components
    for (name, component) in components.sorted(by: { $0.key < $1.key }) {
      let versions = catalog.versions(of: name)
      guard !versions.isEmpty else {
        throw Refusal(
          404, "component.unknown", "no version of \(name) was published",
          remedy: "publish it with `wherry component publish`, or see `wherry component list` for the spelling")
      }
      guard let version = versions.first(where: { component.requirement.contains($0) }) else {
        throw Refusal(
          404, "component.noVersion", "no published version of \(name) satisfies \(component.requirement)",
          remedy: "there are \(versions.prefix(5).map(\.description).joined(separator: ", "))")
      }
      exact[name]?.requirement = VersionRequirement(exactly: version)
    }
    return exact
  }

  private func requireTarget(_ target: DeploymentTarget) throws {
    switch target {
    case .group(let name):
      guard try database.hasGroup(name) else { throw Self.noGroup(name) }
    case .device(let name):
      guard try database.device(name) != nil else { throw Self.noDevice(name) }
    }
  }

  func devices(in target: DeploymentTarget) throws -> [DeviceRecord] {
    switch target {
    case .group(let name): try database.devices(in: name)
    case .device(let name): try database.device(name).map { [$0] } ?? []
    }
  }

  // MARK: - Dry run

  /// Devices that get the same plan: the same other deployments on the same platform.
  struct DeviceKind: Hashable {
    var platform: Platform
    var others: [DeploymentID]
  }

  private func kind(of device: DeviceRecord, in target: DeploymentTarget) throws -> DeviceKind {
    let others = try database.assignments(of: device.name).filter { $0.target != target }.map(\.deployment)
    return DeviceKind(platform: device.platform, others: others.sorted())
  }

  private func kinds(in target: DeploymentTarget) throws -> [DeviceKind: DeviceName] {
    var kinds: [DeviceKind: DeviceName] = [:]
    for device in try devices(in: target).reversed() { kinds[try kind(of: device, in: target)] = device.name }
    return kinds
  }

  private func requirePlans(
    for draft: Deployment, devices: [DeviceRecord], pins: [String: [String: PlannedImage]]
  ) throws {
    var problems: [String] = []
    var seen: Set<DeviceKind> = []
    for device in devices {
      let kind = try kind(of: device, in: draft.target)
      guard seen.insert(kind).inserted else { continue }
      do {
        _ = try composedPlan(
          kind.others, platform: kind.platform, extra: draft, images: pins[kind.platform.key] ?? [:])
      } catch let failure as Failure {
        problems.append("\(device.name): \(failure.message)")
      }
    }
    guard problems.isEmpty else {
      throw Refusal(
        422, "plan.impossible", "no plan can be made for \(problems[0])",
        remedy: "deploy versions that fit together and to the platforms of all devices of \(draft.target)",
        errors: problems)
    }
  }

  // MARK: - Images

  /// Every image that the draft brings to each kind of device, resolved to digests now: the tag may move later, the
  /// deployment does not.
  private func pinImages(
    of draft: Deployment, kinds: [DeviceKind: DeviceName]
  ) async throws -> [String: [String: PlannedImage]] {
    var wanted: [Platform: Set<String>] = [:]
    for kind in kinds.keys { wanted[kind.platform, default: []].formUnion(try imageReferences(of: draft, for: kind)) }
    var pins: [String: [String: PlannedImage]] = [:]
    for (platform, references) in wanted {
      for reference in references.sorted() {
        do {
          pins[platform.key, default: [:]][reference] = try await environment.images.pin(reference, platform: platform)
        } catch {
          throw Self.notPinned(reference, error)
        }
      }
    }
    return pins
  }

  private static func notPinned(_ reference: String, _ error: any Error) -> Refusal {
    if let failure = error as? Failure {
      return Refusal(502, failure.code, failure.message, remedy: failure.remedy)
    }
    return Refusal(
      502, "image.unresolved", "the image \(reference) could not be resolved: \(error)",
      remedy: "see that its registry is up and has it")
  }

  /// Images of the components that this deployment brings, dependencies included, and of those that its presence
  /// changes in the other deployments of the device, as far as these have not pinned them.
  private func imageReferences(of draft: Deployment, for kind: DeviceKind) throws -> Set<String> {
    let own = try? references(roots: [draft], platform: kind.platform)
    var others: [Deployment] = []
    var pinned: Set<String> = []
    for id in kind.others {
      if let deployment = try rollout(id)?.record.deployment { others.append(deployment) }
      pinned.formUnion(try database.images(of: id, platform: kind.platform.key).keys)
    }
    // A combination that cannot be resolved is refused with its reasons when the plan is tried.
    let all = try? references(roots: others + [draft], platform: kind.platform)
    return (own ?? []).union((all ?? []).subtracting(pinned))
  }

  private func references(roots: [Deployment], platform: Platform) throws -> Set<String> {
    let requirements = roots.flatMap { deployment in
      deployment.components.map {
        RootRequirement(
          component: $0.key, requirement: $0.value.requirement, source: deployment.roots.source)
      }
    }
    let versions = try Resolver.resolve(roots: requirements, catalog: catalog, platform: platform)
    var references: Set<String> = []
    for (name, version) in versions {
      guard let recipe = catalog[name, version], let manifest = ManifestSelector.select(recipe, for: platform),
        let container = manifest.container
      else { continue }
      references.insert(container.image)
    }
    return references
  }

  /// For a device of a new platform that joins a target: pins what its deployment lacks there. Failing is no reason
  /// to refuse the device; the rollout then says what is missing.
  func pinImages(joining target: DeploymentTarget, platform: Platform) async {
    do {
      guard let record = try currentDeployment(of: target) else { return }
      let id = record.deployment.id
      let kind = DeviceKind(platform: platform, others: [])
      let known = try database.images(of: id, platform: platform.key)
      for reference in try imageReferences(of: record.deployment, for: kind).sorted() where known[reference] == nil {
        let image = try await environment.images.pin(reference, platform: platform)
        try commit { try database.pin(image, reference: reference, deployment: id, platform: platform.key) }
      }
    } catch {
      environment.note("images of the deployment to \(target) could not be pinned for a new platform: \(error)")
    }
  }
}

extension RolloutEvent {
  var verb: String {
    switch self {
    case .pause: "pause"
    case .resume: "resume"
    case .cancel: "cancel"
    case .start: "start"
    case .tick: "tick"
    case .reported: "reported"
    case .online: "online"
    case .joined: "joined"
    case .left: "left"
    }
  }
}
