import WherryClient
import WherryModel
import WherryWire

/// What a deployment would do, for people: devices that are alike share a row.
enum PreviewText {
  static func text(_ preview: DeploymentPreview) -> String {
    let count = preview.devices.count
    let bytes = preview.devices.reduce(Int64(0)) { $0 + $1.bytesToDownload }
    let versions = preview.components.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    var text = "\(versions.joined(separator: " ")) to \(preview.target): \(devices(count)), "
    text += "\(Console.bytes(bytes)) to download in all. Nothing was changed.\n"
    if let underWay = preview.supersedes {
      text += "It would take the place of deployment \(underWay), which is under way.\n"
    }
    if count > 0 { text += "waves: \(preview.waves.map(String.init).joined(separator: ", "))\n" }
    text += Console.table(["DEVICES", "WAVE", "DOWNLOAD", "CHANGES"], rows(preview.devices))
    let away = preview.devices.count { !$0.isOnline }
    if away > 0 { text += "\(devices(away)) offline; they change when they are back.\n" }
    return text + (count > 0 ? preview.forecast.map(forecast) ?? "" : "")
  }

  private static func forecast(_ forecast: DeploymentForecast) -> String {
    let opens = forecast.waves.map { $0.map { DeviceExplanation.span(milliseconds: $0) } ?? "never" }
    var text = "expected: "
    let span = DeviceExplanation.span(milliseconds: forecast.milliseconds)
    switch forecast.ending {
    case "completed": text += "finished after \(span)"
    case "halted": text += "halted after \(span) (\(forecast.reason))"
    default: text += "no end, since it waits for devices that are away"
    }
    text += "; waves open after \(opens.joined(separator: ", ")); \(Console.bytes(forecast.bytes)) leave the service.\n"
    if forecast.unknownPaces > 0 && forecast.bytes > 0 {
      text += "\(devices(forecast.unknownPaces)) never seen downloading; 1 MiB/s is assumed.\n"
    }
    let missing = forecast.missing.prefix(5).map { "\($0.name) (\($0.reason))" }.joined(separator: ", ")
    let others = forecast.missing.count > 5 ? " and \(forecast.missing.count - 5) more" : ""
    return forecast.missing.isEmpty ? text : text + "not expected to change: \(missing)\(others)\n"
  }

  private static func devices(_ count: Int) -> String { count == 1 ? "1 device" : "\(count) devices" }

  private struct Kind: Hashable {
    var wave: Int
    var bytes: Int64
    var changes: String
  }

  private static func rows(_ devices: [DevicePreview]) -> [[String]] {
    let kinds = Dictionary(grouping: devices) {
      Kind(wave: $0.wave, bytes: $0.bytesToDownload, changes: changes($0))
    }
    let sorted = kinds.sorted { ($0.key.wave, $0.key.changes) < ($1.key.wave, $1.key.changes) }
    return sorted.map { kind, members in
      let names = members.prefix(3).map(\.name.rawValue).joined(separator: ", ")
      let others = members.count > 3 ? " and \(members.count - 3) more" : ""
      let isRefused = members[0].refusal != nil
      return [names + others, "\(kind.wave)", isRefused ? "-" : Console.bytes(kind.bytes), kind.changes]
    }
  }

  private static func changes(_ device: DevicePreview) -> String {
    if let refusal = device.refusal { return Console.bad("refused: \(refusal)") }
    let changes = device.changes.compactMap { change -> String? in
      let (from, to) = (change.from?.description ?? "", change.to?.description ?? "")
      switch change.kind {
      case .added: return "+ \(change.component) \(to)"
      case .removed: return "- \(change.component) \(from)"
      case .changed: return "\(change.component) \(from) -> \(to)"
      case .rebuilt: return "\(change.component) \(to) restarts: its image, files or limits differ"
      case .reconfigured: return "\(change.component) \(to) restarts if its configuration differs"
      case .unchanged: return nil
      }
    }
    return changes.isEmpty ? "none" : changes.joined(separator: "; ")
  }
}
