import ArgumentParser
import WherryJSON
import WherryModel
import WherryWire

struct ClaimCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "claim", abstract: "One-time permissions for new devices to join.",
    discussion: "Example: wherry claim create --device kiosk-1 --group kiosks",
    subcommands: [Create.self, List.self, Revoke.self])

  struct Create: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print a claim for `wherry-agent provision --claim`.",
      discussion: "Example: wherry claim create --device kiosk-1 --group kiosks --label site=berlin > kiosk-1.claim")
    @Option(help: "Only this device name may use it.") var device: DeviceName?
    @Option(name: .customLong("group"), help: "Groups that the device joins (repeatable).") var groups: [GroupName] = []
    @Option(name: .customLong("label"), help: "Labels as key=value (repeatable).") var labels: [String] = []
    @Option(help: "How long it is valid: 90s, 15m, 24h, 7d.") var expires: String = "24h"
    @Option(help: "How many devices may use it.") var uses: Int = 1
    @OptionGroup var options: OutputOptions

    func run() throws {
      var pairs: [String: String] = [:]
      for label in labels {
        let (key, value) = try parsePair(label, what: "label")
        pairs[key] = value
      }
      let request = ClaimRequest(
        device: device, groups: groups, labels: pairs,
        expiresInSeconds: try parseSeconds(expires, what: "--expires"), uses: uses)
      let claim = try Session.load().client.createClaim(request)
      options.show(claim.json) { (claim.claim ?? "") + "\n" }
    }
  }

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Claims that can still be used.", discussion: "Example: wherry claim list")
    @OptionGroup var options: OutputOptions

    func run() throws {
      let claims = try Session.load().client.claims()
      options.show(["claims": .array(claims.map(\.json))]) {
        Console.table(
          ["ID", "DEVICE", "GROUPS", "USES LEFT"],
          claims.map {
            [
              $0.id, $0.device?.rawValue ?? "any", $0.groups.map(\.rawValue).joined(separator: ","),
              String($0.usesLeft),
            ]
          })
      }
    }
  }

  struct Revoke: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make a claim unusable.", discussion: "Example: wherry claim revoke 3f2a")
    @Argument var id: String

    func run() throws {
      try Session.load().client.revokeClaim(id)
      Console.line("Revoked claim \(id).")
    }
  }
}
