import Foundation
import Glibc
import Testing
import WherryTestSupport

/// The story that the quickstart tells, on real parts: mosquitto with mutual TLS, docker-registry, SQLite, the kernel.
extension OnRealParts {
  @Suite struct StoryTests {}
}

extension OnRealParts.StoryTests {
  static let kiosks = ["kiosk-1", "kiosk-2", "kiosk-3"]

  @Test func aComponentIsRolledOutToASmallFleet() throws {
    if let obstacle = TestFleet.obstacle() {
      print("SKIPPED the story: \(obstacle)")
      return
    }
    let fleet = try TestFleet()
    do {
      try firstStart(fleet)
      try provisioning(fleet)
      try publishing(fleet)
      try firstDeployment(fleet)
      try secondVersion(fleet)
      try brokenVersion(fleet)
      try logs(fleet)
      try dashboard(fleet)
      try killedAgent(fleet)
      try deviceThatWasOff(fleet)
      try restartedService(fleet)
      try badInput(fleet)
      try ownRegistry(fleet)
      try remainingCommands(fleet)
    } catch {
      for device in Self.kiosks { print("--- \(device)\n\(fleet.log("\(device)/agent.log").suffix(6000))") }
      print("--- service\n\(fleet.log("inventory.log").suffix(6000))")
      let left = fleet.takeDown()
      Issue.record("\(error)\nleft behind: \(left)")
      return
    }
    #expect(fleet.takeDown() == [], "the fleet left something behind")
    try everyDocumentedCommandRan()
  }

  // MARK: 1. The service makes everything that it needs

  private func firstStart(_ fleet: TestFleet) throws {
    try fleet.startRegistry()
    try fleet.publishImages()
    try fleet.startService()
    let token = fleet.log("admin.token").trimmingCharacters(in: .whitespacesAndNewlines)
    #expect(!token.isEmpty)
    for file in FileManager.default.enumerator(atPath: fleet.data)?.compactMap({ $0 as? String }) ?? [] {
      #expect(!Command.text(fleet.data + "/" + file).contains(token), "\(file) holds the admin token in clear")
    }
    let second = try Command.run(fleet.serviceArguments)
    #expect(second.status != 0)
    #expect(second.text.contains(fleet.data), "a second service must name the data directory: \(second.text)")
    try fleet.succeed([
      "wherry", "login", fleet.url, "--ca", fleet.data + "/ca.crt", "--token-file", fleet.folder + "/admin.token",
    ])
  }

  // MARK: 2. Devices join by claim

  private func provisioning(_ fleet: TestFleet) throws {
    try fleet.succeed(["wherry", "group", "create", "kiosks"])
    for device in Self.kiosks { try fleet.provision(device, group: "kiosks", labels: ["site=berlin"]) }
    let trust = fleet.folder + "/kiosk-1/lib/trust"
    #expect(try mode(trust) == 0o700)
    #expect(try mode(trust + "/device.key") == 0o600)

    let home = fleet.folder + "/kiosk-1"
    let again = try Command.run([
      "wherry-agent", "provision", "--config", fleet.configuration("kiosk-2"), "--claim", "@\(home)/claim", "--name",
      "kiosk-9", "--force",
    ])
    #expect(again.status != 0, "a claim is good for one device, once")

    for device in Self.kiosks { try fleet.startAgent(device) }
    try Command.eventually("all devices are online") {
      let list = try fleet.succeed(["wherry", "device", "list"]).output
      return list.components(separatedBy: "online").count == 4
    }
    let list = try fleet.succeed(["wherry", "device", "list"]).output
    #expect(list.contains("linux/") && list.contains("site=berlin"))
  }

  // MARK: 3. Components are published once and never change

  private func publishing(_ fleet: TestFleet) throws {
    let hello = TestFleet.root + "/components/com.example.hello"
    try fleet.succeed(["wherry", "component", "publish", hello, fleet.folder + "/web"])
    try fleet.succeed(["wherry", "component", "publish", hello])

    let changed = fleet.folder + "/changed"
    try FileManager.default.copyItem(atPath: hello + "/1.0.0", toPath: changed)
    try "#!/bin/sh\necho other\n".write(toFile: changed + "/hello.sh", atomically: true, encoding: .utf8)
    let refused = try fleet.wherry("component", "publish", changed)
    #expect(refused.status == 1)
    #expect(refused.error.contains("com.example.hello") && refused.error.contains("1.0.0"), "\(refused.error)")
  }

