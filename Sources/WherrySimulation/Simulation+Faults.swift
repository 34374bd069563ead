import WherryLifecycle
import WherryModel

/// Big faults, the end of them, and the look at what is left.
extension Simulation {
  mutating func bigFault() {
    guard isChaos else { return }
    let index = random.number(0...(devices.count - 1))
    switch random.number(0...10) {
    case 0...2: crashAgent(index)
    case 3...4: cutPower(index)
    case 5...6:
      disconnect(index)
      schedule(.connects(index), in: random.milliseconds(500...8_000))
    case 7: if sparesService() { break } else { crashService() }
    case 8: if sparesService() { break } else { crashBroker() }
    case 9: agentHears(index, .restartRequested(random.pick(["base", "hello", "web"]) ?? "base"))
    default: killWorkload(index)
    }
    let pause = options.faults.bigFaultPauseMilliseconds
    schedule(.bigFault, in: random.milliseconds(min(100, pause)...max(101, 2 * pause)))
  }

  private mutating func sparesService() -> Bool {
    if time < serviceSparedUntil { return true }
    serviceSparedUntil = time + Int64(options.faults.serviceFaultPauseMilliseconds)
    return false
  }

  mutating func jumpClock() {
    guard isChaos else { return }
    let jump = options.faults.clockJumpMilliseconds
    let error = Int64(random.number(0...2 * jump) - jump)
    service.clockError = error
    say("service", "clock is \(error) ms off")
    scheduleServiceTick()
    schedule(.clockJump, in: random.milliseconds(5_000...40_000))
  }

  private mutating func killWorkload(_ index: Int) {
    guard let id = random.pick(devices[index].alive.keys.sorted()), let workload = devices[index].alive[id] else {
      return
    }
    say(devices[index].name.rawValue, "\(id) is killed by someone")
    self.workload(index, id, workload.serial, .ends(ExitStatus(signal: 9)))
  }

  /// Everyone is back, and a good version is rolled out.
  mutating func endChaos() {
    // A scenario's faults stop early when its rollout has ended.
    guard chaosUntil >= time else { return }
    chaosUntil = time
    say("world", "faults stop")
    for index in devices.indices {
      schedule(.agentStarts(index), in: random.milliseconds(0...500))
      schedule(.connects(index), in: random.milliseconds(6_500...8_000))
    }
    schedule(.brokerStarts, in: 50)
    schedule(.serviceStarts, in: 100)
    if options.scenario == nil { schedule(.toService(.resume), in: 9_000) }
    if options.scenario == nil, random.chance(permille: 750) {
      schedule(.toService(.deploy(plan: options.deployments, policy())), in: random.milliseconds(100...12_000))
    }
    schedule(.inspection, in: 15_000)
  }

  func snapshot() -> FleetSnapshot {
    let devices = self.devices.indices.map { index in
      let device = self.devices[index]
      return FleetSnapshot.Device(
        state: device.journalled, plan: device.journalled.aim.flatMap { device.plans[$0.digest] },
        alive: device.alive.mapValues(\.identity), reportsUnacknowledged: device.outbox.count,
        desired: service.state.desired[index]?.generation, reported: service.state.reports[index])
    }
    return FleetSnapshot(devices: devices, rollout: service.state.rollout?.state.name ?? "", isAtRest: isAtRest)
  }

  /// A rollout that only waits for devices that do not come is at rest, too.
  private var isRolling: Bool {
    guard let rollout = service.state.rollout, rollout.state == .rolling else { return false }
    let isKeptBack = rollout.summary.devices.contains { $0.waitsFor != nil }
    return rollout.nextDeadline != nil || !isKeptBack
  }

  /// Nothing is under way any more: deployments have ended, reports are acknowledged, the rollout is decided.
  var isAtRest: Bool {
    !isRolling
      && devices.indices.allSatisfy { index in
        let device = devices[index]
        return device.isAgentUp && device.isConnected && device.outbox.isEmpty
          && device.journalled.deployment == nil
          && device.journalled.generation == service.state.desired[index]?.generation ?? Generation(0)
          && device.journalled.components.values.allSatisfy { ConvergenceChecker.isResting($0.phase) }
      }
  }
}
