import WherryDatabase
import WherryModel
import WherryWire

/// The dashboard's values, ready for the template: words and numbers, no decisions left.
struct DashboardPage {
  /// Of the newest, and of older ones that have not ended.
  static let deploymentsMaximum = 12
  /// More than a person reads; the counts above the table are of all.
  static let devicesMaximum = 200
  static let failingMaximum = 50

  let overview: FleetOverview
  private var fleet: FleetSummary { overview.fleet }

  init(of engine: InventoryEngine, devicesMaximum: Int = Self.devicesMaximum) async throws {
    overview = try await engine.overview(
      devices: devicesMaximum, deployments: Self.deploymentsMaximum, failing: Self.failingMaximum)
  }

  var values: [String: Any] {
    let devices = overview.devices
    let columns = Set(devices.flatMap { $0.components.map(\.name) }).sorted()
    let failures = failures()
    let failuresMore = max(0, overview.failingCount - overview.failing.count)
    return [
      "cards": cards, "hasDevices": !devices.isEmpty, "columns": columns.map(\.rawValue),
      "devices": devices.map { row($0, columns: columns) }, "more": max(0, fleet.devices - devices.count),
      "hasMore": fleet.devices > devices.count, "hasDeployments": !overview.deployments.isEmpty,
      "deployments": overview.deployments.map(article), "hasFailures": !failures.isEmpty, "failures": failures,
      "hasMoreFailures": failuresMore > 0, "failuresMore": failuresMore,
    ]
  }

  private var cards: [[String: Any]] {
    func count(_ states: ComponentState...) -> Int {
      states.reduce(0) { $0 + (fleet.byComponentState[$1.rawValue] ?? 0) }
    }
    let failing = count(.errored, .broken)
    func deployments(_ states: DeploymentState...) -> Int {
      states.reduce(0) { $0 + (overview.deploymentCounts[$1] ?? 0) }
    }
    let active = deployments(.rolling, .paused)
    let halted = deployments(.halted)
    let cards: [[String: Any]] = [
      ["label": "devices", "value": fleet.devices, "tone": ""],
      ["label": "online", "value": fleet.online, "tone": fleet.online == fleet.devices ? "good" : "busy"],
      ["label": "components running", "value": count(.running, .finished), "tone": "good"],
      ["label": "components failing", "value": failing, "tone": failing == 0 ? "" : "bad"],
      ["label": "deployments under way", "value": active, "tone": active == 0 ? "" : "busy"],
    ]
    return halted == 0 ? cards : cards + [["label": "deployments halted", "value": halted, "tone": "bad"]]
  }

  private func row(_ device: DeviceSummary, columns: [ComponentName]) -> [String: Any] {
    var row: [String: Any] = [
      "name": device.name.rawValue, "presence": device.isOnline ? "online" : "offline",
      "platform": ["os", "architecture"].compactMap { device.platform.attributes[$0] }.joined(separator: "/"),
      "groups": device.groups.map(\.rawValue).joined(separator: ", "), "generation": device.generation.rawValue,
      "seen": device.isOnline ? "" : "last seen " + (device.lastSeen.map(Timestamp.text) ?? "never"),
      "cells": columns.map { cell(of: device, $0) },
    ]
    if let status = device.status {
      var text = status.rawValue
      if status == .fetching, device.bytesTotal > 0 { text += " \(device.bytesDone * 100 / device.bytesTotal)%" }
      row["status"] = ["text": text, "tone": Self.tone(status)]
      if status == .fetching {
        row["transfers"] = device.transfers.map { transfer in
          [
            "label": transfer.label, "done": transfer.bytesDone, "total": max(1, transfer.bytesTotal),
            "text": "\(ByteCount.readable(transfer.bytesDone)) of \(ByteCount.readable(transfer.bytesTotal))",
          ] as [String: Any]
        }
        // Why it does not go on; what failed has a place of its own on this page.
        if let failure = device.failure {
          row["waits"] =
            failure.message + (device.resumesAt.map { "; until \(Timestamp.text($0)) at the latest" } ?? "")
        }
      }
    }
    return row
  }

  private func cell(of device: DeviceSummary, _ name: ComponentName) -> [String: Any] {
    var cell: [String: Any] = ["component": name.rawValue]
    guard let component = device.components.first(where: { $0.name == name }) else { return cell }
    var state: [String: Any] = [
      "text": component.state.rawValue, "tone": Self.tone(component.state),
      "version": component.version.description,
    ]
    if component.isLocal { state["local"] = true }
    if component.restarts > 0 { state["restarts"] = component.restarts }
    cell["state"] = state
    return cell
  }

  private func article(_ deployment: DeploymentSummary) -> [String: Any] {
    var article: [String: Any] = [
      "id": deployment.id.rawValue, "target": deployment.target.description, "state": deployment.state,
      "tone": Self.tone(DeploymentState(rawValue: deployment.state)), "created": Timestamp.text(deployment.createdAt),
      "components": deployment.components.map { "\($0.key)=\($0.value)" }.sorted(),
      "waves": deployment.waves.map(Self.wave),
    ]
    if !deployment.reason.isEmpty { article["reason"] = deployment.reason }
    if let finished = deployment.finishedAt { article["finished"] = Timestamp.text(finished) }
    return article
  }

  private static func wave(_ wave: WaveSummary) -> [String: Any] {
    let failed = wave.failed + wave.silent
    let done = wave.committed + failed
    var words = ["\(wave.committed) of \(wave.size)"]
    if wave.failed > 0 { words.append("\(wave.failed) failed") }
    if wave.silent > 0 { words.append("\(wave.silent) silent") }
    if wave.deferred > 0 { words.append("\(wave.deferred) deferred") }
    if wave.parked > 0 { words.append("\(wave.parked) offline") }
    if wave.state != "done" { words.append(wave.state) }
    return [
      "number": wave.index, "size": max(1, wave.size), "committed": wave.committed, "failed": failed,
      "done": done, "busy": max(0, wave.released - done), "text": words.joined(separator: " · "),
    ]
  }

  /// What is wrong now: of devices and of their components, with the last words of what failed.
  private func failures() -> [[String: Any]] {
    overview.failing.flatMap { device in
      device.failures.map { failure in
        var values: [String: Any] = [
          "device": device.name.rawValue, "class": failure.failureClass.rawValue, "code": failure.code,
          "message": failure.message,
        ]
        if let component = failure.component { values["component"] = component.rawValue }
        if !failure.remedy.isEmpty { values["remedy"] = failure.remedy }
        if !failure.log.isEmpty { values["log"] = failure.log.joined(separator: "\n") }
        return values
      }
    }
  }

  // MARK: - Colours

  private static func tone(_ status: DeploymentStatus) -> String {
    switch status {
    case .committed: "good"
    case .rolledBack, .failed, .rejected: "bad"
    case .received, .fetching, .applying, .settling, .rollingBack, .superseded: "busy"
    }
  }

  private static func tone(_ state: ComponentState) -> String {
    switch state {
    case .running, .finished: "good"
    case .errored, .broken: "bad"
    case .new, .installed, .starting, .stopping: "busy"
    }
  }

  private static func tone(_ state: DeploymentState?) -> String {
    switch state {
    case .completed: "good"
    case .halted: "bad"
    case .rolling, .paused: "busy"
    case .cancelled, .superseded, nil: ""
    }
  }
}
