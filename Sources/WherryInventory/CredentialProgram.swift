import Glibc
import WherryModel
import WherryWire

/// One run of a credential command, waited for on the caller's thread.
enum CredentialProgram {
  /// What it printed before it ended with success.
  static func output(
    of command: CredentialCommand, for registry: RegistryHost,
    timeoutMilliseconds: Int64 = CredentialCommand.timeoutMilliseconds
  ) throws(Failure) -> [UInt8] {
    guard let program = BrokerProcess.find(command.words[0]) else {
      throw command.failure(registry, "the program \(command.words[0]) is not installed")
    }
    guard let input = pipe(), let output = pipe() else { throw command.failure(registry, "no pipe could be had") }
    // The name fits into the pipe before anybody reads it.
    let name = Array("\(registry)\n".utf8)
    _ = write(input.write, name, name.count)
    close(input.write)
    defer { close(output.read) }
    let started = spawn([program] + command.words.dropFirst(), input: input.read, output: output.write)
    close(input.read)
    close(output.write)
    guard let process = started else { throw command.failure(registry, "\(program) cannot be started") }
    let (bytes, isWhole) = read(output.read, timeoutMilliseconds: timeoutMilliseconds)
    // Its output may end, and it may go on: whoever started it waits no longer.
    if !isWhole { kill(-process, SIGKILL) }
    let status = wait(process, timeoutMilliseconds: isWhole ? timeoutMilliseconds : 0)
    guard isWhole else {
      throw command.failure(
        registry, "it did not end within \(timeoutMilliseconds / 1_000) seconds, or printed too much")
    }
    guard status == 0 else { throw command.failure(registry, "it ended with wait status \(status)") }
    return bytes
  }

  private static func pipe() -> (read: Int32, write: Int32)? {
    var ends: [Int32] = [-1, -1]
    guard Glibc.pipe(&ends) == 0 else { return nil }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return (ends[0], ends[1])
  }

  private static func spawn(_ arguments: [String], input: Int32, output: Int32) -> pid_t? {
    // A group of its own, so that all of it can be ended.
    let process = ServiceChild.start(arguments) { actions in
      posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO)
      posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
    }
    return process > 0 ? process : nil
  }

  /// - Returns: false with it when the time or the bytes ran out first.
  private static func read(_ descriptor: Int32, timeoutMilliseconds: Int64) -> ([UInt8], Bool) {
    let deadline = ContinuousClock.now + .milliseconds(timeoutMilliseconds)
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4_096)
    while bytes.count <= CredentialCommand.outputBytesMaximum {
      let left = ContinuousClock.now.duration(to: deadline)
      guard left > .zero else { return (bytes, false) }
      var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      // At most a second at a time, so that the rounding of a duration does not matter.
      let milliseconds = left < .seconds(1) ? left.components.attoseconds / 1_000_000_000_000_000 + 1 : 1_000
      guard poll(&entry, 1, Int32(milliseconds)) > 0 else { continue }
      let count = Glibc.read(descriptor, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return (bytes, count == 0) }
      bytes.append(contentsOf: buffer[..<count])
    }
    return (bytes, false)
  }

  /// Its wait status. One that closed its output and goes on is ended when the time has run out.
  private static func wait(_ process: pid_t, timeoutMilliseconds: Int64) -> Int32 {
    let deadline = ContinuousClock.now + .milliseconds(timeoutMilliseconds)
    var status: Int32 = 0
    while true {
      let found = waitpid(process, &status, WNOHANG)
      if found == process { return status }
      if found < 0, errno != EINTR { return -1 }
      if ContinuousClock.now >= deadline { kill(-process, SIGKILL) }
      _ = poll(nil, 0, 1)
    }
  }
}
