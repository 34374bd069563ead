import Glibc
import WherryCrypto
import WherryJSON
import WherryLifecycle
import WherryModel
import WherryPlanning
import WherryWire

/// What has to be joined with something else before it is an event: the service's orders with what was deployed here,
/// and what is deployed here with the service's order.
enum Arrival {
  case order(DesiredStatement, Plan, text: String?)
  case local(JSON, LocalClient)
}

extension AgentEngine {
  /// Only when nothing waits in the inbox is it certain what they are joined with.
  func takeArrivals() {
    while inbox.isEmpty, !arrivals.isEmpty {
      switch arrivals.removeFirst() {
      case .order(let statement, let plan, let text): join(statement, plan, text)
      case .local(let request, let client):
        do throws(Failure) {
          let generation = try deploy(request)
          promises.append((client, ["id": .string(generation.description)]))
        } catch { client.send(["failure": error.json], isLast: true) }
      }
    }
  }

  func keepPromises() {
    for promise in promises { promise.client.send(promise.answer, isLast: true) }
    promises = []
  }

  // MARK: The service's orders

  private func join(_ statement: DesiredStatement, _ plan: Plan, _ text: String?) {
    do throws(Failure) {
      let local = committedLocalSet
      let whole = try Self.union(plan, statement.plan, local ?? LocalSet(), policy: nil)
      plans[statement.plan] = plan
      if let text { unsaved.plans[statement.plan] = text }
      let digest = local == nil ? statement.plan : remember(whole)
      receive(.desired(generation: statement.generation, digest: digest, plan: whole))
    } catch {
      log.error("\(error)", ["code": error.code, "generation": "\(statement.generation)"])
      receive(.refused(generation: statement.generation, digest: statement.plan, error))
    }
  }

  /// Of what was deployed here, that which stays when what is under way comes to nothing: an order of the service
  /// carries nothing that has not proved itself.
  private var committedLocalSet: LocalSet? {
    let reference = machine.state.deployment == nil ? machine.state.aim : machine.state.current
    return reference.flatMap { plans[$0.digest]?.local }.flatMap { $0.isEmpty ? nil : $0 }
  }

  private static func union(
    _ service: Plan?, _ digest: Digest?, _ local: LocalSet, policy: ApplyPolicy?
  ) throws(Failure) -> Plan {
    let plan: Plan
    do { plan = try LocalUnion.compose(service: service, digest: digest, local: local, policy: policy) } catch {
      throw conflict(error)
    }
    let problems = plan.local == nil ? [] : PlanChecker.problems(in: plan)
    guard problems.isEmpty else {
      throw Failure(
        .rejected, code: "local.invalid",
        message: "the local deployment is not sound: \(problems.prefix(5).joined(separator: "; "))",
        remedy: "correct the recipes and deploy again")
    }
    return plan
  }

  static func conflict(_ failure: PlanningFailure) -> Failure {
    var lines = [failure.description]
    if case .resolution(let chain) = failure { lines = chain.lines }
    let remedy = lines.count > 1 ? lines.removeLast() : "change the recipes or the service's order"
    return Failure(
      .rejected, code: "local.conflict",
      message: "the service's order and what is deployed locally do not go together: "
        + lines.joined(separator: "; "), remedy: remedy)
  }

  private func remember(_ plan: Plan) -> Digest {
    let text = plan.canonical
    let digest = SHA256.digest(of: text)
    plans[digest] = plan
    unsaved.plans[digest] = text
    return digest
  }

  // MARK: Local deployments

  /// The service's part of what the device runs.
  private var orderedPart: (plan: Plan?, digest: Digest?) {
    guard let digest = machine.state.aim?.digest, let plan = plans[digest] else { return (nil, nil) }
    guard plan.local != nil else { return (plan, digest) }
    return (plan.ordered.flatMap { plans[$0] }, plan.ordered)
  }

  private func deploy(_ request: JSON) throws(Failure) -> Generation {
    try checkThatItMayBegin()
    let wanted: LocalDeploymentRequest
    do { wanted = try LocalDeploymentRequest(JSONCursor(request)) } catch {
      throw Failure(
        .rejected, code: "request.invalid", message: "the local deployment cannot be read: \(error)",
        remedy: "use the wherry-agent of the same version")
    }
    guard wanted.basis == machine.state.aim?.digest else {
      throw Failure(
        .rejected, code: "local.changed", message: "the device got another state while this was being prepared",
        remedy: "deploy again")
    }
    let (service, digest) = orderedPart
    let plan = try Self.union(service, digest, wanted.local, policy: wanted.policy)
    try takeStaged(wanted.local)
    let generation = machine.state.generation.nextLocal
    let names = wanted.local.roots.keys.sorted().map(\.rawValue).joined(separator: " ")
    log.warning(
      "a local deployment, which nobody signed: root asked for it on this device",
      ["deployment": "\(generation)", "components": names])
    // What was refused for the sake of the old set may go with the new one.
    lastRefused = nil
    receive(.desired(generation: generation, digest: remember(plan), plan: plan))
    return generation
  }

  private func checkThatItMayBegin() throws(Failure) {
    guard configuration.localDeployments else {
      throw Failure(
        .rejected, code: "local.forbidden", message: "this device takes no local deployments",
        remedy: "write `local_deployments = on` into agent.conf and start the agent again")
    }
    guard machine.state.deployment == nil, planFetch == nil else {
      let generation = machine.state.deployment?.reference.generation ?? planFetch?.statement.generation
      let name = generation.map { $0.isLocal ? "local deployment \($0)" : "the service's generation \($0)" } ?? ""
      throw Failure(
        .rejected, code: "local.busy", message: "\(name) is under way on this device",
        remedy: "wait until it has ended (`wherry-agent status`), then deploy again")
    }
  }

  /// From here on the garbage collection knows them.
  private func takeStaged(_ local: LocalSet) throws(Failure) {
    for component in local.components.values {
      for artifact in component.planned.artifacts where artifact.source == PlannedArtifact.localSource {
        let target = paths.blob(artifact.digest)
        if Files.exists(target) || Files.exists(paths.artifacts(component.planned)) { continue }
        let staged = paths.stagedBlob(artifact.digest)
        guard Files.size(staged) == artifact.size else {
          throw Failure(
            .verify, code: "local.artifactLost",
            message: "\(artifact.fileName) of \(component.planned.name) was not handed over whole",
            remedy: "deploy again")
        }
        try Files.makeDirectory(paths.blobs, owner: jobs.account)
        guard rename(staged, target) == 0 else { throw Files.failure("move", staged) }
      }
    }
    Files.syncParent(of: paths.blobs + "/x")
  }

  // MARK: What there is

  func isLocal(_ name: ComponentName) -> Bool {
    machine.state.aim.flatMap { plans[$0.digest] }?.localNames.contains(name) ?? false
  }

  /// All that resolving needs to know, and how the last ones ended.
  var localContext: JSON {
    let state = machine.state
    let (service, _) = orderedPart
    let local = state.aim.flatMap { plans[$0.digest]?.local }
    let underWay = state.deployment?.reference.generation
    var ends = state.localConclusions.map { end -> JSON in
      LocalReport(id: end.generation.description, status: end.status, failure: end.failure).json
    }
    if underWay?.isLocal == true, let report = lastReport?.local { ends.append(report.json) }
    return .members([
      ("allowed", .bool(configuration.localDeployments)), ("basis", (state.aim?.digest.description).map(JSON.string)),
      ("local", local?.json), ("service", service?.json), ("underWay", (underWay?.description).map(JSON.string)),
      ("deployments", .array(ends)),
    ])
  }
}
