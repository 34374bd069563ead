import Glibc
import Synchronization

/// mosquitto as the service's child: started, watched, started again with a growing pause, ended with the service.
package final class BrokerProcess: Sendable {
  private struct State {
    var process: pid_t = 0
    var isStopping = false
    var hasEnded = false
    var restarts = 0
  }

  private static let pauseMinimumMilliseconds: Int32 = 200
  private static let pauseMaximumMilliseconds: Int32 = 30_000
  private static let stopMilliseconds = 5_000

  private let executable: String
  private let configuration: BrokerConfiguration
  private let note: @Sendable (String) -> Void
  private let state = Mutex(State())
  /// A byte wakes the watching thread from its pause before a restart.
  private let wake: (read: Int32, write: Int32)

  init(
    executable: String, configuration: BrokerConfiguration, note: @escaping @Sendable (String) -> Void
  ) throws(Refusal) {
    guard let path = Self.find(executable) else {
      throw Refusal(
        500, "broker.missing", "the program \(executable) is not installed, which the embedded broker is",
        remedy: "install it (Debian: `apt-get install mosquitto`) or give --broker mqtts://HOST:PORT")
    }
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { throw SmallFile.failure("make a pipe for", executable) }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    wake = (ends[0], ends[1])
    self.executable = path
    self.configuration = configuration
    self.note = note
  }

  deinit {
    close(wake.read)
    close(wake.write)
  }

  package var restarts: Int { state.withLock { $0.restarts } }

  static func find(_ name: String) -> String? {
    if name.contains("/") { return access(name, X_OK) == 0 ? name : nil }
    let path = getenv("PATH").map { String(cString: $0) } ?? ""
    let directories = path.split(separator: ":").map(String.init) + ["/usr/sbin", "/usr/local/sbin", "/usr/bin"]
    return directories.map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
  }

  // MARK: - Life

  /// Starts the first one; its early death is the caller's to see (`isAccepting`).
  func start() throws(Refusal) {
    try spawn()
    OwnThread.start { [self] in watch() }
  }

  /// Makes it read its access file again.
  func reload() {
    state.withLock { if $0.process > 0 { kill($0.process, SIGHUP) } }
  }

  /// Returns when it has written its state and is gone.
  func stop() {
    state.withLock {
      $0.isStopping = true
      if $0.process > 0 { kill($0.process, SIGTERM) }
    }
    var byte: UInt8 = 1
    _ = write(wake.write, &byte, 1)
    for waited in 0..<Self.stopMilliseconds {
      if state.withLock({ $0.hasEnded }) { return }
      if waited == Self.stopMilliseconds - 1_000 { state.withLock { _ = kill($0.process, SIGKILL) } }
      usleep(1_000)
    }
  }

  private func watch() {
    var pause = Self.pauseMinimumMilliseconds
    while true {
      let process = state.withLock { $0.process }
      let began = wallClock()
      if process > 0 {
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0 && errno == EINTR {}
        if !state.withLock({ $0.isStopping }) {
          note("mosquitto ended with wait status \(status); its words are in \(log.path)")
        }
      }
      let isStopping = state.withLock { state in
        state.process = 0
        state.hasEnded = state.isStopping
        return state.isStopping
      }
      if isStopping { return }
      if wallClock().milliseconds(since: began) > 60_000 { pause = Self.pauseMinimumMilliseconds }
      var waiting = pollfd(fd: wake.read, events: Int16(POLLIN), revents: 0)
      poll(&waiting, 1, pause)
      pause = min(pause * 2, Self.pauseMaximumMilliseconds)
      startAgain()
    }
  }

  private func startAgain() {
    guard !state.withLock({ $0.isStopping }) else { return }
    do {
      try spawn()
      state.withLock { $0.restarts += 1 }
    } catch {
      note("\(error)")
    }
  }

  // MARK: - One process

  var log: BrokerLog { BrokerLog(path: "\(configuration.directory)/mosquitto.log") }
  private var processPath: String { "\(configuration.directory)/mosquitto.pid" }

  private func spawn() throws(Refusal) {
    log.bound()
    // Its own group: Ctrl-C in a terminal ends the service first, which then ends the broker in order.
    let process = ServiceChild.start([executable, "-c", configuration.path]) { [log] actions in
      posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
      posix_spawn_file_actions_addopen(&actions, 1, log.path, O_WRONLY | O_CREAT | O_APPEND, 0o600)
      posix_spawn_file_actions_adddup2(&actions, 1, 2)
    }
    guard process > 0 else {
      throw Refusal(
        500, "broker.notStarted", "cannot start \(executable): \(String(cString: strerror(-process)))",
        remedy: "see that the file can be executed by the service's user")
    }
    state.withLock { $0.process = process }
    try SmallFile.write(Array("\(process)\n".utf8), to: processPath, mode: 0o600)
  }

  /// Ends the broker that a killed service left behind. The data directory's lock is held, so it is nobody's.
  static func endOrphan(of configuration: BrokerConfiguration) {
    guard let text = SmallFile.text("\(configuration.directory)/mosquitto.pid"),
      let process = pid_t(text.split(separator: "\n").first ?? ""), process > 1, isOurs(process, configuration)
    else { return }
    kill(process, SIGTERM)
    for waited in 0..<stopMilliseconds where isOurs(process, configuration) {
      if waited == stopMilliseconds - 1_000 { kill(process, SIGKILL) }
      usleep(1_000)
    }
  }

  /// A process number may have been given to something else since.
  private static func isOurs(_ process: pid_t, _ configuration: BrokerConfiguration) -> Bool {
    guard let line = SmallFile.text("/proc/\(process)/cmdline") else { return false }
    return line.split(separator: "\0").contains { $0 == configuration.path }
  }
}
