import ArgumentParser
import WherryJSON
import WherryModel
import WherryWire

struct DeviceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "device", abstract: "Devices of the fleet.",
    discussion: "Example: wherry device show kiosk-1",
    subcommands: [List.self, Show.self, Logs.self, Restart.self, Remove.self])

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "All devices with platform, labels and state.",
      discussion: "Example: wherry device list --group kiosks")
    @Option(help: "Only the members of this group.") var group: GroupName?
    @OptionGroup var options: OutputOptions

    func run() throws {
      let devices = try Session.load().client.devices(group: group)
      options.show(["devices": .array(devices.map(\.json))]) {
        Console.table(
          ["DEVICE", "ONLINE", "PLATFORM", "LABELS", "GROUPS", "STATUS", "COMPONENTS"], devices.map(DeviceTable.row))
      }
    }
  }

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "One device with its components and failures.", discussion: "Example: wherry device show kiosk-1")
    @Argument var device: DeviceName
    @OptionGroup var options: OutputOptions

    func run() throws {
      let device = try Session.load().client.device(device)
      options.show(device.json) { DeviceTable.details(device) }
    }
  }

  struct Logs: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "A component's log, streamed from the device.",
      discussion: "Example: wherry device logs kiosk-1 com.example.web -f")
    @Argument var device: DeviceName
    @Argument var component: ComponentName
    @Flag(name: [.customShort("f"), .long], help: "Go on as lines are written, until Ctrl-C.") var follow = false
    @Option(name: [.customShort("n"), .long], help: "Lines from the end to begin with.") var tail = 100

    func run() throws {
      try Session.load().client.logs(of: component, on: device, tail: tail, follow: follow) { line in
        Console.line(line)
        return true
      }
    }
  }

  struct Restart: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Restart one component.", discussion: "Example: wherry device restart kiosk-1 com.example.web")
    @Argument var device: DeviceName
    @Argument var component: ComponentName

    func run() throws {
      try Session.load().client.restart(component, on: device)
      Console.line("\(device) was asked to restart \(component).")
    }
  }

  struct Remove: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Forget a device; its certificate is no longer accepted.",
      discussion: "Example: wherry device remove kiosk-1")
    @Argument var device: DeviceName

    func run() throws {
      try Session.load().client.removeDevice(device)
      Console.line("Removed \(device).")
    }
  }
}

/// How devices look in text.
enum DeviceTable {
  static func row(_ device: DeviceSummary) -> [String] {
    let attributes = device.platform.attributes
    let platform = [attributes["os"], attributes["architecture"]].compactMap(\.self).joined(separator: "/")
    let labels = device.labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ",")
    return [
      device.name.rawValue, device.isOnline ? Console.good("online") : Console.dim("offline"), platform, labels,
      device.groups.map(\.rawValue).joined(separator: ","), status(device.status), components(device.components),
    ]
  }

  static func status(_ status: DeploymentStatus?) -> String {
    switch status {
    case nil: "-"
    case .committed: Console.good("committed")
    case .failed, .rolledBack, .rejected: Console.bad(status?.rawValue ?? "")
    case .received, .fetching, .applying, .settling, .rollingBack: Console.warn(status?.rawValue ?? "")
    case .superseded: Console.dim(status?.rawValue ?? "")
    }
  }

  static func components(_ components: [ComponentReport]) -> String {
    components.map { "\($0.name)=\($0.version) \(state($0.state))\($0.isLocal ? " (local)" : "")" }
      .joined(separator: ", ")
  }

  static func state(_ state: ComponentState) -> String {
    switch state {
    case .running, .finished: Console.good(state.rawValue)
    case .broken, .errored: Console.bad(state.rawValue)
    case .new, .installed, .starting, .stopping: Console.warn(state.rawValue)
    }
  }

  /// Devices × components × state.
  static func matrix(_ devices: [DeviceSummary]) -> String {
    let names = Set(devices.flatMap { $0.components.map(\.name) }).sorted()
    let rows = devices.map { device in
      [device.name.rawValue, device.isOnline ? Console.good("online") : Console.dim("offline"), status(device.status)]
        + names.map { name in
          guard let component = device.components.first(where: { $0.name == name }) else { return "-" }
          return "\(component.version) \(state(component.state))"
        }
    }
    return Console.table(["DEVICE", "ONLINE", "STATUS"] + names.map(\.rawValue), rows)
  }

  static func details(_ device: DeviceSummary) -> String {
    var text = Console.table(
      ["DEVICE", "ONLINE", "PLATFORM", "LABELS", "GROUPS", "STATUS", "COMPONENTS"], [row(device)])
    text += "agent \(device.agentVersion), generation \(device.generation) desired, "
    text += "\(device.reportedGeneration) reported\n"
    if device.status == .fetching && device.bytesTotal > 0 {
      let (done, total) = (Console.bytes(device.bytesDone), Console.bytes(device.bytesTotal))
      text += "\(done) of \(total) fetched\n"
      for transfer in device.transfers { text += "  \(DeploymentText.line(transfer))\n" }
    }
    if let failure = device.failure { text += failureText(failure) }
    if let local = device.local {
      text += "local deployment \(local.id): \(status(local.status))\n"
      if let failure = local.failure { text += failureText(failure) }
    }
    for component in device.components {
      guard let failure = component.failure else { continue }
      text += "\(component.name):\n" + failureText(failure)
    }
    return text
  }

  static func failureText(_ failure: Failure) -> String {
    var text = Console.bad("  \(failure.failureClass.rawValue) (\(failure.code)): \(failure.message)") + "\n"
    if !failure.remedy.isEmpty { text += "  remedy: \(failure.remedy)\n" }
    for line in failure.log { text += Console.dim("    | \(line)") + "\n" }
    return text
  }
}
