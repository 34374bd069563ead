import WherryDatabase
import WherryJSON
import WherryModel
import WherryPlanning
import WherryRollout
import WherryWire

/// What a deployment would do, found out the way in which it would be done, and then not done.
extension InventoryEngine {
  package func preview(_ request: DeploymentRequest) async throws -> DeploymentPreview {
    let draft = try await draft(request)
    let target = draft.deployment.target
    let devices = try devices(in: target)
    var previews = try previews(of: devices, with: draft)
    let members = zip(devices, previews).map { device, preview in
      rolloutDevice(device, of: draft.deployment.rollout, bytes: preview.bytesToDownload)
    }
    let machine = try rolloutMachine(draft.deployment, devices, members)
    let rollout = machine.summary
    let waves = Dictionary(rollout.devices.map { ($0.name, $0.wave) }, uniquingKeysWith: { $1 })
    for index in previews.indices { previews[index].wave = (waves[previews[index].name] ?? 0) + 1 }
    var preview = DeploymentPreview(
      target: target, components: draft.deployment.components.mapValues(\.requirement.text),
      waves: rollout.waves.map(\.size), devices: previews.sorted { $0.name < $1.name })
    preview.forecast = forecast(machine, of: draft.deployment, devices)
    preview.supersedes = try deploymentUnderWay(to: target)?.deployment.id
    return preview
  }

  /// One for each, in their order; whose wave each is in is not known yet.
  func previews(of devices: [DeviceRecord], with draft: DeploymentDraft) throws -> [DevicePreview] {
    var memo = PreviewMemo()
    return try devices.map { device in
      var preview = DevicePreview(name: device.name, isOnline: device.isOnline, wave: 1)
      try fill(&preview, for: device, with: draft, &memo)
      return preview
    }
  }

  // MARK: - Forecast

  /// Of a device that was never seen downloading.
  static let assumedBytesPerSecond: Int64 = 1 << 20
  /// For stopping and starting, beside the time for which it settles.
  static let assumedChangeMilliseconds: Int64 = 5_000

  private func forecast(
    _ machine: RolloutMachine, of deployment: Deployment, _ devices: [DeviceRecord]
  ) -> DeploymentForecast {
    let records = Dictionary(devices.map { ($0.name, $0) }, uniquingKeysWith: { $1 })
    func milliseconds(_ device: RolloutDevice) -> Int64 {
      let pace = max(1, records[device.name]?.pace ?? Self.assumedBytesPerSecond)
      let download = device.bytes.multipliedReportingOverflow(by: 1_000)
      return (download.overflow ? .max / 4 : download.partialValue / pace)
        + deployment.apply.settleMilliseconds + Self.assumedChangeMilliseconds
    }
    let forecast = RolloutForecast(of: machine, milliseconds: milliseconds)
    var summary = DeploymentForecast(
      ending: "completed", milliseconds: forecast.milliseconds, waves: forecast.waves, bytes: forecast.bytes)
    switch forecast.ending {
    case .completed: break
    case .waiting: summary.ending = "waiting"
    case .halted(let reason):
      summary.ending = "halted"
      summary.reason = reason
    }
    summary.unknownPaces = devices.count { $0.pace == nil }
    summary.missing = forecast.missing.map { name in
      DeploymentForecast.Missing(name: name, reason: Self.absence(of: records[name]))
    }
    return summary
  }

  private static func absence(of device: DeviceRecord?) -> String {
    guard let device, !device.isOnline else {
      return "its turn does not come, or it needs longer than the device timeout"
    }
    return device.lastSeen.map { "offline since \(Timestamp.text($0))" } ?? "it was never seen"
  }

  // MARK: - Differences

  /// Alike devices have one plan, and come from few: neither is made again for each.
  private struct PreviewMemo {
    enum Outcome {
      case plan(Plan)
      case refused(String)
    }
    struct Way: Hashable {
      var kind: DeviceKind
      var from: Digest?
    }
    var outcomes: [DeviceKind: Outcome] = [:]
    var differences: [Way: PlanDifference] = [:]
  }

  private func fill(
    _ preview: inout DevicePreview, for device: DeviceRecord, with draft: DeploymentDraft, _ memo: inout PreviewMemo
  ) throws {
    let kind = try kind(of: device, in: draft.deployment.target)
    let outcome = try memo.outcomes[kind] ?? outcome(for: kind, with: draft)
    memo.outcomes[kind] = outcome
    switch outcome {
    case .refused(let reason): preview.refusal = reason
    case .plan(let plan):
      let way = PreviewMemo.Way(kind: kind, from: Self.source(of: device))
      let difference = try memo.differences[way] ?? difference(to: plan, on: device)
      memo.differences[way] = difference
      preview.bytesToDownload = difference.bytesToDownload
      preview.changes = difference.changes
    }
  }

  func difference(to plan: Plan, on device: DeviceRecord) throws -> PlanDifference {
    PlanDifference(from: try Self.source(of: device).flatMap(storedPlan), to: plan, definition: Self.definition)
  }

  /// What it committed; of one that never reported, what it was told.
  private static func source(of device: DeviceRecord) -> Digest? { device.report?.running ?? device.plan }

  private func outcome(for kind: DeviceKind, with draft: DeploymentDraft) throws -> PreviewMemo.Outcome {
    do {
      let text = try compose(kind.others, on: kind.platform, with: draft).plan.text
      return .plan(try Self.plan(text))
    } catch let failure as Failure { return .refused(failure.message) }
  }

  private func storedPlan(_ digest: Digest) throws -> Plan? {
    try database.plan(digest).map(Self.plan)
  }

  static func plan(_ text: String) throws -> Plan {
    try Plan(JSONCursor(try JSON(parsing: text, limits: JSONLimits(bytesMaximum: 16 << 20))))
  }

  private static func definition(_ component: PlannedComponent) -> JSON {
    var component = component
    component.configuration = ConfigurationUpdate()
    return component.json
  }
}
