import WherryLifecycle
import WherryModel

struct ConvergenceChecker: InvariantChecker {
  static let invariant = "once faults stop, every online device converges"

  /// Phases in which a component may be found when nothing is going on: some go on failing by themselves.
  static func isResting(_ phase: ComponentPhase) -> Bool {
    switch phase {
    case .running, .finished, .broken, .waiting, .installed: true
    case .new, .preparing, .awaitingRestart, .starting, .recovering, .shuttingDown, .stopping, .uninstalling,
      .uninstalled:
      false
    }
  }

  mutating func check(_ observation: Observation) -> String? {
    guard case .finished(let fleet) = observation else { return nil }
    if !fleet.isAtRest {
      let stuck = fleet.devices.enumerated().compactMap { index, device in describe(index, device) }
      return "the fleet does not come to rest; rollout \(fleet.rollout); \(stuck.joined(separator: "; "))"
    }
    for (index, device) in fleet.devices.enumerated() {
      if let fault = fault(of: device) { return "device \(index) \(fault)" }
    }
    return nil
  }

  private func describe(_ index: Int, _ device: FleetSnapshot.Device) -> String? {
    let phases = device.state.components.values.filter { !Self.isResting($0.phase) }.sorted { $0.name < $1.name }
    guard device.state.deployment != nil || !phases.isEmpty || device.state.generation != device.desired else {
      return nil
    }
    let desired = device.desired.map(\.description) ?? "none"
    return "device \(index) is at generation \(device.state.generation) of \(desired), "
      + "\(device.state.deployment.map { "\($0.phase)" } ?? "concluded"), \(phases.map { "\($0.name) \($0.phase)" })"
  }

  private func fault(of device: FleetSnapshot.Device) -> String? {
    let state = device.state
    guard let conclusion = state.conclusion else { return device.desired == nil ? nil : "has concluded nothing" }
    if conclusion.generation != device.desired { return "concluded generation \(conclusion.generation)" }
    if conclusion.status == .committed && state.current?.generation != conclusion.generation {
      return "committed generation \(conclusion.generation) and runs another"
    }
    if conclusion.status != .failed && state.aim != state.current { return "neither failed nor runs what it committed" }
    return faultOfComponents(device) ?? faultOfReport(device)
  }

  /// The kernel runs exactly what the plan wants.
  private func faultOfComponents(_ device: FleetSnapshot.Device) -> String? {
    let components = device.state.components
    let wanted = Set(device.plan?.components.map(\.name) ?? [])
    if Set(components.keys) != wanted { return "has components \(components.keys.sorted()), not \(wanted.sorted())" }
    for (id, identity) in device.alive.sorted(by: { $0.key < $1.key }) {
      if components[id.component]?.identity != identity { return "runs \(id) as \(identity), which nobody wants" }
    }
    for (name, component) in components.sorted(by: { $0.key < $1.key }) {
      // What starts up in place of running leaves nothing behind.
      guard case .running = component.phase, device.plan?[name]?.lifecycle.steps[.startup] == nil else { continue }
      if device.alive[WorkloadID(name, .run)] == nil { return "believes that \(name) runs" }
    }
    return nil
  }

  private func faultOfReport(_ device: FleetSnapshot.Device) -> String? {
    guard let reported = device.reported else { return "never reported" }
    let components = device.state.components.values.map(\.report).sorted { $0.name < $1.name }
    if reported.components != components { return "is not what it reported: \(reported.line)" }
    if reported.status != device.state.conclusion?.status { return "ended otherwise than it reported" }
    return nil
  }
}
