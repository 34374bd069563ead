import Glibc
import WherryIsolation
import WherryModel
import WherryWire

/// One run of a credential command. The agent has one thread, so this waits for nothing: it is asked again when its
/// descriptor has something or its deadline has come.
final class CredentialInquiry {
  let host: RegistryHost
  private let command: CredentialCommand
  private let pid: pid_t
  private let reaper: ProcessReaper
  private(set) var descriptor: Int32
  private(set) var nextDeadline: Instant? = .zero
  private var giveUpAt: Instant?
  private var output: [UInt8] = []
  /// As waitpid gave it.
  private var end: Int32?

  /// The output ends before the program does.
  private static let reapIntervalMilliseconds: Int64 = 5

  /// It runs as the agent does, which is how it reaches the keys that are root's.
  init(_ host: RegistryHost, _ command: CredentialCommand, reaper: ProcessReaper) throws(Failure) {
    self.host = host
    self.command = command
    self.reaper = reaper
    let (inputRead, inputWrite) = try Spawn.channel()
    defer {
      close(inputRead)
      close(inputWrite)
    }
    // Short enough to fit before anybody reads it.
    guard Files.writeAll(Array("\(host)\n".utf8), to: inputWrite) else { throw Files.failure("write to", "a socket") }
    let (outputRead, outputWrite) = try Spawn.channel()
    defer { close(outputWrite) }
    do throws(Failure) { pid = try Spawn.start(command.words, input: inputRead, output: outputWrite) } catch {
      close(outputRead)
      throw command.failure(host, error.message)
    }
    Spawn.setNonBlocking(outputRead)
    descriptor = outputRead
  }

  deinit {
    if descriptor >= 0 { close(descriptor) }
    guard end == nil else { return }
    cancel()
    reaper.take(pid)
  }

  /// With everything that it started: it leads a process group.
  func cancel() {
    if end == nil { kill(-pid, SIGKILL) }
  }

  /// nil = not yet.
  func advance(now: Instant) throws(Failure) -> RegistryCredential? {
    let deadline = giveUpAt ?? now.advanced(byMilliseconds: CredentialCommand.timeoutMilliseconds)
    giveUpAt = deadline
    let hasEnded = hasExited()
    try readOutput()
    if hasEnded, let end {
      guard end == 0 else { throw command.failure(host, Self.reason(end)) }
      return try command.credential(in: output, of: host)
    }
    guard now < deadline else {
      cancel()
      throw command.failure(host, "it did not end within \(CredentialCommand.timeoutMilliseconds / 1_000) seconds")
    }
    nextDeadline = descriptor < 0 ? now.advanced(byMilliseconds: Self.reapIntervalMilliseconds) : deadline
    return nil
  }

  private func readOutput() throws(Failure) {
    var buffer = [UInt8](repeating: 0, count: 4_096)
    while descriptor >= 0 {
      let count = read(descriptor, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      if count < 0, errno == EAGAIN { return }
      guard count > 0 else {
        close(descriptor)
        descriptor = -1
        return
      }
      output.append(contentsOf: buffer[..<count])
      guard output.count <= CredentialCommand.outputBytesMaximum else {
        cancel()
        _ = try command.credential(in: output, of: host)
        return
      }
    }
  }

  private func hasExited() -> Bool {
    guard end == nil else { return true }
    var status: Int32 = 0
    let found = waitpid(pid, &status, WNOHANG)
    // Somebody else's reaping hides how it ended: what it printed has to say enough.
    if found != 0 { end = found == pid ? status : 0 }
    return end != nil
  }

  private static func reason(_ status: Int32) -> String {
    let signal = status & 0x7f
    return signal == 0 ? "it ended with code \((status >> 8) & 0xff)" : "it was ended by signal \(signal)"
  }
}
