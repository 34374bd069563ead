import Foundation
import Testing

/// What the documents show and the story itself does not need: every command of theirs is run here or there.
extension OnRealParts.StoryTests {
  func remainingCommands(_ fleet: TestFleet) throws {
    let hello = TestFleet.root + "/components/com.example.hello/1.0.0"
    #expect(try fleet.succeed(["wherry", "component", "validate", hello]).output.contains("is valid"))
    #expect(try fleet.succeed(["wherry", "component", "show", "com.example.web"]).output.contains("3.0.0"))
    #expect(try fleet.succeed(["wherry", "component", "show", "com.example.web", "1.0.0"]).output.contains("8080"))
    #expect(try fleet.succeed(["wherry", "component", "import", hello]).output.contains("com.example.hello"))
    #expect(try fleet.succeed(["wherry", "fleet", "status"]).output.contains("3 devices, 3 online"))
    try fleet.succeed(["wherry", "simulate", "--devices", "20", "--seed", "7"])
    try restarts(fleet)
    try insideAComponent(fleet)
    try groupsAndClaims(fleet)
    try tokensAndStores(fleet)
    try steering(fleet)
    try localDeployments(fleet)
    try removal(fleet)
  }

  /// After the fleet was taken down, which runs a command, too.
  func everyDocumentedCommandRan() throws {
    for command in try DocumentedCommand.all() {
      let ran = Command.executed.withLock { $0.contains { $0.starts(with: command.path) && !$0.contains("--help") } }
      #expect(ran, "\(command.place) shows `\(command.path.joined(separator: " "))`, which no test has run")
    }
  }

  private func restarts(_ fleet: TestFleet) throws {
    let configuration = ["--config", fleet.configuration("kiosk-1")]
    for restart in [
      ["wherry", "device", "restart", "kiosk-1", "com.example.web"],
      ["wherry-agent", "restart", "com.example.web"] + configuration,
    ] {
      let before = try workload(fleet, "kiosk-1", "com.example.web")
      try fleet.succeed(restart)
      try Command.eventually("web runs anew") {
        (try? workload(fleet, "kiosk-1", "com.example.web")).map { $0 != before } ?? false
      }
      try Command.eventually("web answers again") { try fleet.page("kiosk-1").contains("com.example.web 2.0.0") }
    }
    #expect(try fleet.succeed(["wherry-agent", "status"] + configuration).output.contains("kiosk-1"))
    let log = try fleet.succeed(["wherry-agent", "logs", "com.example.web", "-n", "5"] + configuration).output
    #expect(log.contains("serves on port 8080"))
  }

  /// What a person does with a component that runs.
  private func insideAComponent(_ fleet: TestFleet) throws {
    let agent = ["--config", fleet.configuration("kiosk-1"), "com.example.web"]
    let listed = try fleet.succeed(["wherry-agent", "exec"] + agent + ["--", "/bin/sh", "-c", "id -u; echo err >&2"])
    #expect(listed.output == "1000\n" && listed.error == "err\n")
    #expect(try Command.run(["wherry-agent", "exec"] + agent + ["sh", "-c", "exit 7"]).status == 7)
    let missing = try Command.run(["wherry-agent", "exec"] + agent + ["no-such-program"])
    #expect(missing.status == 1 && missing.error.contains("no-such-program"), "\(missing.text)")
    // `script` is the terminal that a person sits at; what it types is nothing but the end.
    let inside = "exec \(agent.joined(separator: " ")) -- sh -c 'test -t 0 && echo a terminal of $TERM; id -u'"
    let screen = try fleet.succeed([
      "/usr/bin/script", "-qec", "TERM=vt100 \(Command.program("wherry-agent")) \(inside)", "/dev/null",
    ]).output
    #expect(screen.contains("a terminal of vt100") && screen.contains("1000"), "\(screen)")

    let deaf = try Command.run(["wherry-agent", "attach"] + agent)
    #expect(deaf.status == 1 && deaf.error.contains("Stdin: true"), "\(deaf.text)")
    let interrupt = ["/usr/bin/timeout", "--preserve-status", "--signal", "INT", "1"]
    let attach = [Command.program("wherry-agent"), "attach", "--no-stdin"] + agent
    #expect(try Command.run(interrupt + attach).status == 0)

    let stats = try fleet.succeed(["wherry-agent", "stats", "--config", fleet.configuration("kiosk-1")]).output
    let row = try #require(stats.split(separator: "\n").first { $0.hasPrefix("com.example.web") }, "\(stats)")
    #expect(row.contains("iB") && row.contains("%"), "\(stats)")

    guard try Command.run(["wherry-agent", "pause"] + agent).status == 0 else {
      print("SKIPPED: this host has no cgroup v2, so nothing is paused")
      return
    }
    let components = ["wherry-agent", "components", "--config", fleet.configuration("kiosk-1")]
    #expect(try fleet.succeed(components).output.contains("RUNNING (paused)"))
    let silent = try Command.run(["/usr/bin/curl", "-sS", "--max-time", "1", fleet.url("kiosk-1")])
    #expect(silent.status == 28, "curl(1): the time ran out")
    try fleet.succeed(["wherry-agent", "resume"] + agent)
    #expect(try !fleet.succeed(components).output.contains("paused"))
    try Command.eventually("web answers again") { try fleet.page("kiosk-1").contains("com.example.web 2.0.0") }
  }

