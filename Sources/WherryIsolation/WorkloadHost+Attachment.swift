import Glibc
import WherryModel
import WherrySystem

/// A person beside a running workload: sees what it writes from now on, and writes what it reads.
extension WorkloadHost {
  private static let lookMilliseconds: Int32 = 50

  /// Until the workload ends, or a signal ends this process's part; the end of `input` does not.
  /// - Returns: the workload's exit code, or 128 and the signal that ended it; nil when the person has left.
  package func attach(
    to id: String, logPath: String, input: Int32?, show: ([UInt8], _ isError: Bool) -> Void
  ) throws(Failure) -> Int32? {
    let directory = directory(of: id)
    guard case .connected(let descriptor) = directory.reach() else {
      throw Failure(
        .rejected, code: "component.notRunning", message: "\(id) is not running", remedy: "start its component first")
    }
    let link = WorkloadLink(
      id: id, descriptor: descriptor, directory: directory, cgroup: nil, shim: nil, reaper: reaper)
    defer { link.close() }
    var follower = LogFollower(path: logPath, fromEnd: true)
    defer { follower.close() }
    let pipe = input == nil ? -1 : open(directory.file(WorkloadDirectory.inputName), O_WRONLY | O_NONBLOCK | O_CLOEXEC)
    defer { if pipe >= 0 { close(pipe) } }
    guard input == nil || pipe >= 0 else {
      throw Failure(
        .rejected, code: "workload.noInput", message: "\(id) does not read anything",
        remedy: "set `Stdin: true` in the Container of its recipe, or attach with --no-stdin")
    }
    _ = fcntl(pipe, F_SETFL, 0)
    let signals = SignalWatch()
    defer { signals.end() }
    var source = input ?? -1
    while true {
      let descriptors = [link.descriptor, signals.descriptor, source]
      var entries = descriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
      poll(&entries, nfds_t(entries.count), Self.lookMilliseconds)
      let end = link.readEvents().compactMap(Self.end).first
      for line in follower.readLines().compactMap({ LogLine($0) }) { show(Array(line.written.utf8), line.isError) }
      if let end { return end }
      while let number = signals.next() { if number != SIGWINCH { return nil } }
      if entries[2].revents != 0, !Self.pass(from: source, to: pipe) { source = -1 }
    }
  }

  private static func end(_ event: WorkloadEvent) -> Int32? {
    switch event {
    case .exited(let exit): exit.code ?? (128 + (exit.signal ?? 0))
    case .failedToStart, .lost: 1
    case .started: nil
    }
  }

  /// False at the end of it.
  private static func pass(from source: Int32, to pipe: Int32) -> Bool {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = read(source, &buffer, buffer.count)
    return count > 0 && Files.write(Array(buffer[..<count]), to: pipe) == 0
  }
}
