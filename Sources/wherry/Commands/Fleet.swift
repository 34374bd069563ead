import ArgumentParser

struct FleetCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fleet", abstract: "How the fleet is.", discussion: "Example: wherry fleet status",
    subcommands: [Status.self], defaultSubcommand: Status.self)

  struct Status: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Counts over all devices.", discussion: "Example: wherry fleet status")
    @OptionGroup var options: OutputOptions

    func run() throws {
      let fleet = try Session.load().client.fleet()
      options.show(fleet.json) {
        var text = "\(fleet.devices) devices, \(fleet.online) online\n"
        for (status, count) in fleet.byStatus.sorted(by: { $0.key < $1.key }) {
          text += "  \(status): \(count)\n"
        }
        for (state, count) in fleet.byComponentState.sorted(by: { $0.key < $1.key }) {
          text += "  components \(state): \(count)\n"
        }
        return text
      }
    }
  }
}
