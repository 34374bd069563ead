import WherryModel

/// The last segment of a device's topics.
package enum TopicKind: String, Hashable, Sendable, CaseIterable {
  case desired, reported, acked, presence, telemetry, commands, results
}

/// MQTT topics (Docs/protocol.md). The device's name is a segment of its own, which the broker's access rule relies on.
package enum Topic {
  package static let root = "wherry/v1/devices/"

  package static func of(_ device: DeviceName, _ kind: TopicKind) -> String { "\(root)\(device)/\(kind.rawValue)" }
  package static func desired(_ device: DeviceName) -> String { of(device, .desired) }
  package static func reported(_ device: DeviceName) -> String { of(device, .reported) }
  package static func acked(_ device: DeviceName) -> String { of(device, .acked) }
  package static func presence(_ device: DeviceName) -> String { of(device, .presence) }
  package static func telemetry(_ device: DeviceName) -> String { of(device, .telemetry) }
  package static func commands(_ device: DeviceName) -> String { of(device, .commands) }
  package static func results(_ device: DeviceName) -> String { of(device, .results) }

  package static let allReported = root + "+/reported"
  package static let allPresence = root + "+/presence"
  package static let allResults = root + "+/results"
  package static let allTelemetry = root + "+/telemetry"

  package static func parse(_ topic: String) -> (device: DeviceName, kind: TopicKind)? {
    guard topic.hasPrefix(root) else { return nil }
    let parts = topic.dropFirst(root.count).split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, let device = try? DeviceName(validating: String(parts[0])),
      let kind = TopicKind(rawValue: String(parts[1]))
    else { return nil }
    return (device, kind)
  }
}
