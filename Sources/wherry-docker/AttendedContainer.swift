import Glibc
import WherryDocker
import WherryJSON
import WherrySystem

/// A container in the foreground. Its output comes through pipes that are its own, so that it may open /dev/stdout, and
/// goes on coming while the agent is away.
final class AttendedContainer {
  private struct Pipe {
    var read: Int32
    var write: Int32
    let target: Int32
  }

  private var output: Pipe
  private var errors: Pipe
  private let takesInput: Bool
  private let signals = SignalWatch()
  private var call: AgentCall?
  private var id: String?
  private var unsent: [Int32] = []
  private var code: Int32?

  private static let retryMilliseconds: Int32 = 200
  private static let lost: Int32 = 125

  init(takesInput: Bool) throws(DockerMisuse) {
    output = try Self.pipe(to: STDOUT_FILENO)
    errors = try Self.pipe(to: STDERR_FILENO)
    self.takesInput = takesInput
    guard signals.descriptor >= 0 else { throw DockerMisuse("docker run: signals cannot be listened to; try again") }
  }

  private static func pipe(to target: Int32) throws(DockerMisuse) -> Pipe {
    var ends: [Int32] = [-1, -1]
    guard Glibc.pipe(&ends) == 0 else {
      throw DockerMisuse("docker run: a pipe cannot be made: \(String(cString: strerror(errno))); try again")
    }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return Pipe(read: ends[0], write: ends[1], target: target)
  }

  /// - Returns: the container's exit code.
  func run(_ request: JSON) throws(DockerMisuse) -> Int32 {
    let call = try AgentCall()
    try call.ask(request, with: [output.write, errors.write] + (takesInput ? [STDIN_FILENO] : []))
    self.call = call
    for end in [output.write, errors.write] { close(end) }
    while !isOver || output.read >= 0 || errors.read >= 0 {
      let sources = [isOver ? -1 : self.call?.descriptor ?? -1, signals.descriptor, output.read, errors.read]
      var entries = sources.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
      // After its end, only what is in the pipes already: something else of it may hold them open.
      let count = poll(&entries, nfds_t(entries.count), patience)
      if count == 0, isOver { break }
      if entries[1].revents != 0 { passOn() }
      if entries[2].revents != 0 { Self.carry(&output) }
      if entries[3].revents != 0 { Self.carry(&errors) }
      if entries[0].revents != 0 { hear() }
      if self.call == nil, !isOver { comeBack() }
    }
    return code ?? Self.lost
  }

  private var isOver: Bool { code != nil }

  private var patience: Int32 { isOver ? 0 : self.call == nil ? Self.retryMilliseconds : -1 }

  private static func carry(_ pipe: inout Pipe) {
    var buffer = [UInt8](repeating: 0, count: 1 << 14)
    let count = read(pipe.read, &buffer, buffer.count)
    if count < 0, errno == EINTR { return }
    if count > 0, Descriptor.write(Array(buffer[..<count]), to: pipe.target) == 0 { return }
    close(pipe.read)
    pipe.read = -1
  }

  private func passOn() {
    while let number = signals.next() { unsent.append(number) }
    sendSignals()
  }

  private func sendSignals() {
    guard let call, id != nil else { return }
    for number in unsent { try? call.ask(["signal": .integer(Int64(number))]) }
    unsent = []
  }

  private func hear() {
    guard let answers = call?.answers() else {
      call = nil
      // It was refused, or never began.
      if id == nil { code = Self.lost }
      return
    }
    for answer in answers {
      if let id = answer["container"]?.stringValue { self.id = id }
      if let code = AgentCall.show(answer) { self.code = code }
    }
    sendSignals()
  }

  /// The agent was started again: the container went on without it.
  private func comeBack() {
    let descriptor = AgentCall.connect()
    guard descriptor >= 0, let id else { return }
    let call = AgentCall(descriptor: descriptor)
    if (try? call.ask(["docker": ["wait", .string(id)]])) != nil { self.call = call }
    sendSignals()
  }
}
