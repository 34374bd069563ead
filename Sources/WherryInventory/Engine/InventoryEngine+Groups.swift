import WherryDatabase
import WherryModel
import WherryRollout
import WherryWire

extension InventoryEngine {
  static func noGroup(_ name: GroupName) -> Refusal {
    .notFound("group \(name)", remedy: "create it with `wherry group create \(name)`")
  }

  package func groups() throws -> [GroupSummary] { try database.groups().map(summary) }

  package func group(_ name: GroupName) throws -> GroupSummary {
    guard try database.hasGroup(name) else { throw Self.noGroup(name) }
    return try summary(of: name)
  }

  private func summary(of name: GroupName) throws -> GroupSummary {
    GroupSummary(
      name: name, devices: try database.members(of: name),
      deployment: try currentDeployment(of: .group(name))?.deployment.id)
  }

  package func createGroup(_ name: GroupName, by actor: String) throws -> GroupSummary {
    let now = environment.now()
    try commit {
      try database.createGroup(name, at: now)
      try database.audit("group.create", subject: name.rawValue, actor: actor, at: now)
    }
    return try summary(of: name)
  }

  /// Its devices lose what its deployments brought them.
  package func removeGroup(_ name: GroupName, by actor: String) throws {
    guard try database.hasGroup(name) else { throw Self.noGroup(name) }
    let now = environment.now()
    try commit {
      let target = DeploymentTarget.group(name)
      // Before anybody leaves: a place that becomes free in a rollout under way would go to the next device.
      try retire(target, at: now)
      for device in try database.members(of: name) { try leave(device, target, at: now) }
      try database.removeGroup(name)
      try database.audit("group.remove", subject: name.rawValue, actor: actor, at: now)
    }
  }

  /// A group of the same name that is made later starts with nothing.
  private func retire(_ target: DeploymentTarget, at now: Instant) throws {
    for var record in try database.deployments(of: target) where record.state.takesEvents {
      record.state = .cancelled
      record.reason = "\(target) was removed"
      record.finishedAt = record.finishedAt ?? now
      try database.update(record)
      rollouts[record.deployment.id] = nil
      changedRollouts.remove(record.deployment.id)
    }
  }

  /// The device gets the group's deployment, as far as its waves are open.
  package func add(_ name: DeviceName, to group: GroupName, by actor: String) async throws -> GroupSummary {
    guard let device = try database.device(name) else { throw Self.noDevice(name) }
    guard try database.hasGroup(group) else { throw Self.noGroup(group) }
    await pinImages(joining: .group(group), platform: device.platform)
    let now = environment.now()
    try commit {
      guard try database.hasGroup(group), try database.device(name) != nil else { throw Self.noGroup(group) }
      guard try database.add(name, to: group) else { return }
      try join(name, .group(group), at: now)
      try database.audit("group.add", subject: group.rawValue, actor: actor, detail: name.rawValue, at: now)
    }
    return try summary(of: group)
  }

  package func remove(_ name: DeviceName, from group: GroupName, by actor: String) throws -> GroupSummary {
    guard try database.hasGroup(group) else { throw Self.noGroup(group) }
    let now = environment.now()
    try commit {
      guard try database.remove(name, from: group) else { return }
      try leave(name, .group(group), at: now)
      try database.audit("group.remove-device", subject: group.rawValue, actor: actor, detail: name.rawValue, at: now)
    }
    return try summary(of: group)
  }

  func join(_ name: DeviceName, _ target: DeploymentTarget, at now: Instant) throws {
    guard let device = try database.device(name), let record = try currentDeployment(of: target) else { return }
    try drive(record.deployment.id, try joined(device, record), at: now)
  }

  func leave(_ name: DeviceName, _ target: DeploymentTarget, at now: Instant) throws {
    for record in try database.deployments(of: target) where record.state.takesEvents {
      try drive(record.deployment.id, .left(name), at: now)
    }
    guard try database.assignments(of: name).contains(where: { $0.target == target }) else { return }
    try database.unassign(name, from: target)
    guard let device = try database.device(name) else { return }
    do {
      try order(device, at: now)
    } catch let failure as Failure {
      environment.note("\(name) left \(target), but no plan can be made without it: \(failure)")
    }
  }
}
