import Glibc
import WherryCrypto
import WherryIsolation
import WherryMQTT
import WherryModel
import WherryWire

/// `wherry-agent run`: the real parts put together, and the loop around the engine.
struct AgentService {
  let configuration: AgentConfiguration
  let paths: AgentPaths
  let log: AgentLog

  init(_ configuration: AgentConfiguration) {
    self.configuration = configuration
    paths = AgentPaths(configuration)
    log = AgentLog(level: configuration.logLevel)
  }

  private static let keepAliveSeconds = 30

  /// True = a component's `bootstrap` wants this program started again.
  func run() throws -> Bool {
    let clock = SystemClock()
    let began = clock.now
    Memory.prepare()
    try checkPrograms()
    let identity = try TrustStore(directory: paths.trust).load()
    let account = try UserAccount.named(configuration.defaultUser)
    let fetchAccount = try UserAccount.fetching(configuration.fetchUser)
    for directory in [paths.root, paths.components, paths.logs, paths.run] { try Files.ensureDirectory(directory) }
    let lock = try RunLock(of: paths)
    defer { lock.release() }
    let identityLock = try RunLock(agentID: configuration.agentID)
    defer { identityLock.release() }
    let previousMask = umask(0o077)
    try copyAuthority(identity)
    let journal = try SQLiteJournal(path: paths.root + "/agent.db")
    umask(previousMask)
    let bootID = Self.bootID()
    AppArmorLoader.load(runDirectory: paths.run, log)
    let ports = AgentPorts(
      transport: try transport(identity, bootID), runner: try WorkloadHost(configuration.host),
      worker: RegistryWorker(
        ProcessWorker(program: configuration.fetch, directory: paths.run), settings: configuration.registries),
      journal: journal, clock: clock)
    let engine = try AgentEngine(
      configuration: configuration, identity: identity, account: account, fetchAccount: fetchAccount, ports: ports,
      bootID: bootID, log: log, jitterSeed: Self.random())
    let signals = try SignalPipe([SIGTERM, SIGINT])
    engine.start()
    try engine.serveLocally()
    log.info(
      "ready",
      ["device": identity.name.rawValue, "milliseconds": "\(clock.now.milliseconds(since: began))"])
    Systemd.notify("READY=1")
    let isAgain = serve(engine, signals)
    Systemd.notify(isAgain ? "RELOADING=1" : "STOPPING=1")
    engine.stop()
    return isAgain
  }

  /// Until a signal comes, or a component wants the agent started again.
  private func serve(_ engine: AgentEngine, _ signals: SignalPipe) -> Bool {
    while !signals.hasArrived {
      engine.turn(wake: signals.descriptor)
      switch engine.restartWanted {
      case nil: continue
      case .agent: return true
      case .machine:
        engine.restartWanted = nil
        reboot()
      }
    }
    return false
  }

  private func reboot() {
    log.warning("rebooting the device", ["program": configuration.rebootProgram])
    let null = open("/dev/null", O_RDWR | O_CLOEXEC)
    defer { close(null) }
    do throws(Failure) {
      _ = try Spawn.start([configuration.rebootProgram], input: null, output: null)
    } catch { log.error("\(error)") }
  }

  /// The trust directory is the agent's alone.
  private func copyAuthority(_ identity: DeviceIdentity) throws(Failure) {
    try Files.write(try Files.read(identity.authorityFile), to: paths.authorityCopy, mode: 0o644)
  }

  private static func random() -> UInt64 { randomBytes(8).reduce(0) { $0 << 8 | UInt64($1) } }

  /// Becomes this program anew, of the version that lies in its place now.
  static func startAgain() -> Never {
    var path = AgentProgram.path()
    let replaced = " (deleted)"
    if path.hasSuffix(replaced) { path.removeLast(replaced.count) }
    Spawn.closeOthersOnExec()
    var arguments: [UnsafeMutablePointer<CChar>?] = CommandLine.arguments.map { strdup($0) }
    arguments.append(nil)
    execv(path, arguments)
    Output.complain("\(path) cannot be started again: \(String(cString: strerror(errno)))")
    exit(1)
  }

