import WherryDatabase
import WherryJSON
import WherryModel
import WherryRollout
import WherryWire

/// Driving the rollout machines. Everything here runs inside `commit`.
extension InventoryEngine {
  func rollout(_ id: DeploymentID) throws -> Rollout? {
    if let rollout = rollouts[id] { return rollout }
    guard let record = try database.deployment(id) else { return nil }
    let rollout = Rollout(record: record, machine: try machine(of: record))
    rollouts[id] = rollout
    return rollout
  }

  func machine(of record: DeploymentRecord) throws -> RolloutMachine {
    let head = JSONCursor(record.machine)
    // So older versions stored it: in one piece.
    if record.machine["members"] != nil { return try RolloutMachine(head) }
    return try RolloutMachine(head: head, members: try database.rolloutMembers(of: record.deployment.id))
  }

  /// After a restart: the machines of deployments that are under way, so that their timers run. Those of completed
  /// ones come into memory with the device that comes back to them.
  func loadRollouts() throws {
    for record in try database.deployments(in: [.rolling, .paused, .halted]) {
      _ = try rollout(record.deployment.id)
    }
  }

  func drive(_ id: DeploymentID, _ event: RolloutEvent, at now: Instant) throws {
    guard let record = try rollout(id)?.record, record.state.takesEvents else { return }
    var events = [event]
    while !events.isEmpty {
      // In its place: a copy for each event would cost as much as the target is large.
      for action in rollouts[id]?.machine.handle(events.removeFirst(), at: now) ?? [] {
        switch action {
        case .release(let devices):
          for device in devices {
            guard let failure = try release(record.deployment, to: device, at: now) else { continue }
            events.append(.reported(device, .rejected, failure, digestMatches: true))
          }
        case .revert(let devices):
          for device in devices { try goBack(device, from: record.deployment, at: now) }
        case .halted(let reason):
          environment.note("deployment \(id) halted: \(reason)")
        case .completed:
          environment.note("deployment \(id) completed")
        }
      }
    }
    rollouts[id]?.take(at: now)
    changedRollouts.insert(id)
  }

  /// Puts the device on the deployment and orders the plan that follows. A plan that cannot be made is the device's
  /// failure and leaves it where it was.
  private func release(_ deployment: Deployment, to name: DeviceName, at now: Instant) throws -> Failure? {
    guard let device = try database.device(name) else { return nil }
    let old = try database.assignments(of: name).first { $0.target == deployment.target }
    try database.assign(
      AssignmentRecord(
        device: name, target: deployment.target, deployment: deployment.id, generation: device.nextGeneration,
        previous: old?.previous))
    do {
      try order(device, at: now)
      return nil
    } catch let failure as Failure {
      if let old { try database.assign(old) } else { try database.unassign(name, from: deployment.target) }
      return failure
    }
  }

  /// Puts the device on what it committed before, or on what its target had before this deployment. Whoever is not on
  /// it (any more) is left alone.
  private func goBack(_ name: DeviceName, from deployment: Deployment, at now: Instant) throws {
    let target = deployment.target
    guard let device = try database.device(name),
      let current = try database.assignments(of: name).first(where: {
        $0.target == target && $0.deployment == deployment.id
      })
    else { return }
    let completed = try database.deployments(of: target).first {
      $0.state == .completed && $0.deployment.id != deployment.id
    }
    let before =
      current.previous == deployment.id ? completed?.deployment.id : current.previous ?? completed?.deployment.id
    if let before {
      try database.assign(
        AssignmentRecord(
          device: name, target: target, deployment: before, generation: device.nextGeneration, previous: before))
    } else {
      try database.unassign(name, from: target)
    }
    do {
      try order(device, at: now)
    } catch let failure as Failure {
      try database.assign(current)
      environment.note("\(name) cannot go back from deployment \(deployment.id): \(failure)")
    }
  }

  /// What a device's report means for the deployments that it is on.
  func spread(_ report: DeviceReport, of device: DeviceRecord, at now: Instant) throws {
    guard let status = report.status else { return }
    let assignments = try database.assignments(of: device.name).filter { $0.generation <= report.generation }
    let isCurrent = report.generation == device.generation
    // What it says it runs is what counts. Of an older order the service knows the plan no longer.
    let ordered = report.generation < device.generation ? report.plan : device.plan
    let matches = status != .committed || (ordered != nil && report.running == ordered)
    // A deployment that the device has committed is not judged by what a later one does there.
    for assignment in assignments where assignment.previous != assignment.deployment {
      try drive(
        assignment.deployment, .reported(device.name, status, report.failure, digestMatches: matches), at: now)
    }
    guard status.isTerminal, status != .superseded, isCurrent, matches else { return }
    for assignment in assignments { try conclude(assignment, committed: status == .committed) }
  }

  /// A committed deployment is where the device goes back to; a failed one takes no further part in its plans.
  private func conclude(_ assignment: AssignmentRecord, committed: Bool) throws {
    var assignment = assignment
    if committed {
      guard assignment.previous != assignment.deployment else { return }
      assignment.previous = assignment.deployment
      try database.assign(assignment)
    } else if let previous = assignment.previous {
      guard previous != assignment.deployment else { return }
      assignment.deployment = previous
      try database.assign(assignment)
    } else {
      try database.unassign(assignment.device, from: assignment.target)
    }
  }

  /// Deployments that wait for this device or watch it: of each of its targets the one that counts. A completed one is
  /// among them, since a device that was away gets its state when it comes back.
  func activeRollouts(of device: DeviceName) throws -> [DeploymentID] {
    var targets: [DeploymentTarget] = [.device(device)]
    targets += try database.groups(of: device).map { .group($0) }
    return try targets.compactMap { target in
      try database.deployments(of: target).first { $0.state.takesEvents }?.deployment.id
    }
  }

  /// The deployment that a device that joins the target now shall get: the newest that was not called off, or, while
  /// that one is halted, the last that completed.
  func currentDeployment(of target: DeploymentTarget) throws -> DeploymentRecord? {
    let records = try database.deployments(of: target).filter { $0.state != .cancelled && $0.state != .superseded }
    if let first = records.first, first.state != .halted { return first }
    return records.first { $0.state == .completed }
  }

  /// Whose place the next one would take.
  func deploymentUnderWay(to target: DeploymentTarget) throws -> DeploymentRecord? {
    try database.deployments(of: target).first { !$0.state.isFinal }
  }
}

extension DeploymentState {
  /// A completed one still takes devices that join its target.
  var takesEvents: Bool { self != .cancelled && self != .superseded }
}

extension InventoryEngine.Rollout {
  /// The machine's state as the deployment's row.
  mutating func take(at now: Instant) {
    record.machine = machine.headJSON
    record.reason = machine.state.reason
    switch machine.state {
    case .created, .rolling: record.state = .rolling
    case .paused: record.state = .paused
    case .halted: record.state = .halted
    case .completed: record.state = .completed
    case .cancelled: record.state = .cancelled
    }
    record.finishedAt = record.state.isFinal ? (record.finishedAt ?? now) : nil
  }
}
