import WherryDatabase
import WherryModel
import WherryPlanning
import WherryRollout
import WherryWire

extension InventoryEngine {
  /// Resolves versions, pins images, tries the plan of every kind of device in the target, and only then creates the
  /// deployment and opens its first wave: a deployment that cannot work is refused whole.
  package func deploy(_ request: DeploymentRequest, by actor: String) async throws -> DeploymentSummary {
    let draft = try await draft(request)
    let deployment = draft.deployment
    // The world may have moved while registries answered: everything below looks again.
    try requireTarget(deployment.target)
    let now = environment.now()
    return try commit {
      let devices = try devices(in: deployment.target)
      let resolutions = try requirePlans(for: draft, devices: devices)
      try requireAnother(than: draft, resolutions)
      let machine = try rolloutMachine(draft, devices)
      try supersede(deployment.target, at: now)
      let id = try create(deployment, machine, at: now)
      try keep(draft, resolutions, as: id)
      try drive(id, .start, at: now)
      let names = deployment.components.map { "\($0.key)=\($0.value.requirement)" }.sorted().joined(separator: " ")
      try database.audit(
        "deployment.create", subject: "\(id)", actor: actor, detail: "\(deployment.target) \(names)", at: now)
      return try summary(of: id)
    }
  }

  /// Versions chosen and images pinned, for every kind of device in the target.
  func draft(_ request: DeploymentRequest) async throws -> DeploymentDraft {
    let deployment = Deployment(
      id: DeploymentID(0), target: request.target, components: try exactVersions(request.components),
      rollout: request.rollout, apply: request.apply)
    try requireTarget(deployment.target)
    let kinds = try kinds(in: deployment.target)
    var draft = DeploymentDraft(deployment: deployment)
    for kind in kinds { draft.versions[kind.platform.key] = ownVersions(of: deployment, on: kind.platform) }
    draft.images = try await pinImages(of: draft, kinds: kinds)
    return draft
  }

  private func create(_ draft: Deployment, _ machine: RolloutMachine, at now: Instant) throws -> DeploymentID {
    let record = try database.insertDeployment(target: draft.target, at: now) { id in
      var deployment = draft
      deployment.id = id
      return DeploymentRecord(deployment: deployment, state: .rolling, machine: machine.headJSON, createdAt: now)
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
    if case .retry = event { try requireRetry(record) }
    guard !record.state.isFinal || event == .retry else {
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

  /// Going back to an older deployment is not trying again.
  private func requireRetry(_ record: DeploymentRecord) throws {
    let id = record.deployment.id
    let newest = try database.deployments(of: record.deployment.target).first?.deployment.id
    let mayBe: Bool =
      switch record.state {
      case .rolling, .completed: true
      case .halted: record.deployment.rollout.onFailure == .pause
      case .paused, .cancelled, .superseded: false
      }
    guard mayBe, newest == id else {
      throw Refusal(
        409, "deployment.ended",
        newest == id
          ? "deployment \(id) is \(record.state.rawValue), so nothing of it can be tried again"
          : "deployment \(id) is not the newest to \(record.deployment.target)",
        remedy: record.state == .paused ? "resume it first" : "create a new deployment")
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
      // Of versions that differ in build metadata only, the one that is written out is meant.
      let isWritten = { (version: Version) in version.description == component.requirement.text }
      guard let version = versions.first(where: isWritten) ?? versions.first(where: component.requirement.contains)
      else {
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

  func kind(of device: DeviceRecord, in target: DeploymentTarget) throws -> DeviceKind {
    let others = try database.assignments(of: device.name).filter { $0.target != target }.map(\.deployment)
    return DeviceKind(platform: device.platform, others: others.sorted())
  }

  private func kinds(in target: DeploymentTarget) throws -> Set<DeviceKind> {
    Set(try devices(in: target).map { try kind(of: $0, in: target) })
  }

  /// What each kind of device would run.
  private func requirePlans(
    for draft: DeploymentDraft, devices: [DeviceRecord]
  ) throws -> [DeviceKind: [ComponentName: Version]] {
    var problems: [String] = []
    var resolutions: [DeviceKind: [ComponentName: Version]] = [:]
    var seen: Set<DeviceKind> = []
    for device in devices {
      let kind = try kind(of: device, in: draft.deployment.target)
      guard seen.insert(kind).inserted else { continue }
      do {
        resolutions[kind] = try compose(kind.others, on: kind.platform, with: draft).versions
      } catch let failure as Failure {
        problems.append("\(device.name): \(failure.message)")
      }
    }
    guard problems.isEmpty else {
      throw Refusal(
        422, "plan.impossible", "no plan can be made for \(problems[0])",
        remedy: "deploy versions that fit together and to the platforms of all devices of \(draft.deployment.target)",
        errors: problems)
    }
    return resolutions
  }
}

extension RolloutEvent {
  var verb: String {
    switch self {
    case .pause: "pause"
    case .resume: "resume"
    case .retry: "retry"
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
