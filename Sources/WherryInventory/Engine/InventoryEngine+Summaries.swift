import WherryDatabase
import WherryJSON
import WherryModel
import WherryRollout
import WherryWire

/// The engine's state in the words of the HTTP API.
extension InventoryEngine {
  func summary(of device: DeviceRecord, groups: [GroupName]) -> DeviceSummary {
    var summary = DeviceSummary(
      name: device.name, platform: device.platform, labels: device.labels, groups: groups, isOnline: device.isOnline,
      lastSeen: device.lastSeen, agentVersion: device.agentVersion, generation: device.generation,
      reportedGeneration: device.report?.generation ?? Generation(0), status: device.report?.status,
      failure: device.report?.failure, components: device.report?.components ?? [],
      bytesDone: device.report?.bytesDone ?? 0, bytesTotal: device.report?.bytesTotal ?? 0)
    summary.transfers = device.report?.transfers ?? []
    summary.local = device.report?.local
    summary.resumesAt = device.report?.resumesAt
    return summary
  }

  package func fleet() throws -> FleetSummary {
    let devices = try database.counts(.device)
    return FleetSummary(
      devices: devices["all"] ?? 0, online: devices["online"] ?? 0, byStatus: try database.counts(.status),
      byComponentState: try database.counts(.component))
  }

  /// Newest first.
  package func deployments(limit: Int = 1_000) throws -> [DeploymentSummary] {
    try database.deployments(limit: limit).map { try summary(of: $0) }
  }

  package func deployment(_ id: DeploymentID) throws -> DeploymentSummary { try summary(of: id) }

  func summary(of id: DeploymentID) throws -> DeploymentSummary {
    // Within a commit the row is older than the machine in memory.
    if let rollout = rollouts[id] { return try summary(of: rollout.record, machine: rollout.machine) }
    guard let record = try database.deployment(id) else { throw Self.noDeployment(id) }
    return try summary(of: record)
  }

  private func summary(of record: DeploymentRecord) throws -> DeploymentSummary {
    try summary(of: record, machine: try machine(of: record))
  }

  private func summary(of record: DeploymentRecord, machine: RolloutMachine) throws -> DeploymentSummary {
    let deployment = record.deployment
    let assignments = try database.assignments(on: deployment.id)
    let progress = machine.summary
    return DeploymentSummary(
      id: deployment.id, target: deployment.target,
      components: deployment.components.mapValues(\.requirement.text), state: record.state.rawValue,
      reason: record.reason, createdAt: record.createdAt, finishedAt: record.finishedAt,
      waves: progress.waves.map(Self.summary),
      devices: try progress.devices.map { device in
        try summary(of: device, generation: assignments[device.name]?.generation)
      },
      policy: deployment.rollout)
  }

  private static func summary(of wave: RolloutWave) -> WaveSummary {
    var summary = WaveSummary(
      index: wave.index + 1, size: wave.size, released: wave.released, committed: wave.committed, failed: wave.failed,
      parked: wave.parked, state: wave.progress.rawValue)
    summary.silent = wave.silent
    summary.deferred = wave.deferred
    return summary
  }

  /// While a device is under way its own status says more than the rollout's.
  private func summary(of device: RolloutSummary.Device, generation: Generation?) throws -> DeploymentDevice {
    var status = device.status.name
    var failure: Failure?
    var underWay: DeviceReport?
    var resumesAt: Instant?
    var generation = generation
    switch device.status {
    case .failed(let why), .silent(let why):
      failure = why
      // It has left the deployment, so only its report still knows.
      if generation == nil { generation = try database.device(device.name)?.report?.generation }
    case .released:
      let report = try database.device(device.name)?.report
      if let report, let generation, report.generation >= generation {
        status = report.status?.rawValue ?? status
        underWay = report
        failure = report.failure
      }
    case .deferred:
      let report = try database.device(device.name)?.report
      failure = report?.failure
      resumesAt = report?.resumesAt
    case .waiting, .parked, .committed, .reverted: break
    }
    var summary = DeploymentDevice(
      name: device.name, wave: device.wave + 1, status: status, generation: generation ?? Generation(0),
      failure: failure)
    summary.resumesAt = resumesAt
    summary.waitsFor = device.waitsFor
    if let underWay, underWay.status == .fetching {
      summary.bytesDone = underWay.bytesDone
      summary.bytesTotal = underWay.bytesTotal
      summary.transfers = underWay.transfers
    }
    return summary
  }

  // MARK: - Blobs and plans

  package func planText(_ digest: Digest) throws -> String? { try database.plan(digest) }

  package func isKnown(_ device: DeviceName) throws -> Bool { try database.device(device) != nil }

  package func outboxCount() throws -> Int { try database.outboxCount() }
}
