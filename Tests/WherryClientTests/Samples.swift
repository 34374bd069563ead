import WherryModel
import WherryWire

enum Samples {
  static func deployment(_ state: String, devices: [DeploymentDevice] = []) -> DeploymentSummary {
    DeploymentSummary(
      id: DeploymentID(3), target: .group("kiosks"), components: ["com.example.web": "1.0.0"], state: state, reason: "",
      createdAt: Instant(milliseconds: 1_800_000_000_000), finishedAt: nil, waves: [], devices: devices,
      policy: RolloutPolicy())
  }

  /// The deployment as an event of its stream.
  static func event(_ state: String) -> String { "data: \(deployment(state).json.canonical)\n\n" }
}