  // MARK: 4. A process and a container component run on every device

  private func firstDeployment(_ fleet: TestFleet) throws {
    let deployed = try fleet.wherry(
      "deploy", "--group", "kiosks", "com.example.hello=1.0.0", "com.example.web=1.0.0", "--watch")
    try #require(deployed.status == 0, "\(deployed.text)")
    for device in Self.kiosks {
      #expect(try fleet.page(device).contains("com.example.web 1.0.0"))
      try Command.eventually("hello greets on \(device)") {
        try fleet.wherry("device", "logs", device, "com.example.hello").output.contains("hello, world (greeting 1)")
      }
    }
    let pid = try workload(fleet, "kiosk-1", "com.example.web")
    for namespace in ["pid", "mnt", "net", "ipc", "uts", "cgroup"] {
      let inside = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/ns/\(namespace)")
      let outside = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/\(namespace)")
      #expect(inside != outside, "com.example.web shares the host's \(namespace) namespace")
    }
    let status = Command.text("/proc/\(pid)/status")
    #expect(status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2"))
    let agent = try fleet.succeed(["wherry-agent", "status", "--config", fleet.configuration("kiosk-1")]).output
    if agent.contains("containers have the host's") {
      print("SKIPPED: its user is the host's 1000, see `users` in:\n\(agent)")
      #expect(status.contains("Uid:\t1000"))
    } else {
      let line = status.split(separator: "\n").first { $0.hasPrefix("Uid:") } ?? ""
      let user = line.split(separator: "\t").dropFirst().first.flatMap { UInt32($0) } ?? 0
      #expect(user >= 0x7000_0000 && user % 65_536 == 1_000, "\(line)")
    }
    #expect(Command.text("/proc/\(pid)/cgroup").contains("wherry/\(fleet.prefix)1/"))
  }

  // MARK: 5. A new version, then a broken one

