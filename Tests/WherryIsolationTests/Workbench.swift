import CIsolation
import Glibc
import Testing
import WherryModel
import WherryTestSupport

@testable import WherryIsolation

/// A root file system made of busybox, a host of its own and whatever it started: all of it goes when the bench does.
final class Workbench {
  let directory = TemporaryDirectory()
  let configuration: HostConfiguration
  private(set) var host: WorkloadHost

  /// Nil, with the reason printed, where the kernel cannot be asked.
  init?(_ name: String, subnet: String? = nil, cgroupRoot: (TemporaryDirectory) -> String? = { _ in nil }) {
    guard getuid() == 0 else {
      print("\(name): not root, so nothing can be started for real")
      return nil
    }
    guard let busybox = Self.busybox else {
      print("\(name): no static busybox on this machine (package busybox-static)")
      return nil
    }
    guard let shim = Self.shim else {
      print("\(name): no wherry-shim beside the tests and none in WHERRY_BIN")
      return nil
    }
    // Short and unlike any other test's of this or another process.
    let agentID = "t\(getpid() % 100_000)\(Self.next())"
    var configuration = HostConfiguration(
      agentID: agentID, stateDirectory: directory.file("run"), shimPath: shim, subnet: subnet)
    if let root = cgroupRoot(directory) { configuration.cgroupRoot = root }
    self.configuration = configuration
    do {
      host = try WorkloadHost(configuration)
    } catch {
      Issue.record("the host cannot be made: \(error)")
      return nil
    }
    makeLayer(busybox)
  }

  deinit { host.tearDown() }

  private static let counter = Counter()
  private static func next() -> Int { counter.next() }

  /// Beside the test program, where SwiftPM puts it, or in WHERRY_BIN.
  static let shim: String? = {
    var buffer = [CChar](repeating: 0, count: 4096)
    let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
    let executable = String(decoding: buffer.prefix(max(count, 0)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    var places = [String(executable.prefix(upTo: executable.lastIndex(of: "/") ?? executable.startIndex))]
    // Under `swift test` the executable is the toolchain's helper; the bundle is an argument.
    places += CommandLine.arguments.compactMap { argument in
      argument.lastIndex(of: "/").map { String(argument[..<$0]) }
    }
    places += getenv("WHERRY_BIN").map { [String(cString: $0)] } ?? []
    return places.map { $0 + "/wherry-shim" }.first { access($0, X_OK) == 0 }
  }()

  private static let busybox: [UInt8]? = ["/bin/busybox", "/usr/bin/busybox"].lazy.compactMap { TestFile.read($0) }
    .first

  private func makeLayer(_ busybox: [UInt8]) {
    for path in ["bin", "etc", "proc", "sys", "dev", "tmp", "run", "var/tmp", "data"] {
      Files.makeDirectories(directory.file("layer/" + path))
    }
    TestFile.write(busybox, to: directory.file("layer/bin/busybox"))
    chmod(directory.file("layer/bin/busybox"), 0o755)
    let applets = [
      "sh", "cat", "echo", "sleep", "true", "false", "id", "hostname", "mount", "ls", "head", "tail", "dd", "grep",
      "kill", "mknod", "touch", "readlink", "wc", "yes", "seq", "ip", "chown", "env", "pwd", "httpd", "nc", "unshare",
    ]
    for applet in applets { symlink("busybox", directory.file("layer/bin/" + applet)) }
    let users = "root:x:0:0:root:/root:/bin/sh\napp:x:1234:1235:app:/:/bin/sh\n"
    TestFile.write(Array(users.utf8), to: directory.file("layer/etc/passwd"))
    TestFile.write(Array("root:x:0:\napp:x:1235:\nvideo:x:44:app\n".utf8), to: directory.file("layer/etc/group"))
  }

  func container(_ id: String, _ arguments: [String], readOnly: Bool = true) -> WorkloadSpec {
    let root = WorkloadRoot.overlay(
      lower: [directory.file("layer")], upper: directory.file("snap/\(id)/upper"),
      work: directory.file("snap/\(id)/work"), readOnly: readOnly)
    var spec = WorkloadSpec(
      id: id, root: root, arguments: arguments, user: .root, logPath: directory.file("logs/\(id).log"))
    spec.environment = ["PATH=/bin"]
    spec.capabilities = Capability.containerDefault
    spec.hostName = "box"
    spec.users = .own
    return spec
  }

  func process(_ id: String, _ script: String, writable: [String] = [], hidden: [String] = []) -> WorkloadSpec {
    var spec = WorkloadSpec(
      id: id, root: .host(writable: writable, hidden: hidden), arguments: ["/bin/sh", "-c", script],
      user: .ids(user: 65534, group: 65534, groups: []), logPath: directory.file("logs/\(id).log"))
    spec.environment = ["PATH=/usr/bin:/bin"]
    spec.network = .host
    return spec
  }

  /// The agent died and came back: nothing but the state directory connects the two hosts.
  func restartAgent() throws { host = try WorkloadHost(configuration) }

  func log(_ id: String, lines: Int = 1000) -> [String] {
    LogFile.tail(path: directory.file("logs/\(id).log"), lines: lines)
  }

  /// What the workload wrote, without time and stream.
  func output(_ id: String) -> [String] { log(id).map { String($0.dropFirst(27)) } }

  /// Starts, waits for the end, and gives it with what was written.
  func run(_ spec: WorkloadSpec) throws -> (end: WorkloadEvent, output: [String]) {
    let link = try host.start(spec, identity: "test")
    let end = try #require(link.waitForEnd())
    defer { host.release(spec.id) }
    return (end, output(spec.id))
  }
}

/// Tests run on several threads.
final class Counter: @unchecked Sendable {
  private var value = 0
  private var lock = pthread_mutex_t()
  init() { pthread_mutex_init(&lock, nil) }
  func next() -> Int {
    pthread_mutex_lock(&lock)
    defer { pthread_mutex_unlock(&lock) }
    value += 1
    return value
  }
}

extension WorkloadLink {
  /// Polls until such an event comes; nil after a minute.
  func wait(for wanted: (WorkloadEvent) -> Bool) -> WorkloadEvent? {
    var watched = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    while descriptor >= 0, poll(&watched, 1, 60_000) > 0 {
      if let event = readEvents().first(where: wanted) { return event }
    }
    return nil
  }

  func waitForStart() -> Int32? {
    guard case .started(let pid) = wait(for: { if case .started = $0 { true } else { false } }) else { return nil }
    return pid
  }

  func waitForEnd() -> WorkloadEvent? { wait { if case .started = $0 { false } else { true } } }
}

extension WorkloadEvent {
  static func exited(code: Int32) -> WorkloadEvent { .exited(WorkloadExit(code: code)) }
  static func exited(signal: Int32) -> WorkloadEvent { .exited(WorkloadExit(signal: signal)) }
}

extension Workbench {
  /// What of this bench's agent is in any cgroup hierarchy.
  var cgroups: [String] {
    host.layout.directories(of: "wherry/\(configuration.agentID)").flatMap { parent in
      Files.names(in: parent).filter { Files.exists("\(parent)/\($0)/cgroup.procs") }
    }
  }

  /// Two minutes at most, in steps that leave the processor to the workload.
  func wait(until isDone: () -> Bool) {
    for _ in 0..<24_000 {
      if isDone() { return }
      poll(nil, 0, 5)
    }
  }

  func waitForOutput(_ id: String, _ line: String) { wait { output(id).contains(line) } }
  func waitForPid(_ id: String) {
    wait { TestFile.exists(directory.file("run/workloads/\(id)/pid")) }
  }
}
