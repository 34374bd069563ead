import WherryCrypto
import WherryDatabase
import WherryModel
import WherryPlanning
import WherryWire

/// Desired states: composed, checked, numbered, signed and sent.
extension InventoryEngine {
  static let orderSeconds = 365 * 86_400

  /// Gives the device the plan that its assignments call for, under its next generation.
  func order(_ device: DeviceRecord, at now: Instant) throws {
    let plan = try composedPlan(for: device)
    try issue(device.name, generation: device.generation.next, plan: plan, at: now)
  }

  func issue(_ device: DeviceName, generation: Generation, plan: ComposedPlan, at now: Instant) throws {
    let expires = now.advanced(bySeconds: Self.orderSeconds)
    try database.setDesired(generation, plan: plan.digest, expires: expires, of: device)
    try send(try desiredMessage(device, generation: generation, plan: plan, expires: expires, at: now))
  }

  private func desiredMessage(
    _ device: DeviceName, generation: Generation, plan: ComposedPlan, expires: Instant, at now: Instant
  ) throws -> BusMessage {
    // Clocks of devices are behind or ahead by a little: five minutes are allowed.
    let statement = DesiredStatement(
      device: device, generation: generation, plan: plan.digest, planSize: Int64(plan.text.utf8.count),
      notBefore: now.advanced(bySeconds: -300), expires: expires)
    var envelope = Envelope(
      payloadType: DesiredStatement.payloadType, payload: statement.json.canonicalBytes, signatures: [])
    let key = environment.signingKey
    envelope.signatures = [
      EnvelopeSignature(
        keyID: key.publicKey.keyID, signature: key.sign(envelope.preAuthenticationEncoding))
    ]
    let message = DesiredMessage(
      envelope: envelope, plan: plan.text.utf8.count < DesiredMessage.inlinePlanBytesMaximum ? plan.text : nil)
    return BusMessage(
      topic: Topic.desired(device), payload: message.json.canonicalBytes, qos: 1, isRetained: true)
  }

  /// The same order again, freshly signed: for a device that has just come online, since a broker's retention is an
  /// optimisation and no promise.
  func repeatOrder(to device: DeviceRecord, at now: Instant) throws {
    guard let digest = device.plan, let text = try database.plan(digest) else { return }
    try issue(device.name, generation: device.generation, plan: ComposedPlan(digest: digest, text: text), at: now)
  }

  /// Orders are good for a year; those that expire within half of that are signed again.
  package func renewOrders() throws {
    let now = environment.now()
    try commit {
      try loadRollouts()
      for device in try database.devices(expiringBefore: now.advanced(bySeconds: Self.orderSeconds / 2)) {
        try repeatOrder(to: device, at: now)
      }
      try database.removeSessions(expiredBefore: now)
    }
  }

  // MARK: - Plans

  func composedPlan(for device: DeviceRecord) throws -> ComposedPlan {
    let deployments = try database.assignments(of: device.name).map(\.deployment).sorted()
    return try composedPlan(deployments, platform: device.platform, extra: nil, images: [:])
  }

  /// `extra` is a deployment that is not stored yet, with its `images`: the dry run before it is created.
  func composedPlan(
    _ deployments: [DeploymentID], platform: Platform, extra: Deployment?, images: [String: PlannedImage]
  ) throws -> ComposedPlan {
    let key = PlanKey(deployments: deployments, platform: platform.key)
    if extra == nil, let plan = planMemo[key] { return plan }
    var roots: [DeploymentRoots] = []
    var pins: [String: PlannedImage] = [:]
    for id in deployments {
      guard let deployment = try rollout(id)?.record.deployment else { continue }
      roots.append(deployment.roots)
      // Ascending: where two deployments pinned one tag differently, the newer pin holds.
      pins.merge(try database.images(of: id, platform: platform.key)) { _, newer in newer }
    }
    if let extra {
      roots.append(extra.roots)
      pins.merge(images) { _, newer in newer }
    }
    let plan = try composeChecked(roots, platform: platform, images: pins)
    guard extra == nil else { return plan }
    try store(plan)
    if planMemo.count >= Self.memoMaximum { planMemo.removeAll() }
    planMemo[key] = plan
    return plan
  }

  private func composeChecked(
    _ roots: [DeploymentRoots], platform: Platform, images: [String: PlannedImage]
  ) throws -> ComposedPlan {
    let plan: Plan
    do {
      plan = try PlanComposer.compose(roots: roots, catalog: catalog, platform: platform, images: images)
    } catch {
      throw Failure(
        .rejected, code: "plan.impossible", message: "\(error)",
        remedy: "deploy versions that fit together and to this device's platform")
    }
    let problems = PlanChecker.problems(in: plan)
    guard problems.isEmpty else {
      throw Failure(
        .internalError, code: "plan.unsound",
        message: "the composed plan is unsound: \(problems.joined(separator: "; "))",
        remedy: "report this: composer and checker disagree")
    }
    statistics.plansComposed += 1
    let text = plan.canonical
    return ComposedPlan(digest: SHA256.digest(of: text), text: text)
  }

  private func store(_ plan: ComposedPlan) throws {
    try database.storePlan(plan.text, digest: plan.digest, at: environment.now())
  }
}

extension Platform {
  /// One spelling for one platform: key of memos and pins.
  var key: String { json.canonical }
}

extension Deployment {
  var roots: DeploymentRoots {
    let place =
      switch target {
      case .group(let name): "group \(name)"
      case .device(let name): "device \(name)"
      }
    let source = id.rawValue == 0 ? "\(place), this deployment" : "\(place), deployment \(id)"
    return DeploymentRoots(deployment: id, components: components, apply: apply, source: source)
  }
}
