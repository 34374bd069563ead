import CIsolation
import Glibc
import WherryModel
import WherrySystem

/// One more process in a running workload, under the same limits.
extension WorkloadHost {
  /// For health checks: its output is dropped, and it ends with this process.
  package func execute(in id: String, arguments: [String], environment: [String] = []) throws(Failure) -> WorkloadLink {
    let program = try execution(in: id, arguments, environment, hasTerminal: false)
    return try spawn(id, program, listener: -1)
  }

  /// For a person: with the streams of this process, or a terminal that this process is the other end of.
  /// - Returns: the exit code, or 128 and the signal that ended it.
  package func attend(
    in id: String, arguments: [String], environment: [String], hasTerminal: Bool
  ) throws(Failure) -> Int32 {
    let program = try execution(in: id, arguments, environment, hasTerminal: hasTerminal)
    let signals = SignalWatch()
    defer { signals.end() }
    var pair: [Int32] = [-1, -1]
    defer { for descriptor in pair where descriptor >= 0 { close(descriptor) } }
    guard !hasTerminal || socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0 else {
      throw Self.cannot("make a socket", id, errno)
    }
    _ = fcntl(pair[0], F_SETFD, FD_CLOEXEC)
    let link = try spawn(id, program, listener: pair[1], keepsStreams: true)
    guard hasTerminal else { return try attend(link, nil, signals) }
    close(pair[1])
    // Nothing comes when it could not be made; the link says why.
    pair[1] = wherry_receive_descriptor_from(pair[0])
    return try attend(link, pair[1] >= 0 ? pair[1] : nil, signals)
  }

  private func attend(
    _ link: WorkloadLink, _ master: Int32?, _ signals: SignalWatch
  ) throws(Failure) -> Int32 {
    if let master { _ = fcntl(master, F_SETFL, O_RDWR | O_NONBLOCK) }
    var relay = master.map(TerminalRelay.init)
    let person = master.map(PersonsTerminal.init)
    while true {
      var entries = [link.descriptor, signals.descriptor].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
      entries += relay?.entries ?? []
      poll(&entries, nfds_t(entries.count), -1)
      relay?.carry(entries.dropFirst(2))
      while let number = signals.next() {
        if number == SIGWINCH { person?.resize() } else { link.signal(number) }
      }
      for event in link.readEvents() {
        switch event {
        case .started: break
        case .failedToStart(_, _, let sentence):
          throw Failure(
            .start, code: "workload.execution", message: sentence, remedy: "see whether the program is there")
        case .exited(let exit):
          relay?.finish()
          return exit.code ?? (128 + (exit.signal ?? 0))
        case .lost:
          throw Failure(
            .internalError, code: "workload.execution", message: "the process ended and nobody knows how",
            remedy: "try again")
        }
      }
    }
  }

  private func execution(
    in id: String, _ arguments: [String], _ environment: [String], hasTerminal: Bool
  ) throws(Failure) -> [UInt8] {
    let directory = directory(of: id)
    guard let probe = directory.readProbe(), let pid = directory.pids?.workload, !arguments.isEmpty else {
      throw Failure(
        .start, code: "workload.notRunning", message: "\(id) is not running, so nothing can run inside it",
        remedy: "start it first")
    }
    guard !hasTerminal || probe.entry.count > 0 else {
      throw Failure(
        .start, code: "workload.execution",
        message: "\(id) was started by an older agent, which could not give terminals",
        remedy: "leave the terminal out, or restart the component")
    }
    let settings = LaunchProgram.probeSettings(pid: pid, cgroup: cgroup(of: id).unifiedDirectory)
    var terminal = LaunchProgram()
    if hasTerminal {
      terminal.add("make its terminal", .terminal(rows: 0, columns: 0, hasConsole: false, user: probe.user))
    }
    var execution = LaunchProgram()
    execution.addExecution(arguments, environment: probe.environment + environment)
    let parts = [
      (LaunchProgram.encode(settings), settings.count), (probe.entry.bytes, probe.entry.count),
      (LaunchProgram.encode(terminal.steps), terminal.steps.count), (probe.privileges.bytes, probe.privileges.count),
      (LaunchProgram.encode(execution.steps), execution.steps.count),
    ]
    return LaunchProgram.assemble(body: parts.flatMap(\.0), count: parts.reduce(0) { $0 + $1.1 })
  }
}