  private func checkPrograms() throws(Failure) {
    guard geteuid() == 0 else {
      throw Failure(
        .internalError, code: "agent.notRoot", message: "the agent makes namespaces and mounts, which needs root",
        remedy: "run it as root; components do not run as root unless their recipe says so")
    }
    for program in [configuration.shim, configuration.fetch] where access(program, X_OK) != 0 {
      throw Failure(
        .internalError, code: "agent.noHelper", message: "the helper program \(program) is not there",
        remedy: "install it beside wherry-agent, or set `shim` and `fetch` in agent.conf")
    }
  }

  private func transport(_ identity: DeviceIdentity, _ bootID: String) throws -> MQTTTransport {
    var mqtt = MQTTConfiguration(
      host: identity.brokerHost, port: identity.brokerPort, clientID: identity.name.rawValue,
      caFile: identity.authorityFile, certificateFile: identity.certificateFile, keyFile: identity.keyFile)
    let offline = Presence(isOnline: false, agentVersion: AgentVersion.text, bootID: bootID)
    mqtt.will = MQTTConfiguration.Will(
      topic: Topic.presence(identity.name), payload: offline.json.canonicalBytes, qos: 1, retain: true)
    mqtt.keepAliveSeconds = Self.keepAliveSeconds
    // What matters is retained, or sent until acknowledged; a session at the broker would only bring old commands.
    mqtt.cleanStart = true
    mqtt.sessionExpirySeconds = 0
    mqtt.jitterSeed = Self.random()
    return try MQTTTransport(configuration: mqtt)
  }

  /// Changes with each boot of the machine.
  static func bootID() -> String {
    guard let text = try? Files.text("/proc/sys/kernel/random/boot_id") else { return "" }
    return String(text.prefix { $0 != "\n" })
  }

  /// `wherry-agent teardown`: for a machine that shall be as if the agent had never run. Files stay.
  func tearDown() throws {
    try Files.ensureDirectory(paths.run)
    let lock = try RunLock(of: paths)
    defer { lock.release() }
    let identityLock = try RunLock(agentID: configuration.agentID)
    defer { identityLock.remove() }
    try WorkloadHost(configuration.host).tearDown()
    unlink(paths.socket)
  }
}

/// Turns signals into something to poll: the handler writes a byte.
struct SignalPipe {
  let descriptor: Int32
  // Set once before the handler is installed; a handler can reach nothing but globals.
  nonisolated(unsafe) private static var writeEnd: Int32 = -1

  init(_ signals: [Int32]) throws(Failure) {
    let (read, write) = try Spawn.channel()
    Spawn.setNonBlocking(read)
    Spawn.setNonBlocking(write)
    descriptor = read
    Self.writeEnd = write
    for number in signals {
      signal(number) { _ in
        var byte: UInt8 = 1
        _ = putBytes(SignalPipe.writeEnd, &byte, 1)
      }
    }
  }

  var hasArrived: Bool {
    var byte: UInt8 = 0
    return read(descriptor, &byte, 1) == 1
  }
}

private func putBytes(_ descriptor: Int32, _ bytes: UnsafeRawPointer, _ count: Int) -> Int {
  Glibc.write(descriptor, bytes, count)
}

/// sd_notify(3) without its library.
enum Systemd {
  static func notify(_ state: String) {
    guard let path = getenv("NOTIFY_SOCKET").map({ String(cString: $0) }), path.utf8.count > 1 else { return }
    let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
    guard descriptor >= 0 else { return }
    defer { close(descriptor) }
    let bytes = Array(state.utf8)
    // An abstract socket's name begins with a zero byte, written as @.
    let name = path.hasPrefix("@") ? "\0" + path.dropFirst() : path
    let length = socklen_t(MemoryLayout<sa_family_t>.size + name.utf8.count)
    _ = try? UnixSocket.withAddress(name) { address, _ in
      sendto(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL), address, length)
    }
  }
}