  private func secondVersion(_ fleet: TestFleet) throws {
    let before = try workload(fleet, "kiosk-1", "com.example.hello")
    let versions = ["com.example.hello=1.0.0", "com.example.web=2.0.0"]
    let plan = try fleet.succeed(["wherry", "deploy", "--group", "kiosks", "--plan"] + versions).output
    #expect(plan.contains("com.example.web 1.0.0 -> 2.0.0") && !plan.contains("com.example.hello 1"), "\(plan)")
    #expect(plan.contains("expected: finished after ") && plan.contains("leave the service"), "\(plan)")
    let deployed = try fleet.wherry("deploy", "--group", "kiosks", versions[0], versions[1], "--watch")
    try #require(deployed.status == 0, "\(deployed.text)")
    for device in Self.kiosks { #expect(try fleet.page(device).contains("com.example.web 2.0.0")) }
    #expect(try workload(fleet, "kiosk-1", "com.example.hello") == before, "hello is the same, so it must not restart")
    // One instance at a time: the old one had ended before the new one was started.
    let log = fleet.log("kiosk-1/agent.log").split(separator: "\n")
      .filter { $0.contains("workload=com.example.web.run") }
    let ended = try #require(log.lastIndex { $0.contains("ended") }, "version 1 never ended: \(log)")
    let started = try #require(log.lastIndex { $0.contains("starting") }, "version 2 never started: \(log)")
    #expect(log[started].contains("version=2.0.0"))
    #expect(ended < started, "version 2 was started before version 1 had ended: \(log)")
  }

  private func brokenVersion(_ fleet: TestFleet) throws {
    let untouched = try workload(fleet, "kiosk-3", "com.example.web")
    let deployed = try fleet.wherry(
      "deploy", "--group", "kiosks", "com.example.hello=1.0.0", "com.example.web=3.0.0", "--waves", "2,100%", "--watch")
    #expect(deployed.status == 1)
    #expect(deployed.output.contains("halted"), "\(deployed.text)")
    #expect(deployed.output.contains("/srv/certificates/site.pem"), "the component's last words: \(deployed.text)")
    for device in ["kiosk-1", "kiosk-2"] {
      try Command.eventually("\(device) rolled back") {
        try fleet.succeed(["wherry", "device", "show", device]).output.contains("rolledBack")
      }
      #expect(fleet.log("\(device)/agent.log").contains("component is BROKEN"))
      #expect(try fleet.page(device).contains("com.example.web 2.0.0"))
    }
    #expect(try fleet.page("kiosk-3").contains("com.example.web 2.0.0"))
    #expect(try workload(fleet, "kiosk-3", "com.example.web") == untouched, "the rollout must not reach kiosk-3")
  }

  // MARK: 7. Logs and dashboard show the same truth

  private func logs(_ fleet: TestFleet) throws {
    let follow = try fleet.start(
      ["wherry", "device", "logs", "kiosk-1", "com.example.web", "-f"], log: "follow.log")
    defer {
      // The test runner's threads hand a mask down that blocks SIGTERM.
      kill(follow.processIdentifier, SIGKILL)
      follow.waitUntilExit()
    }
    try Command.eventually("the log is streamed") { fleet.log("follow.log").contains("serves on port 8080") }
    #expect(!fleet.log("follow.log").contains("response:404"))
    _ = try fleet.curl("http://\(fleet.address("kiosk-1")):8080/no-such-page")
    try Command.eventually("a new line reaches the operator") { fleet.log("follow.log").contains("response:404") }
  }

  private func dashboard(_ fleet: TestFleet) throws {
    let token = fleet.log("admin.token").trimmingCharacters(in: .whitespacesAndNewlines)
    let page = try fleet.curl(
      fleet.url + "/", "--cacert", fleet.data + "/ca.crt", "-H", "Authorization: Bearer \(token)")
    for expected in Self.kiosks + ["com.example.web", "2.0.0", "RUNNING", "halted", "site.pem"] {
      #expect(page.output.contains(expected), "the dashboard does not show \(expected): \(page.text.prefix(400))")
    }
    guard Chromium.path != nil else {
      print("SKIPPED the dashboard in a browser: chromium is not installed; Tests/run.sh installs it")
      return
    }
    let browser = try Chromium()
    try browser.logIn(to: fleet.url, token: token)
    // Devices × components × state.
    for device in Self.kiosks {
      try browser.wait(for: "document.querySelector('tr[data-device=\(device)] .dot.online')")
      let cell = "document.querySelector('tr[data-device=\(device)] td[data-component=\"com.example.web\"]')"
      try browser.wait(for: "\(cell)?.innerText.includes('RUNNING') && \(cell)?.innerText.includes('2.0.0')")
    }
    // The halted deployment's progress per wave: two failed in the first, the second was not opened.
    let waves = "[...document.querySelectorAll('article[data-deployment=\"3\"] .waves li')].map(wave => wave.innerText)"
    try browser.wait(for: "\(waves).length === 2")
    try browser.wait(for: "\(waves)[0].includes('failed')")
    try browser.wait(for: "!\(waves)[1].includes('failed')")
    try browser.wait(for: "document.querySelector('article[data-deployment=\"3\"]').innerText.includes('halted')")
    // Failures with their cause.
    try browser.wait(for: "document.querySelector('.failure[data-device=kiosk-1]').innerText.includes('site.pem')")

    // Live: a device that loses its agent is seen to go, without the page being loaded again.
    _ = try browser.evaluate("window.sameVisit = true")
    fleet.stopAgent("kiosk-3")
    try browser.wait(for: "document.querySelector('tr[data-device=kiosk-3] .dot.offline')")
    try fleet.startAgent("kiosk-3")
    try browser.wait(for: "document.querySelector('tr[data-device=kiosk-3] .dot.online')")
    try browser.wait(for: "window.sameVisit === true")
  }

  // MARK: 6. An agent is killed, a device is off

  /// Killed after it has fetched and begun to change the device, long before it may commit.
  private func killedAgent(_ fleet: TestFleet) throws {
    let web = try workload(fleet, "kiosk-2", "com.example.web")
    let blobs = fleet.folder + "/kiosk-2/lib/blobs/sha256"
    let before = try inodes(blobs)
    let deployed = try fleet.wherry(
      "deploy", "--group", "kiosks", "com.example.hello=2.0.0", "com.example.web=2.0.0", "--waves", "100%",
      "--settle", "10s")
    try #require(deployed.status == 0, "\(deployed.text)")
    try Command.eventually("kiosk-2 is in the middle of it") {
      let shown = try fleet.succeed(["wherry", "device", "show", "kiosk-2"]).output
      return shown.contains("applying") || shown.contains("settling")
    }
    let fetched = try inodes(blobs)
    #expect(fetched.count > before.count, "there was nothing to fetch, so nothing can be fetched twice")
    fleet.killAgent("kiosk-2")
    #expect(kill(pid_t(web), 0) == 0, "the workload must outlive its agent")
    let middle = try fleet.succeed(["wherry", "device", "show", "kiosk-2"]).output
    #expect(!middle.contains("committed"), "it was not in the middle: \(middle)")
    try fleet.startAgent("kiosk-2")
    try Command.eventually("the deployment completes", seconds: 180) {
      try fleet.succeed(["wherry", "deployment", "show", "4"]).output.contains("completed")
    }
    let shown = try fleet.succeed(["wherry", "device", "show", "kiosk-2"]).output
    #expect(shown.contains("com.example.hello=2.0.0 RUNNING"), "\(shown)")
    #expect(try workload(fleet, "kiosk-2", "com.example.web") == web, "web did not change, so it must not restart")
    let after = try inodes(blobs)
    for (name, inode) in fetched where after[name] != nil {
      #expect(after[name] == inode, "\(name) was downloaded twice")
    }
  }

  private func deviceThatWasOff(_ fleet: TestFleet) throws {
    fleet.stopAgent("kiosk-3")
    try Command.eventually("kiosk-3 is seen offline") {
      try fleet.succeed(["wherry", "device", "show", "kiosk-3"]).output.contains("offline")
    }
    for name in ["first", "second"] {
      let deployed = try fleet.wherry(
        "deploy", "--group", "kiosks", "com.example.hello=2.0.0", "com.example.web=2.0.0", "--merge",
        "com.example.hello={\"name\":\"\(name)\"}", "--watch")
      try #require(deployed.status == 0, "an offline device holds no rollout up: \(deployed.text)")
    }
    try fleet.startAgent("kiosk-3")
    try Command.eventually("kiosk-3 has the latest") {
      try fleet.wherry("device", "logs", "kiosk-3", "com.example.hello").output.contains("hello again, second")
    }
    let lines = try fleet.wherry("device", "logs", "kiosk-3", "com.example.hello").output
    #expect(!lines.contains("hello again, first"), "only the latest desired state may be applied")
  }

  // MARK: 1. Restart loses nothing

  private func restartedService(_ fleet: TestFleet) throws {
    var devices = ""
    try Command.eventually("nothing is under way any more") {
      devices = try fleet.succeed(["wherry", "device", "list"]).output
      return devices.components(separatedBy: " committed").count == 1 + Self.kiosks.count
    }
    fleet.killService()
    for device in Self.kiosks { #expect(try fleet.page(device).contains("com.example.web 2.0.0")) }
    try fleet.startService()
    try Command.eventually("all devices are back", seconds: 120) {
      try fleet.succeed(["wherry", "device", "list"]).output == devices
    }

    // The broker is down when an agent starts: its components run on, and it tries until the broker is there.
    let web = try workload(fleet, "kiosk-1", "com.example.web")
    fleet.stopService()
    fleet.stopAgent("kiosk-1")
    try fleet.startAgent("kiosk-1")
    try Command.eventually("the agent says that the broker is away") {
      fleet.log("kiosk-1/agent.log").contains("not connected to the broker")
    }
    #expect(try workload(fleet, "kiosk-1", "com.example.web") == web, "the component must not restart")
    #expect(try fleet.page("kiosk-1").contains("com.example.web 2.0.0"))
    try fleet.startService()
    try Command.eventually("all devices are back", seconds: 120) {
      try fleet.succeed(["wherry", "device", "list"]).output == devices
    }
    let components = try fleet.succeed(["wherry", "component", "list"]).output
    #expect(components.contains("com.example.web") && components.contains("3.0.0"))
  }

  // MARK: Looks

  private func mode(_ path: String) throws -> Int {
    try #require(FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int)
  }

  /// The process of a component as the agent names it.
  func workload(_ fleet: TestFleet, _ device: String, _ component: String) throws -> Int {
    let output = try Command.run(["wherry-agent", "components", "--config", fleet.configuration(device)]).output
    let row = output.split(separator: "\n").first { $0.hasPrefix(component + " ") } ?? ""
    let process = row.split(separator: " ").compactMap { Int($0) }.last
    return try #require(process, "no process of \(component) in: \(output)")
  }

  private func inodes(_ folder: String) throws -> [String: Int] {
    var found: [String: Int] = [:]
    for name in try FileManager.default.contentsOfDirectory(atPath: folder) {
      let attributes = try FileManager.default.attributesOfItem(atPath: folder + "/" + name)
      found[name] = attributes[.systemFileNumber] as? Int
    }
    return found
  }
}
