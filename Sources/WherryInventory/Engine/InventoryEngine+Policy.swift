import WherryDatabase
import WherryModel
import WherryRollout
import WherryWire

/// A rollout's policy, held against its target before anything begins.
extension InventoryEngine {
  /// Canaries come first, and are the first wave. Refused where the policy contradicts itself or could starve.
  func rolloutMachine(_ draft: DeploymentDraft, _ devices: [DeviceRecord]) throws -> RolloutMachine {
    let policy = draft.deployment.rollout
    let members =
      policy.bytesPerSecond > 0
      ? try zip(devices, previews(of: devices, with: draft)).map { device, preview in
        rolloutDevice(device, of: policy, bytes: preview.bytesToDownload)
      }
      : devices.map { rolloutDevice($0, of: policy, bytes: 0) }
    return try rolloutMachine(draft.deployment, devices, members)
  }

  func rolloutMachine(
    _ deployment: Deployment, _ devices: [DeviceRecord], _ members: [RolloutDevice]
  ) throws -> RolloutMachine {
    var policy = deployment.rollout
    var ordered = members
    try requireSound(deployment, members)
    if !policy.canary.isEmpty {
      let isCanary = devices.map { device in policy.canary.allSatisfy { device.labels[$0.key] == $0.value } }
      let canaries = zip(members, isCanary).filter(\.1).map(\.0)
      try requireSomeCanaries(canaries.count, of: devices.count, deployment)
      ordered = canaries + zip(members, isCanary).filter { !$0.1 }.map(\.0)
      policy.waves = [.count(canaries.count)] + policy.waves
    }
    return RolloutMachine(policy: policy, devices: ordered)
  }

  func rolloutDevice(_ device: DeviceRecord, of policy: RolloutPolicy, bytes: Int64) -> RolloutDevice {
    RolloutDevice(
      name: device.name, isOnline: device.isOnline, sites: policy.disruption.map { device.labels[$0.label] },
      bytes: bytes)
  }

  private func requireSound(_ deployment: Deployment, _ members: [RolloutDevice]) throws(Refusal) {
    let problems = deployment.rollout.problems(
      in: PolicyContext(
        target: deployment.target.description, settleMilliseconds: deployment.apply.settleMilliseconds,
        devices: members))
    guard let first = problems.first else { return }
    throw Refusal(
      422, "rollout.contradiction", first.message, remedy: first.remedy,
      errors: problems.map { "rollout/\($0.place): \($0.message)" })
  }

  private func requireSomeCanaries(_ canaries: Int, of count: Int, _ deployment: Deployment) throws(Refusal) {
    let labels = deployment.rollout.canary.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
      .joined(separator: ", ")
    guard canaries > 0 || count == 0 else {
      throw Refusal(
        422, "rollout.noCanary", "no device of \(deployment.target) has the labels \(labels)",
        remedy: "give some of them the labels when they are provisioned, or deploy without a canary")
    }
    guard canaries < count || count < 2 else {
      throw Refusal(
        422, "rollout.contradiction",
        "all \(count) devices of \(deployment.target) have the labels \(labels), so nobody comes after the canaries",
        remedy: "choose a label that fewer have, or deploy without a canary")
    }
  }

  /// The same once more would take the place of what is under way and begin again. Where dependencies or tags have
  /// moved on meanwhile it is not the same.
  func requireAnother(than draft: DeploymentDraft, _ resolutions: [DeviceKind: [ComponentName: Version]]) throws {
    let deployment = draft.deployment
    guard let underWay = try deploymentUnderWay(to: deployment.target), underWay.state != .halted else { return }
    var same = deployment
    same.id = underWay.deployment.id
    guard same == underWay.deployment else { return }
    for (kind, versions) in resolutions {
      let platform = kind.platform.key
      guard try database.images(of: same.id, platform: platform) == draft.images[platform] ?? [:],
        try database.resolutions(of: (kind.others + [same.id]).sorted())[platform] ?? versions == versions
      else { return }
    }
    throw Refusal(
      409, "deployment.same",
      "deployment \(same.id) brings exactly this to \(same.target) and is \(underWay.state.rawValue)",
      remedy: "follow it with `wherry deployment watch \(same.id)`, or cancel it first")
  }

  // MARK: - Who joins later

  func joined(_ device: DeviceRecord, _ record: DeploymentRecord) throws -> RolloutEvent {
    let policy = record.deployment.rollout
    let bytes = policy.bytesPerSecond > 0 ? try expectedBytes(of: device, joining: record.deployment) : 0
    let member = rolloutDevice(device, of: policy, bytes: bytes)
    return .joined(member.name, isOnline: member.isOnline, sites: member.sites, bytes: member.bytes)
  }

  /// 0 for a plan that cannot be made: the release says so.
  private func expectedBytes(of device: DeviceRecord, joining deployment: Deployment) throws -> Int64 {
    let others = try kind(of: device, in: deployment.target).others
    do {
      let plan = try composedPlan(of: (others + [deployment.id]).sorted(), on: device.platform)
      return try difference(to: Self.plan(plan.text), on: device).bytesToDownload
    } catch is Failure { return 0 }
  }
}
