import ArgumentParser
import Glibc
import WherryClient
import WherryJSON
import WherryModel
import WherryWire

struct DeploymentCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "deployment", abstract: "Deployments and their rollouts.",
    discussion: "Example: wherry deployment watch 3",
    subcommands: [List.self, Show.self, Watch.self, Pause.self, Resume.self, Retry.self, Cancel.self])

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "All deployments, newest first.", discussion: "Example: wherry deployment list")
    @OptionGroup var options: OutputOptions

    func run() throws {
      let deployments = try Session.load().client.deployments()
      options.show(["deployments": .array(deployments.map(\.json))]) {
        Console.table(
          ["ID", "TARGET", "STATE", "COMPONENTS", "REASON"],
          deployments.map {
            [
              $0.id.description, $0.target.description, DeploymentText.state($0.state), DeploymentText.components($0),
              $0.reason,
            ]
          })
      }
    }
  }

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "One deployment with its waves, devices and failures.", discussion: "Example: wherry deployment show 3")
    @Argument var deployment: DeploymentID
    @OptionGroup var options: OutputOptions

    func run() throws {
      let summary = try Session.load().client.deployment(deployment)
      options.show(summary.json) { DeploymentText.details(summary) }
    }
  }

  struct Watch: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Follow a deployment until it has ended; exit 1 unless it completed.",
      discussion: "Example: wherry deployment watch 3")
    @Argument var deployment: DeploymentID
    @OptionGroup var options: OutputOptions

    func run() throws {
      try DeploymentWatch(client: Session.load().client, id: deployment, format: options.output).run()
    }
  }

  struct Pause: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Release no further device until resumed.", discussion: "Example: wherry deployment pause 3")
    @Argument var deployment: DeploymentID
    func run() throws { try DeploymentText.steer(deployment, "pause") }
  }

  struct Resume: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Go on after a pause or a halt.", discussion: "Example: wherry deployment resume 3")
    @Argument var deployment: DeploymentID
    func run() throws { try DeploymentText.steer(deployment, "resume") }
  }

  struct Retry: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Try again on the devices that failed, also after a halt or when the rest completed.",
      discussion: "Example: wherry deployment retry 3")
    @Argument var deployment: DeploymentID
    func run() throws { try DeploymentText.steer(deployment, "retry") }
  }

  struct Cancel: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "End it; devices that changed stay as they are.", discussion: "Example: wherry deployment cancel 3")
    @Argument var deployment: DeploymentID
    func run() throws { try DeploymentText.steer(deployment, "cancel") }
  }
}

/// How deployments look in text.
enum DeploymentText {
  static func steer(_ id: DeploymentID, _ verb: String) throws {
    let summary = try Session.load().client.steer(id, verb)
    Console.line("Deployment \(id) is \(summary.state).")
  }

  static func state(_ state: String) -> String {
    switch state {
    case "completed": Console.good(state)
    case "halted", "cancelled": Console.bad(state)
    default: Console.warn(state)
    }
  }

  static func components(_ deployment: DeploymentSummary) -> String {
    deployment.components.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
  }

  static func details(_ deployment: DeploymentSummary) -> String {
    var text = "Deployment \(deployment.id) to \(deployment.target): \(state(deployment.state))"
    text += (deployment.reason.isEmpty ? "" : " (\(deployment.reason))") + "\n\(components(deployment))\n"
    for wave in deployment.waves { text += "  " + line(wave) + "\n" }
    text += Console.table(
      ["DEVICE", "WAVE", "STATUS", "GENERATION"],
      deployment.devices.map {
        [
          $0.name.rawValue, String($0.wave), status($0),
          $0.generation == Generation(0) ? "-" : $0.generation.description,
        ]
      })
    for device in deployment.devices {
      for transfer in device.transfers { text += "  \(device.name): \(line(transfer))\n" }
      if let reason = device.waitsFor { text += "\(device.name): \(reason)\n" }
      if let at = device.resumesAt { text += "\(device.name) goes on at \(Timestamp.text(at)) at the latest\n" }
      guard let failure = device.failure else { continue }
      text += "\(device.name):\n" + DeviceTable.failureText(failure)
    }
    return text
  }

