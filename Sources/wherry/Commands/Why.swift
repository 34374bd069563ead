import ArgumentParser
import Glibc
import WherryClient
import WherryJSON
import WherryModel

struct Why: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Why a device or a component is not where it should be, and what it waits for.",
    discussion: """
      Examples:
        wherry why kiosk-1
        wherry why kiosk-1 com.example.web
      """)
  @Argument var device: DeviceName
  @Argument var component: ComponentName?
  @OptionGroup var options: OutputOptions

  func run() throws {
    let client = try Session.load().client
    let current = try client.deployments().filter { !["cancelled", "superseded"].contains($0.state) }
    // The list leaves the devices out.
    let deployments = try current.prefix(Self.deploymentsMaximum).map { try client.deployment($0.id) }
    let explanation = DeviceExplanation(
      device: try client.device(device), deployments: deployments,
      now: Instant(milliseconds: Int64(time(nil)) * 1_000))
    let sentences = component.map(explanation.sentences(of:)) ?? explanation.sentences
    options.show(["device": .string(device.rawValue), "reasons": .array(sentences.map { .string($0) })]) {
      sentences.map { "\($0)\n" }.joined()
    }
  }

  private static let deploymentsMaximum = 20
}
