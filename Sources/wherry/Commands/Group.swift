import ArgumentParser
import WherryJSON
import WherryModel

struct GroupCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "group", abstract: "Groups of devices, the targets of deployments.",
    discussion: "Example: wherry group create kiosks",
    subcommands: [Create.self, Add.self, Remove.self, List.self, Show.self, Delete.self])

  struct Create: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make an empty group.", discussion: "Example: wherry group create kiosks")
    @Argument var group: GroupName

    func run() throws {
      try Session.load().client.createGroup(group)
      Console.line("Created group \(group).")
    }
  }

  struct Add: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Put devices into a group.", discussion: "Example: wherry group add kiosks kiosk-1 kiosk-2")
    @Argument var group: GroupName
    @Argument var devices: [DeviceName]

    func run() throws {
      let client = try Session.load().client
      for device in devices { try client.add(device, to: group) }
      Console.line("Added \(devices.map(\.rawValue).joined(separator: ", ")) to \(group).")
    }
  }

  struct Remove: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Take devices out of a group.", discussion: "Example: wherry group remove kiosks kiosk-1")
    @Argument var group: GroupName
    @Argument var devices: [DeviceName]

    func run() throws {
      let client = try Session.load().client
      for device in devices { try client.remove(device, from: group) }
      Console.line("Removed \(devices.map(\.rawValue).joined(separator: ", ")) from \(group).")
    }
  }

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "All groups.", discussion: "Example: wherry group list")
    @OptionGroup var options: OutputOptions

    func run() throws {
      let groups = try Session.load().client.groups()
      options.show(["groups": .array(groups.map(\.json))]) {
        Console.table(
          ["GROUP", "DEVICES", "DEPLOYMENT"],
          groups.map { [$0.name.rawValue, String($0.devices.count), $0.deployment?.description ?? "-"] })
      }
    }
  }

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "One group and its devices.", discussion: "Example: wherry group show kiosks")
    @Argument var group: GroupName
    @OptionGroup var options: OutputOptions

    func run() throws {
      let client = try Session.load().client
      let summary = try client.group(group)
      let devices = try client.devices(group: group)
      options.show(summary.json) {
        "deployment \(summary.deployment?.description ?? "none")\n" + DeviceTable.matrix(devices)
      }
    }
  }

  struct Delete: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Delete a group; its devices stay.", discussion: "Example: wherry group delete kiosks")
    @Argument var group: GroupName

    func run() throws {
      try Session.load().client.removeGroup(group)
      Console.line("Deleted group \(group).")
    }
  }
}
