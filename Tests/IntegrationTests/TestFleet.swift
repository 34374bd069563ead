import Foundation
import Glibc
import WherryTestSupport

/// A registry, an inventory service with its broker, and agents, all real, all under one temporary folder.
final class TestFleet {
  let folder: String
  let operators: Int
  let devices: Int
  let broker: Int
  let registry: Int
  /// A registry that may be spoken to over plain HTTP, and that a test plays.
  let strangeRegistry = LoopbackServer { request in
    var answer = LoopbackServer.Response(request.target.contains("/secret/") ? 401 : 404)
    if answer.status == 401 { answer.headers = [("WWW-Authenticate", "Basic realm=\"strange\"")] }
    return answer
  }
  /// Where no registry is.
  let absentRegistry: Int
  /// Agents are told apart in the kernel by this: cgroups, bridges, tables.
  let prefix: String
  /// Second byte of every agent's subnet; not that of a run that was killed or goes on beside this one.
  static let network = 100 + Int(getpid()) % 80
  private(set) var service: Process?
  private var registryProcess: Process?
  private(set) var agents: [String: Process] = [:]
  private var subnets: [String: Int] = [:]

  static let root: String = {
    var parts = #filePath.split(separator: "/").map(String.init)
    parts.removeLast(3)
    return "/" + parts.joined(separator: "/")
  }()

  init() throws {
    folder = try Command.temporaryFolder()
    operators = try Command.freePort()
    devices = try Command.freePort()
    broker = try Command.freePort()
    registry = try Command.freePort()
    absentRegistry = try Command.freePort()
    prefix = "t" + String(getpid() % 100_000)
  }

  var session: [String: String] { ["WHERRY_SESSION": folder + "/session.json"] }
  var url: String { "https://127.0.0.1:\(operators)" }
  var data: String { folder + "/inventory" }

  /// The reason why the story cannot be told on this machine, if there is one.
  static func obstacle() -> String? {
    if geteuid() != 0 { return "it makes namespaces, mounts and cgroups, which needs root" }
    let programs = [
      "/usr/sbin/mosquitto", "/usr/bin/docker-registry", "/usr/bin/skopeo", "/bin/busybox", "/usr/sbin/nft",
    ]
    if let missing = programs.first(where: { access($0, X_OK) != 0 }) {
      return "\(missing) is not installed; Tests/run.sh installs it"
    }
    return nil
  }

  // MARK: Registry

  func startRegistry() throws {
    let configuration = """
      version: 0.1
      log: {level: error, accesslog: {disabled: true}}
      storage: {filesystem: {rootdirectory: \(folder)/registry}}
      http: {addr: "127.0.0.1:\(registry)"}
      """
    try configuration.write(toFile: folder + "/registry.yml", atomically: true, encoding: .utf8)
    registryProcess = try start(["/usr/bin/docker-registry", "serve", folder + "/registry.yml"], log: "registry.log")
    try Command.eventually("the registry answers") { try curl("http://127.0.0.1:\(registry)/v2/").status == 0 }
  }

  func stopRegistry() { stop(registryProcess) }

  func publishImages() throws {
    let script = Self.root + "/components/com.example.web/image.sh"
    try succeed([script, "build", folder + "/image"])
    try succeed([script, "push", folder + "/image", "127.0.0.1:\(registry)"])
    try succeed([script, "recipes", folder + "/web", "127.0.0.1:\(registry)"])
  }

  // MARK: Service

  func startService() throws {
    try? FileManager.default.removeItem(atPath: folder + "/inventory.log")
    service = try start(serviceArguments, log: "inventory.log")
    try Command.eventually("the service is ready") {
      guard service?.isRunning == true else { throw StoryError("the service ended: \(log("inventory.log"))") }
      return log("inventory.log").contains("wherry-inventory ready")
    }
  }

  var serviceArguments: [String] {
    [
      "wherry-inventory", "serve", "--data", data, "--listen", "127.0.0.1:\(operators)", "--device-listen",
      "127.0.0.1:\(devices)", "--broker-listen", "127.0.0.1:\(broker)", "--insecure-registry",
      "127.0.0.1:\(registry)", "--insecure-registry", "127.0.0.1:\(strangeRegistry.port)", "--insecure-registry",
      "127.0.0.1:\(absentRegistry)", "--admin-token-file", folder + "/admin.token",
    ]
  }

  func stopService() { stop(service) }

  func killService() {
    if let service { kill(service.processIdentifier, SIGKILL) }
    service?.waitUntilExit()
  }

