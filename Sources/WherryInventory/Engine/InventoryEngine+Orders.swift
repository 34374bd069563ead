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
    try issue(device.name, generation: device.nextGeneration, plan: plan, at: now)
  }

  /// For a device that may be empty, or that has seen more generations than the service gave: what its assignments call
  /// for now. What it was told last may be what failed there, and is not repeated.
  func orderAnew(_ device: DeviceRecord, at now: Instant) throws {
    guard device.plan != nil else { return }
    do { try order(device, at: now) } catch let failure as Failure {
      environment.note("no plan can be made for \(device.name) any more: \(failure)")
    }
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

  /// Unless the device has spoken of it, or it is still owed to the broker.
  func repeatOrderIfLost(to device: DeviceRecord, at now: Instant) throws {
    let reported = device.report?.generation ?? Generation(0)
    guard reported < device.generation, try !database.isOwed(Topic.desired(device.name)) else { return }
    try repeatOrder(to: device, at: now)
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
      try database.removeRegistryPasswords(expiredBefore: now)
    }
  }

  // MARK: - Plans

  func composedPlan(for device: DeviceRecord) throws -> ComposedPlan {
    let deployments = try database.assignments(of: device.name).map(\.deployment).sorted()
    return try composedPlan(of: deployments, on: device.platform)
  }

  /// - Parameter deployments: ascending.
  func composedPlan(of deployments: [DeploymentID], on platform: Platform) throws -> ComposedPlan {
    let key = PlanKey(deployments: deployments, platform: platform.key)
    if let plan = planMemo[key] { return plan }
    let (plan, versions) = try compose(deployments, on: platform)
    if !deployments.isEmpty { try database.addResolution(versions, of: deployments, platform: key.platform) }
    try store(plan)
    if planMemo.count >= Self.memoMaximum { planMemo.removeAll() }
    planMemo[key] = plan
    return plan
  }

  /// The plan and the version of each of its components. `draft` is a deployment that is not stored yet: the dry run
  /// before it is created.
  func compose(
    _ deployments: [DeploymentID], on platform: Platform, with draft: DeploymentDraft? = nil
  ) throws -> (plan: ComposedPlan, versions: [ComponentName: Version]) {
    var roots: [DeploymentRoots] = []
    var pins: [String: PlannedImage] = [:]
    for id in deployments {
      guard let deployment = try rollout(id)?.record.deployment else { continue }
      roots.append(deployment.roots)
      // Ascending: where two deployments pinned one tag differently, the newer pin holds.
      pins.merge(try database.images(of: id, platform: platform.key)) { _, newer in newer }
    }
    if let draft {
      roots.append(draft.deployment.roots)
      pins.merge(draft.images[platform.key] ?? [:]) { _, newer in newer }
    }
    let choices = try choices(of: deployments, on: platform, with: draft)
    return try composeChecked(roots, platform: platform, images: pins, preferring: choices)
  }

  private func composeChecked(
    _ roots: [DeploymentRoots], platform: Platform, images: [String: PlannedImage],
    preferring choices: [[ComponentName: Version]]
  ) throws -> (plan: ComposedPlan, versions: [ComponentName: Version]) {
    let plan: Plan
    do {
      plan = try composed(roots, platform: platform, images: images, preferring: choices)
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
    let versions = plan.components.map { ($0.name, $0.version) }
    return (
      ComposedPlan(digest: SHA256.digest(of: text), text: text), Dictionary(versions, uniquingKeysWith: { $1 })
    )
  }

  private func composed(
    _ roots: [DeploymentRoots], platform: Platform, images: [String: PlannedImage],
    preferring choices: [[ComponentName: Version]]
  ) throws(PlanningFailure) -> Plan {
    do throws(PlanningFailure) {
      return try PlanComposer.compose(
        roots: roots, catalog: catalog.preferring(choices), platform: platform, images: images)
    } catch {
      switch error {
      // Once more for the reasons: people read them with the newest version first.
      case .resolution:
        return try PlanComposer.compose(roots: roots, catalog: catalog, platform: platform, images: images)
      case .impossible: throw error
      }
    }
  }

  private func store(_ plan: ComposedPlan) throws {
    try database.storePlan(plan.text, digest: plan.digest, at: environment.now())
  }
}

extension DeviceRecord {
  /// Above what it was told and above what it has seen: a service that was restored from a backup knows of fewer.
  var nextGeneration: Generation { max(generation, report?.generation ?? Generation(0)).next }
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