  private func groupsAndClaims(_ fleet: TestFleet) throws {
    try fleet.succeed(["wherry", "group", "create", "spare"])
    try fleet.succeed(["wherry", "group", "add", "spare", "kiosk-1"])
    #expect(try fleet.succeed(["wherry", "group", "show", "spare"]).output.contains("kiosk-1"))
    try fleet.succeed(["wherry", "group", "remove", "spare", "kiosk-1"])
    #expect(try !fleet.succeed(["wherry", "group", "show", "spare"]).output.contains("kiosk-1"))
    try fleet.succeed(["wherry", "group", "delete", "spare"])
    #expect(try !fleet.succeed(["wherry", "group", "list"]).output.contains("spare"))

    try fleet.succeed(["wherry", "claim", "create", "--device", "kiosk-8", "--expires", "1h", "--uses", "1"])
    let claims = try fleet.succeed(["wherry", "claim", "list"]).output.split(separator: "\n")
    let row = try #require(claims.first { $0.contains("kiosk-8") }, "the claim is not listed: \(claims)")
    try fleet.succeed(["wherry", "claim", "revoke", String(row.prefix { $0 != " " })])
    #expect(try !fleet.succeed(["wherry", "claim", "list"]).output.contains("kiosk-8"))
  }

  private func tokensAndStores(_ fleet: TestFleet) throws {
    let create = ["wherry", "token", "create", "ci", "--role", "registry"]
    let made = try fleet.succeed(create + ["--repository", "team/*:pull,push", "--expires", "90d"]).output
    #expect(made.hasPrefix("wherry_"))
    #expect(try fleet.succeed(["wherry", "token", "list"]).output.contains("team/*:pull,push"))
    try fleet.succeed(["wherry", "token", "revoke", "ci"])
    #expect(try !fleet.succeed(["wherry", "token", "list"]).output.contains("team/*"))
    let garbage = try fleet.succeed(["wherry", "registry", "gc", "--untagged", "--dry-run"]).output
    #expect(garbage.contains("0 manifests would be removed"), "\(garbage)")

    let images = try fleet.succeed(["wherry-agent", "images", "--config", fleet.configuration("kiosk-1")]).output
    let web = try #require(images.split(separator: "\n").first { $0.contains("com.example.web 2.0.0") }, "\(images)")
    #expect(web.contains("running") && web.contains("MiB"), "\(images)")
  }

  private func steering(_ fleet: TestFleet) throws {
    let deployed = try fleet.succeed([
      "wherry", "deploy", "--device", "kiosk-1", "com.example.hello=2.0.0", "--settle", "60s", "-o", "json",
    ])
    let member = deployed.output.split(separator: ",").first { $0.contains("\"id\":") }
    let id = try #require(member).filter(\.isNumber)
    try fleet.succeed(["wherry", "deployment", "pause", id])
    let why = try fleet.succeed(["wherry", "why", "kiosk-1"]).output
    #expect(why.contains("generation") || why.contains("deployment"), "\(why)")
    let component = try fleet.succeed(["wherry", "why", "kiosk-1", "com.example.web"]).output
    #expect(component.contains("com.example.web") && component.contains("RUNNING"), "\(component)")
    #expect(try fleet.succeed(["wherry", "deployment", "show", id]).output.contains("paused"))
    try fleet.succeed(["wherry", "deployment", "resume", id])
    try fleet.succeed(["wherry", "deployment", "cancel", id])
    #expect(try fleet.wherry("deployment", "retry", id).error.contains("nothing of it can be tried again"))
    let watched = try fleet.wherry("deployment", "watch", id)
    #expect(watched.status == 1, "a cancelled deployment did not complete: \(watched.text)")
    #expect(try fleet.succeed(["wherry", "deployment", "list"]).output.contains("cancelled"))
  }

  private func removal(_ fleet: TestFleet) throws {
    try fleet.succeed(["wherry", "device", "remove", "kiosk-3"])
    #expect(try !fleet.succeed(["wherry", "device", "list"]).output.contains("kiosk-3"))
    fleet.stopService()
    let reset = try fleet.succeed(["wherry-inventory", "reset-admin-token", "--data", fleet.data]).output
    #expect(reset.contains("admin token: "))
    let kit = fleet.folder + "/kit"
    try fleet.succeed([
      "wherry-inventory", "broker-certificate", "--data", fleet.data, "--name", "localhost", "--out", kit,
    ])
    #expect(try !FileManager.default.contentsOfDirectory(atPath: kit).isEmpty)
    try fleet.startService()
    let old = try fleet.wherry("fleet", "status")
    #expect(old.status == 1, "the old token must not work any more: \(old.text)")
  }
}