  // MARK: Agents

  func configuration(_ device: String) -> String { "\(folder)/\(device)/agent.conf" }

  func provision(_ device: String, group: String, labels: [String]) throws {
    let index = subnets.count + 1
    subnets[device] = index
    let home = folder + "/" + device
    try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
    try """
    root = \(home)/lib
    run = \(home)/run
    logs = \(home)/log
    agent_id = \(prefix)\(index)
    subnet = 10.\(Self.network).\(index).0/24
    publish_address = 10.\(Self.network).\(index).1
    """.write(toFile: configuration(device), atomically: true, encoding: .utf8)
    let claim = try succeed(
      ["wherry", "claim", "create", "--device", device, "--group", group] + labels.flatMap { ["--label", $0] })
    try claim.output.write(toFile: home + "/claim", atomically: true, encoding: .utf8)
    try succeed(
      ["wherry-agent", "provision", "--config", configuration(device), "--claim", "@\(home)/claim", "--name", device])
  }

  func startAgent(_ device: String) throws {
    agents[device] = try start(
      ["wherry-agent", "run", "--config", configuration(device)], log: "\(device)/agent.log")
  }

  func stopAgent(_ device: String) { stop(agents[device]) }

  func killAgent(_ device: String) {
    guard let agent = agents[device] else { return }
    kill(agent.processIdentifier, SIGKILL)
    agent.waitUntilExit()
  }

  func address(_ device: String) -> String { "10.\(Self.network).\(subnets[device] ?? 0).1" }

  func url(_ device: String) -> String { "http://\(address(device)):8080/" }
  func page(_ device: String) throws -> String { try curl(url(device)).output }

  // MARK: Commands

  @discardableResult
  func wherry(_ arguments: String...) throws -> Outcome {
    try Command.run(["wherry"] + arguments, environment: session)
  }

  @discardableResult
  func succeed(_ arguments: [String]) throws -> Outcome {
    let outcome = try Command.run(arguments, environment: session)
    guard outcome.status == 0 else {
      throw StoryError("`\(arguments.joined(separator: " "))` exited \(outcome.status): \(outcome.text)")
    }
    return outcome
  }

  func curl(_ arguments: String...) throws -> Outcome {
    try Command.run(["/usr/bin/curl", "-sS", "--fail", "--max-time", "5"] + arguments)
  }

  func start(_ arguments: [String], log: String) throws -> Process {
    let process = Command.process(arguments, environment: session)
    let handle = try Command.writer(folder + "/" + log)
    process.standardOutput = handle
    process.standardError = handle
    process.standardInput = FileHandle.nullDevice
    try process.run()
    return process
  }

  func log(_ name: String) -> String { Command.text(folder + "/" + name) }

  private func stop(_ process: Process?) {
    guard let process, process.isRunning else { return }
    process.terminate()
    process.waitUntilExit()
  }

  /// Everything ends; returns what was left behind in the kernel, which must be nothing.
  func takeDown() -> [String] {
    for device in agents.keys { stopAgent(device) }
    for device in subnets.keys {
      _ = try? Command.run(["wherry-agent", "teardown", "--config", configuration(device)])
    }
    stopService()
    stop(registryProcess)
    let left = Self.leftovers(of: prefix, in: folder)
    if left.isEmpty { try? FileManager.default.removeItem(atPath: folder) }
    return left
  }

  /// What agents whose ids begin with `prefix`, and anything started below `folder`, left in the kernel.
  static func leftovers(of prefix: String, in folder: String) -> [String] {
    let probes = [
      ["/bin/sh", "-c", "cat /proc/mounts | grep -F '\(folder)' || true"],
      ["/bin/sh", "-c", "ip -o link | grep -F 'wh-\(prefix)' || true"],
      ["/bin/sh", "-c", "find /sys/fs/cgroup -type d -path '*wherry/\(prefix)*' 2>/dev/null || true"],
      ["/bin/sh", "-c", "nft list tables | grep -F '\(prefix)' || true"],
      ["/bin/sh", "-c", "pgrep -af '\(folder)' | grep -v pgrep || true"],
      // Namespaces live as long as a process, a mount or an open file holds them: mounts are above, these are bound.
      ["/bin/sh", "-c", "grep -E '^nsfs' /proc/mounts | grep -F '\(prefix)' || true"],
    ]
    return probes.compactMap { probe in
      guard let outcome = try? Command.run(probe) else { return "\(probe) could not be run" }
      return outcome.text.isEmpty ? nil : outcome.text
    }
  }
}
