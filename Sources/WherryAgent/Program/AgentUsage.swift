/// What `wherry-agent --help` and `wherry-agent VERB --help` print.
enum AgentUsage {
  static let program = """
    usage: wherry-agent COMMAND [--config FILE] …

      run                      the agent itself
      provision --claim TEXT|@FILE --name DEVICE [--label K=V]… [--force]
                               makes this device's key and redeems a claim from `wherry claim create`
      status                   this device and its deployment
      components               components, their state and first process
      images [--json]          images, what they take of the disk and who uses them
      logs COMPONENT [-f] [-n LINES]
      restart COMPONENT
      exec [-t|-T] COMPONENT [--] [COMMAND…]
                               runs a command (default /bin/sh) inside a running component
      attach COMPONENT [--no-stdin]
                               what it writes from now on; it reads what is typed (`Stdin: true` in its recipe)
      stats [--json]           processor, memory and processes of what runs
      pause COMPONENT          holds it still; resume lets it go on
      resume COMPONENT
      deploy --recipe-dir DIR [--artifact-dir DIR] --merge NAME=VERSION… [--remove NAME]… [--watch]
                               deploys on this device itself, beside what the service orders
      deploy status [ID]       how it ended; deploy list shows the last ones
      teardown                 ends all components and removes everything of this agent from the kernel

      --config FILE            default \(AgentConfiguration.defaultPath)
      --version, --help
      COMMAND --help           about that command

    example: wherry-agent provision --claim @claim --name kiosk-1 --label site=berlin

    """

  static func text(of verb: String) -> String { verbs[verb]?.text(of: verb) ?? program }

  static let verbs: [String: VerbUsage] = [
    "run": VerbUsage(
      operands: "",
      summary: "The agent itself, in the foreground; components outlive it. Needs root and an identity (provision).",
      example: "wherry-agent run --config /etc/wherry/agent.conf"),
    "provision": VerbUsage(
      operands: " --claim TEXT|@FILE --name DEVICE [--label K=V]… [--force]",
      summary: "Makes this device's key and redeems a claim from `wherry claim create` for its certificate.",
      options: [
        ("--claim TEXT|@FILE", "the claim, or the file that holds it"),
        ("--name DEVICE", "this device's name in the fleet"),
        ("--label K=V", "a label that groups may select by; may be given several times"),
        ("--force", "replaces the identity that this device has already"),
      ],
      example: "wherry-agent provision --claim @claim --name kiosk-1 --label site=berlin"),
    "status": VerbUsage(
      operands: "", summary: "This device, its connection and its deployment, as the running agent knows them.",
      example: "wherry-agent status"),
    "components": VerbUsage(
      operands: "", summary: "Components with version, state, restarts and the first process of each.",
      example: "wherry-agent components"),
    "images": VerbUsage(
      operands: " [--json]",
      summary: "Images with the space that their layers take and share, and the components that use them. Needs root.",
      options: [("--json", "for programs, in bytes")],
      example: "wherry-agent images"),
    "logs": VerbUsage(
      operands: " COMPONENT [-f] [-n LINES]", summary: "The last lines of a component's log.",
      options: [
        ("-f, --follow", "goes on with the lines that come"), ("-n LINES", "that many of the last lines; default 100"),
      ],
      example: "wherry-agent logs com.example.web -f -n 20"),
    "restart": VerbUsage(
      operands: " COMPONENT", summary: "Stops a component and starts it again; one that is BROKEN is tried anew.",
      example: "wherry-agent restart com.example.web"),
    "exec": VerbUsage(
      operands: " [-t|-T] COMPONENT [--] [COMMAND…]",
      summary: "Runs a command inside a running component, as its user and under its limits. Ends with its exit code.",
      options: [
        ("-t, --terminal", "with a terminal of its own; the default where input and output are one"),
        ("-T, --no-terminal", "without"),
      ],
      example: "wherry-agent exec com.example.web -- ls -l /data"),
    "attach": VerbUsage(
      operands: " COMPONENT [--no-stdin]",
      summary: "What a component writes from now on; what is typed is its input. Ends with it, or at Ctrl-C.",
      options: [("--no-stdin", "types nothing; for recipes without `Stdin: true`")],
      example: "wherry-agent attach com.example.console"),
    "stats": VerbUsage(
      operands: " [--json]",
      summary: "Processor (over half a second), memory, processes and pressure of each component that runs.",
      options: [("--json", "for programs")],
      example: "wherry-agent stats"),
    "pause": VerbUsage(
      operands: " COMPONENT",
      summary: "Holds all processes of a component still; it counts as healthy meanwhile. Needs cgroup v2.",
      example: "wherry-agent pause com.example.web"),
    "resume": VerbUsage(
      operands: " COMPONENT", summary: "Lets a paused component go on.",
      example: "wherry-agent resume com.example.web"),
    "deploy": VerbUsage(
      operands: " [OPTION]… --merge NAME=VERSION… | --remove NAME… | status [ID] | list",
      summary: "Deploys on this device, beside what the service orders. Needs root and `local_deployments = on`.",
      options: [
        ("--recipe-dir DIR", "recipes (.yaml, .yml, .json); may be given several times"),
        ("--artifact-dir DIR", "artifacts as DIR/NAME/VERSION/FILE; may be given several times"),
        ("--merge NAME=VERSION", "deploys it, or changes its version; 1.2.3 or a range; may be given several times"),
        ("--remove NAME", "takes back what --merge deployed; what nothing else needs leaves the device"),
        ("--update-config JSON|FILE", "{\"NAME\": {\"RESET\": [\"/key\"], \"MERGE\": {\"key\": 1}}}"),
        ("--device-failure WORD", "rollback (default) or nothing"),
        ("-w, --watch", "waits for its end; exit code 1 when that is no success"),
        ("--json", "for programs"),
      ],
      example: "wherry-agent deploy --recipe-dir recipes --merge com.example.web=1.0.0 --watch"),
    "teardown": VerbUsage(
      operands: "",
      summary: "Ends all components and removes everything of this agent from the kernel; files stay. Stop it before.",
      example: "wherry-agent teardown"),
  ]
}

struct VerbUsage {
  var operands: String
  /// Full sentences.
  var summary: String
  var options: [(name: String, meaning: String)] = []
  var example: String

  func text(of verb: String) -> String {
    let rows = options + [(name: "--config FILE", meaning: "default \(AgentConfiguration.defaultPath)")]
    let width = rows.map(\.name.count).max() ?? 0
    let lines = rows.map { "  \($0.name)\(String(repeating: " ", count: width - $0.name.count))  \($0.meaning)\n" }
    return """
      usage: wherry-agent \(verb)\(operands) [--config FILE]

      \(summary)

      \(lines.joined())
      example: \(example)

      """
  }
}
