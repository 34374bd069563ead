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
    let rollout = try rolloutMachine(draft.deployment, devices).summary
    let waves = Dictionary(rollout.devices.map { ($0.name, $0.wave) }, uniquingKeysWith: { $1 })
    var memo = PreviewMemo()
    let previews = try devices.map { device in
      var preview = DevicePreview(
        name: device.name, isOnline: device.isOnline, wave: (waves[device.name] ?? 0) + 1)
      try fill(&preview, for: device, with: draft, &memo)
      return preview
    }
    return DeploymentPreview(
      target: target, components: draft.deployment.components.mapValues(\.requirement.text),
      waves: rollout.waves.map(\.size), devices: previews.sorted { $0.name < $1.name })
  }

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
      // What it committed; of one that never reported, what it was told.
      let from = device.report?.running ?? device.plan
      let way = PreviewMemo.Way(kind: kind, from: from)
      let difference =
        try memo.differences[way]
        ?? PlanDifference(from: try from.flatMap(storedPlan), to: plan, definition: Self.definition)
      memo.differences[way] = difference
      preview.bytesToDownload = difference.bytesToDownload
      preview.changes = difference.changes
    }
  }

  private func outcome(for kind: DeviceKind, with draft: DeploymentDraft) throws -> PreviewMemo.Outcome {
    do {
      let text = try compose(kind.others, on: kind.platform, with: draft).plan.text
      return .plan(try Self.plan(text))
    } catch let failure as Failure { return .refused(failure.message) }
  }

  private func storedPlan(_ digest: Digest) throws -> Plan? {
    try database.plan(digest).map(Self.plan)
  }

  private static func plan(_ text: String) throws -> Plan {
    try Plan(JSONCursor(try JSON(parsing: text, limits: JSONLimits(bytesMaximum: 16 << 20))))
  }

  private static func definition(_ component: PlannedComponent) -> JSON {
    var component = component
    component.configuration = ConfigurationUpdate()
    return component.json
  }
}