  /// With the share that is here, while it fetches.
  static func status(_ device: DeploymentDevice) -> String {
    device.bytesTotal > 0 ? "\(device.status) \(device.bytesDone * 100 / device.bytesTotal)%" : device.status
  }

  static func line(_ transfer: Transfer) -> String {
    let percent = transfer.bytesTotal > 0 ? transfer.bytesDone * 100 / transfer.bytesTotal : 0
    let sizes = "\(Console.bytes(transfer.bytesDone)) of \(Console.bytes(transfer.bytesTotal))"
    return "\(transfer.label) \(percent)%, \(sizes)"
  }

  static func line(_ wave: WaveSummary) -> String {
    let width = 20
    let filled = wave.size == 0 ? width : wave.committed * width / wave.size
    let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: width - filled)
    var text = "wave \(wave.index) [\(bar)] \(wave.committed)/\(wave.size) committed"
    if wave.failed > 0 { text += ", " + Console.bad("\(wave.failed) failed") }
    if wave.silent > 0 { text += ", " + Console.bad("\(wave.silent) silent") }
    if wave.deferred > 0 { text += ", \(wave.deferred) deferred" }
    if wave.parked > 0 { text += ", \(wave.parked) parked" }
    return text + ", \(wave.state)"
  }
}

/// Live progress: redrawn in place on a terminal, one line per change in a pipe.
struct DeploymentWatch {
  let client: InventoryClient
  let id: DeploymentID
  let format: OutputFormat

  /// Throws exit code 1 unless the deployment completed.
  func run() throws {
    var last: DeploymentSummary?
    var drawnLines = 0
    var printed = ""
    let follower = DeploymentFollower(
      client: client, pause: { milliseconds in _ = poll(nil, 0, Int32(milliseconds)) },
      onInterruption: { error in
        Console.write("wherry: \(error); trying again\n", toError: true)
        drawnLines = 0
      })
    do {
      try follower.follow(id) { summary in
        last = summary
        switch format {
        case .json: Console.line(summary.json.canonical)
        case .table where Console.isTerminal:
          if drawnLines > 0 { Console.write("\u{1B}[\(drawnLines)A\u{1B}[J") }
          let text = DeploymentText.details(summary)
          drawnLines = text.split(separator: "\n", omittingEmptySubsequences: false).count - 1
          Console.write(text)
        case .table:
          let line = plainLine(summary)
          if line != printed { Console.line(line) }
          printed = line
        }
        return true
      }
    } catch let error as ClientError where error.isTransient {
      throw UserError("\(error)\n\(Self.goesOn(id))")
    }
    guard let last, last.hasEnded else { throw UserError("the service ended the stream; \(Self.goesOn(id))") }
    if format == .table, !Console.isTerminal { Console.write(DeploymentText.details(last)) }
    if last.state != "completed" { throw ExitCode(1) }
  }

  private static func goesOn(_ id: DeploymentID) -> String {
    "deployment \(id) goes on unwatched: follow it again with `wherry deployment watch \(id)`"
  }

  private func plainLine(_ summary: DeploymentSummary) -> String {
    let devices = summary.devices.map { device in
      let transfers = device.transfers.map(DeploymentText.line).joined(separator: "; ")
      let isWaiting = ["fetching", "deferred"].contains(device.status)
      let detail = device.waitsFor ?? (isWaiting ? device.failure?.message : nil) ?? transfers
      return "\(device.name) \(DeploymentText.status(device))" + (detail.isEmpty ? "" : " (\(detail))")
    }.joined(separator: ", ")
    return "deployment \(summary.id) \(summary.state): \(devices)"
  }
}
