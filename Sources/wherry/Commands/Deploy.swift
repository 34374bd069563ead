import ArgumentParser
import Glibc
import WherryClient
import WherryJSON
import WherryModel
import WherryWire

struct Deploy: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Roll components out to a group or a device.",
    discussion: """
      Examples:
        wherry deploy --group kiosks com.example.hello=1.0.0 com.example.web=1.0.0 --watch
        wherry deploy --group kiosks com.example.web=2.0.0 --plan
        wherry deploy --group kiosks com.example.web=2.0.0 --waves 1,50%,100% --soak 30s
        wherry deploy --group kiosks com.example.web=2.0.0 --at-most store=1 --budget download=5%
        wherry deploy --group kiosks com.example.hello=1.0.0 --merge com.example.hello='{"name":"Berlin"}'

      The components named are all that the target runs on behalf of this deployment.
      """)

  @Option(help: "The target group.") var group: GroupName?
  @Option(help: "The target device.") var device: DeviceName?
  @Argument(help: "NAME=VERSION, or NAME=RANGE such as com.example.web=^1.2.") var components: [String] = []
  @Option(name: .customLong("merge"), help: "NAME=JSON merged into the component's configuration (repeatable).")
  var merges: [String] = []
  @Option(name: .customLong("reset"), help: "NAME=POINTER reset to the recipe's default (repeatable).")
  var resets: [String] = []
  @Option(help: "How long each device watches its components before it commits.") var settle: String?
  @Option(help: "How long running components may hold their update off; 0s = they are not asked.")
  var updateTimeout: String?
  @Option(help: "What a device does when it fails: rollback or nothing.") var deviceFailure: String?
  @Flag(help: "Only show what it would do on each device; exit 1 if it would be refused.") var plan = false
  @Flag(help: "Show progress until it has ended; exit 1 unless it completed.") var watch = false
  @OptionGroup(title: "Rollout") var rollout: RolloutOptions
  @OptionGroup var options: OutputOptions

  func run() throws {
    let request = try request()
    let client = try Session.load().client
    if plan {
      let preview = try client.preview(request)
      options.show(preview.json) { PreviewText.text(preview) }
      guard preview.devices.allSatisfy({ $0.refusal == nil }) else { throw ExitCode(1) }
      return
    }
    let summary = try client.deploy(request)
    guard watch else {
      options.show(summary.json) { "Deployment \(summary.id) to \(summary.target) is under way.\n" }
      return
    }
    try DeploymentWatch(client: client, id: summary.id, format: options.output).run()
  }

  private func request() throws -> DeploymentRequest {
    let target: DeploymentTarget
    switch (group, device) {
    case (let group?, nil): target = .group(group)
    case (nil, let device?): target = .device(device)
    default: throw ValidationError("name one target: --group GROUP or --device DEVICE")
    }
    var deployed: [ComponentName: DeployedComponent] = [:]
    for text in components {
      let (name, range) = try parsePair(text, what: "component")
      guard let component = ComponentName(argument: name) else {
        throw ValidationError("\(NameError(noun: ComponentName.noun, text: name))")
      }
      guard let requirement = VersionRequirement(range) else {
        throw ValidationError("\"\(range)\" is neither a version nor a range; write 1.2.3, ^1.2 or >=1.0.0 <2.0.0")
      }
      guard deployed.updateValue(DeployedComponent(requirement: requirement), forKey: component) == nil else {
        throw ValidationError("\(component) is named twice; name each component once")
      }
    }
    for text in merges {
      let (name, json) = try parsePair(text, what: "--merge")
      let merge: JSON
      do { merge = try JSON(parsing: json) } catch { throw ValidationError("--merge \(name): \(error)") }
      try change(&deployed, name) { $0.merge = merge }
    }
    for text in resets {
      let (name, pointer) = try parsePair(text, what: "--reset")
      try change(&deployed, name) { $0.reset.append(pointer) }
    }
    var apply = ApplyPolicy()
    if let settle { apply.settleMilliseconds = Int64(try parseSeconds(settle, what: "--settle")) * 1000 }
    if let updateTimeout {
      apply.updateTimeoutSeconds = try parseSeconds(updateTimeout, what: "--update-timeout")
      if apply.updateTimeoutSeconds == 0 { apply.updateAction = .skip }
    }
    switch deviceFailure {
    case nil, "rollback": break
    case "nothing": apply.failureHandling = .doNothing
    case let other?: throw ValidationError("--device-failure \"\(other)\" must be rollback or nothing")
    }
    return DeploymentRequest(target: target, components: deployed, rollout: try rollout.policy(), apply: apply)
  }

  private func change(
    _ deployed: inout [ComponentName: DeployedComponent], _ name: String, _ body: (inout DeployedComponent) -> Void
  ) throws {
    guard let component = ComponentName(argument: name), deployed[component] != nil else {
      throw ValidationError("\(name) is configured but not deployed; add \(name)=VERSION")
    }
    body(&deployed[component, default: DeployedComponent(requirement: VersionRequirement(exactly: Version(0, 0, 0)))])
  }
}
