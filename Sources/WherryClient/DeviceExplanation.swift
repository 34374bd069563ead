import WherryModel
import WherryWire

/// Why a device, or a component on it, is not where somebody expects it: what it waits for, since when, and what would
/// help. Made of what the service knows of the device and of the deployments that reach it.
package struct DeviceExplanation {
  private let device: DeviceSummary
  private let deployments: [DeploymentSummary]
  private let now: Instant

  /// - Parameter deployments: those that have not been cancelled or superseded, newest first.
  package init(device: DeviceSummary, deployments: [DeploymentSummary], now: Instant) {
    self.device = device
    self.deployments = deployments.filter { deployment in deployment.devices.contains { $0.name == device.name } }
    self.now = now
  }

  // MARK: - The device

  /// One sentence each, the most telling first. Never empty.
  package var sentences: [String] {
    var sentences = device.isOnline ? [] : [offline]
    sentences += deployments.compactMap(waiting)
    sentences += order
    sentences += device.components.compactMap(trouble)
    if sentences.isEmpty {
      sentences.append(
        device.generation.rawValue == 0
          ? "\(device.name) is online and was never told to run anything; deploy to it or to a group of it"
          : "\(device.name) is online and runs what it was told, generation \(device.generation)")
    }
    return sentences + localDeployment
  }

  private var offline: String {
    let since = device.lastSeen.map { "since \(Timestamp.text($0)), \(Self.span(from: $0, to: now)) ago" }
    return "\(device.name) is offline \(since ?? "and was never seen"); it goes on with what it has, and looks for its "
      + "newest desired state when it is back"
  }

  /// Of the deployments that have not reached it yet.
  private func waiting(_ deployment: DeploymentSummary) -> String? {
    guard let row = deployment.devices.first(where: { $0.name == device.name }) else { return nil }
    let name = "deployment \(deployment.id)"
    switch row.status {
    case "parked" where row.generation.rawValue == 0:
      return "\(name) passed it by, since it was offline when its turn came; it is next when it is back"
    case "waiting":
      switch deployment.state {
      case "paused":
        return "\(name) waits for a person: \(deployment.reason); `wherry deployment resume \(deployment.id)`"
      case "halted":
        return "\(name) was halted before its turn: \(deployment.reason); mend the cause, then `wherry deployment "
          + "resume \(deployment.id)` or deploy another version"
      default: return "\(name), begun \(Self.span(from: deployment.createdAt, to: now)) ago: \(turn(row, deployment))"
      }
    case "silent":
      return
        "\(name): \(row.failure?.description ?? "nothing was heard of it in time"); what it says later still counts"
    default: return nil
    }
  }

  private func turn(_ row: DeploymentDevice, _ deployment: DeploymentSummary) -> String {
    let place = "it is in wave \(row.wave) of \(deployment.waves.count)"
    guard let open = deployment.waves.last(where: { $0.state == "open" || $0.state == "soaking" }) else {
      return "\(place), and none is open yet"
    }
    if let obstacle = row.waitsFor { return "\(place), which is open; \(obstacle)" }
    if open.state == "soaking" {
      return "\(place); wave \(open.index) committed and soaks for \(deployment.policy.soakMilliseconds / 1_000) s"
    }
    let busy = deployment.devices.filter { member in
      !["waiting", "parked", "committed", "failed", "silent", "reverted"].contains(member.status)
    }
    let names = busy.prefix(3).map { "\($0.name) (\($0.status))" }.joined(separator: ", ")
    let others = busy.count > 3 ? " and \(busy.count - 3) more" : ""
    if open.index == row.wave {
      let limit = deployment.policy.concurrencyMaximum
      return "\(place), which is open; "
        + (limit > 0
          ? "\(limit) at a time are changed, now \(names)\(others)"
          : "nobody committed yet, and one at a time shows that it works, now \(names)\(others)")
    }
    return "\(place); wave \(open.index) is open with \(open.committed) of \(open.size) committed"
      + (busy.isEmpty ? ", and nobody of it is online" : ", under way: \(names)\(others)")
  }

  /// Of its newest desired state.
  private var order: [String] {
    guard device.reportedGeneration >= device.generation else {
      return device.isOnline
        ? ["generation \(device.generation) is on its way to it; it has reported \(device.reportedGeneration)"] : []
    }
    let generation = "generation \(device.generation)"
    switch device.status {
    case nil, .committed: return []
    case .received: return ["\(generation) was received"]
    case .fetching:
      if let failure = device.failure {
        let until = device.resumesAt.map { ", until \(Timestamp.text($0)) at the latest" } ?? ""
        return ["\(generation) waits\(until): \(failure)"]
      }
      guard device.bytesTotal > 0 else { return ["\(generation) is being fetched"] }
      let (done, total) = (ByteCount.readable(device.bytesDone), ByteCount.readable(device.bytesTotal))
      let percent = device.bytesDone * 100 / device.bytesTotal
      return ["\(generation) is being fetched: \(done) of \(total), \(percent)%"]
    case .applying: return ["\(generation) is being applied: components stop and start"]
    case .settling: return ["\(generation) runs and is watched before it commits"]
    case .rollingBack:
      return ["\(generation) failed, and it goes back: " + (device.failure?.description ?? "no reason was given")]
    case .superseded: return ["\(generation) was replaced by a newer one, of which nothing was heard yet"]
    case .rolledBack, .failed, .rejected:
      let words = [
        DeploymentStatus.rolledBack: "failed, and the state before it runs again",
        .rejected: "was refused, and what ran before runs on",
      ]
      let end = device.status.flatMap { words[$0] } ?? "failed"
      return ["\(generation) \(end): " + (device.failure?.description ?? "no reason was given")]
    }
  }

  /// What somebody deployed on the device itself, as far as there is something to say about it.
  private var localDeployment: [String] {
    guard let local = device.local else { return [] }
    let name = "local deployment \(local.id), made on the device itself,"
    let why = local.failure.map { ": \($0)" } ?? ""
    switch local.status {
    case .committed:
      let names = device.components.filter(\.isLocal).map(\.name.rawValue)
      let list = names.joined(separator: ", ")
      return names.isEmpty ? [] : ["deployed on the device itself, not by this service: \(list)"]
    case .superseded: return ["\(name) gave way to a newer order of this service; it has to be made again"]
    case .rolledBack: return ["\(name) failed, and the state before it runs again\(why)"]
    case .failed, .rejected: return ["\(name) failed\(why)"]
    case .received, .fetching, .applying, .settling, .rollingBack:
      return ["\(name) is under way: \(local.status.rawValue)\(why)"]
    }
  }

  // MARK: - Components

  /// Of one component.
  package func sentences(of component: ComponentName) -> [String] {
    var sentences = device.isOnline ? [] : [offline]
    if let report = device.components.first(where: { $0.name == component }) {
      sentences.append(
        trouble(report)
          ?? "\(report.name) \(report.version) is \(report.state.rawValue)"
          + (report.restarts == 0 ? "" : ", restarted \(report.restarts) times")
          + (report.isLocal ? "; it was deployed on the device itself, not by this service" : ""))
    } else {
      let bringing = deployments.filter { $0.components[component] != nil }
      sentences.append(
        bringing.isEmpty
          ? "\(device.name) has no \(component), and no deployment of it names that; it may come as a dependency"
          : "\(device.name) has no \(component) yet; deployment \(bringing.map { "\($0.id)" }.joined(separator: ", ")) "
            + "brings it")
    }
    let concerned = deployments.filter { $0.components[component] != nil }
    sentences += concerned.compactMap(waiting)
    return sentences + order
  }

  private func trouble(_ report: ComponentReport) -> String? {
    switch report.state {
    case .running, .finished: return nil
    case .broken, .errored:
      let why = report.failure.map { ": \($0)" } ?? ""
      let next = report.state == .broken ? "; it is not tried again until it is deployed or restarted" : ""
      return "\(report.name) \(report.version) is \(report.state.rawValue)\(why)\(next)"
    case .new, .installed, .starting, .stopping:
      return "\(report.name) \(report.version) is \(report.state.rawValue), restarted \(report.restarts) times"
    }
  }

  /// `3 d 4 h`, `12 min`, `5 s`.
  static func span(from start: Instant, to end: Instant) -> String {
    span(milliseconds: end.milliseconds(since: start))
  }

  package static func span(milliseconds: Int64) -> String {
    let seconds = max(0, milliseconds / 1_000)
    if seconds < 60 { return "\(seconds) s" }
    if seconds < 3_600 { return "\(seconds / 60) min" }
    if seconds < 86_400 { return "\(seconds / 3_600) h \(seconds / 60 % 60) min" }
    return "\(seconds / 86_400) d \(seconds / 3_600 % 24) h"
  }
}
