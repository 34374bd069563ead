import WherryLifecycle
import WherryModel

/// Performing a device's actions: its kernel, its fetch worker, its outbox.
extension Simulation {
  mutating func perform(_ action: DeviceAction, on index: Int) {
    if case .probe = action {} else { say(devices[index].name.rawValue, "→ " + action.line) }
    switch action {
    case .fetch(let generation, let plan): beginFetch(index, generation, plan)
    case .cancelFetch: devices[index].fetchToken += 1
    case .run(let id, let planned, _, let identity): run(index, id, planned, identity)
    case .stop(let id, _): signal(index, id, isKill: false)
    case .kill(let id): signal(index, id, isKill: true)
    case .probe(let name, _, let id): probe(index, name, id)
    case .ask(let generation, _): later(index, .holding(generation: generation, []), in: 1)
    case .forget, .restart: break
    case .report(let report): publish(report, of: index)
    case .commit:
      statistics.commits += 1
      let plans = devices[index].plans.values
      devices[index].blobs.formIntersection(plans.flatMap(\.components).flatMap(\.blobs))
    }
  }

  private mutating func later(_ index: Int, _ event: DeviceEvent, in delay: Int64) {
    schedule(.agentHears(index, incarnation: devices[index].incarnation, event), in: delay)
  }

  private mutating func run(_ index: Int, _ id: WorkloadID, _ planned: PlannedComponent, _ identity: String) {
    let missing = planned.blobs.filter { !devices[index].blobs.contains($0) }
    if fault(options.faults.launchFails) {
      let failure = Failure(.start, code: "workload.launch", message: "no more processes", component: id.component)
      later(index, .workloadFailed(id, failure), in: 1)
      return
    }
    let serial = devices[index].serialNext
    devices[index].serialNext += 1
    let usual = software.behaviour(planned.name, planned.version)
    devices[index].alive[id] = SimulatedWorkload(
      serial: serial, identity: identity,
      behaviour: devices[index].isFailing ? .crashes(afterMilliseconds: 10) : usual)
    observe(.ran(device: index, id, identity: identity, blobsMissing: missing))
    schedule(.workload(index, id, serial: serial, .starts), in: random.milliseconds(2...40))
  }

  mutating func workload(_ index: Int, _ id: WorkloadID, _ serial: Int, _ turn: WorkloadTurn) {
    guard let workload = devices[index].alive[id], workload.serial == serial else { return }
    switch turn {
    case .starts:
      devices[index].alive[id]?.isStarted = true
      if let (delay, status) = fate(index, id, workload) {
        schedule(.workload(index, id, serial: serial, .ends(status)), in: delay)
      }
      agentHears(index, .workloadStarted(id))
    case .ends(let status):
      devices[index].alive[id] = nil
      devices[index].ended[id] = status
      observe(.gone(device: index, id))
      agentHears(index, .workloadEnded(id, status, log: ["\(id) says goodbye"]))
    }
  }

  /// When and how it will end by itself; nil = not.
  private mutating func fate(_ index: Int, _ id: WorkloadID, _ workload: SimulatedWorkload) -> (Int64, ExitStatus)? {
    let failure = ExitStatus(code: 1)
    switch id.step {
    case .install: return (random.milliseconds(5...200), workload.behaviour == .installFails ? failure : .success)
    case .shutdown where workload.behaviour == .stubborn: return nil
    case .startup where devices[index].isFailing: return (random.milliseconds(5...100), failure)
    case .bootstrap, .startup, .shutdown, .recover, .uninstall: return (random.milliseconds(5...100), .success)
    case .run: break
    }
    switch workload.behaviour {
    case .steady, .stubborn, .unhealthy, .installFails: return nil
    case .crashes(let delay): return (delay, failure)
    case .oneShot: return (random.milliseconds(5...100), .success)
    case .stumbles:
      return devices[index].stumbled.insert(workload.identity).inserted ? (random.milliseconds(5...100), failure) : nil
    }
  }

  private mutating func signal(_ index: Int, _ id: WorkloadID, isKill: Bool) {
    guard let workload = devices[index].alive[id] else {
      later(index, .workloadEnded(id, .unknown, log: []), in: 0)
      return
    }
    if isKill {
      let turn = WorkloadTurn.ends(ExitStatus(signal: 9))
      schedule(.workload(index, id, serial: workload.serial, turn), in: random.milliseconds(1...20))
    } else if workload.behaviour != .stubborn {
      let turn = WorkloadTurn.ends(ExitStatus(signal: 15))
      schedule(.workload(index, id, serial: workload.serial, turn), in: random.milliseconds(2...300))
    }
  }

  private mutating func probe(_ index: Int, _ name: ComponentName, _ id: WorkloadID) {
    let workload = devices[index].alive[id]
    let isHealthy = workload?.isStarted == true && workload?.behaviour != .unhealthy
    later(index, .health(name, isHealthy: isHealthy, detail: ""), in: random.milliseconds(1...50))
  }

  private mutating func beginFetch(_ index: Int, _ generation: Generation, _ plan: Plan) {
    devices[index].fetchToken += 1
    let total = Set(plan.components.flatMap(\.blobs)).count
    schedule(.fetchStep(index, token: devices[index].fetchToken, generation, total: total), in: 5)
  }

  /// One blob arrives, or the fetch ends.
  mutating func fetchStep(_ index: Int, _ token: Int, _ generation: Generation, _ total: Int) {
    let device = devices[index]
    guard device.isAgentUp, device.fetchToken == token, let reference = device.machine.state.deployment?.reference,
      reference.generation == generation, let plan = device.plans[reference.digest]
    else { return }
    let missing = plan.components.flatMap(\.blobs).filter { !device.blobs.contains($0) }
    guard let blob = missing.first else {
      agentHears(index, .fetched(generation: generation))
      return
    }
    if !device.isConnected || fault(options.faults.fetchFails) {
      let failure = Failure(.download, code: "download.unreachable", message: "the server did not answer")
      agentHears(index, .fetchFailed(generation: generation, failure))
      return
    }
    devices[index].blobs.insert(blob)
    let done = total - Set(missing).count + 1
    let wait = random.milliseconds(10...300) * Int64(device.slowness)
    schedule(.fetchStep(index, token: token, generation, total: total), in: wait)
    agentHears(index, .fetchProgress(generation: generation, done: Int64(done), total: Int64(total)))
  }
}
