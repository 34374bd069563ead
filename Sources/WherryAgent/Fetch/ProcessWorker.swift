import Glibc
import WherryIsolation
import WherryJSON
import WherryModel

/// The worker port over real `wherry-fetch` processes.
package final class ProcessWorker: Worker {
  private let program: String
  private let directory: String
  private let reaper = ProcessReaper()

  package var hasLeftovers: Bool { !reaper.isEmpty }
  package func tidy() { reaper.reap() }

  /// `directory` is on a tmpfs: the job holds the device's key.
  package init(program: String, directory: String) {
    self.program = program
    self.directory = directory
  }

  package func start(_ mode: WorkerMode, job: JSON) throws(Failure) -> any WorkerRun {
    let input = try jobFile(job)
    defer { close(input) }
    let (reading, writing) = try Spawn.channel()
    defer { close(writing) }
    do {
      let pid = try Spawn.start([program, mode.rawValue], input: input, output: writing)
      Spawn.setNonBlocking(reading)
      return ProcessWorkerRun(pid: pid, descriptor: reading, reaper: reaper)
    } catch {
      close(reading)
      throw error
    }
  }

  /// A file without a name: jobs outgrow a pipe, and nobody else shall read them.
  private func jobFile(_ job: JSON) throws(Failure) -> Int32 {
    var template = Array("\(directory)/job-XXXXXX".utf8CString)
    let descriptor = mkstemp(&template)
    guard descriptor >= 0 else { throw Files.failure("make a file in", directory) }
    unlink(template)
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    guard Files.writeAll(job.canonicalBytes, to: descriptor), lseek(descriptor, 0, SEEK_SET) == 0 else {
      let failure = Files.failure("write a job in", directory)
      close(descriptor)
      throw failure
    }
    return descriptor
  }
}

final class ProcessWorkerRun: WorkerRun {
  private let pid: pid_t
  private let reaper: ProcessReaper
  private(set) var descriptor: Int32
  private(set) var nextDeadline: Instant?
  private var lines = LineBuffer()
  /// As waitpid gave it; -1 = somebody else reaped it.
  private var end: Int32?
  private var isReported = false
  /// After its output ended it has this long to go away.
  private var killAt: Instant?

  private static let goneMilliseconds: Int64 = 2_000
  private static let readsMaximum = 64
  private static let reapIntervalMilliseconds: Int64 = 5
  private static let lookIntervalMilliseconds: Int64 = 1_000

  init(pid: pid_t, descriptor: Int32, reaper: ProcessReaper) {
    self.pid = pid
    self.descriptor = descriptor
    self.reaper = reaper
  }

  deinit {
    if descriptor >= 0 { close(descriptor) }
    guard end == nil else { return }
    // In the midst of an fsync it ends when the disk lets it, which nobody waits for. What it holds is locked until
    // then (WherryTransfer/PartialFile), so that the next worker does not get in its way.
    kill(pid, SIGKILL)
    reaper.take(pid)
  }

  func cancel() {
    if end == nil { kill(pid, SIGKILL) }
  }

  func readEvents(now: Instant) -> [WorkerEvent] {
    var events: [WorkerEvent] = []
    let isGone = hasExited()
    var buffer = [UInt8](repeating: 0, count: 16 << 10)
    var budget = Self.readsMaximum
    while descriptor >= 0 {
      // One that never stops talking gets its turn like everybody else.
      if budget == 0 && !isGone { return events }
      budget -= 1
      let count = budget < 0 ? 0 : read(descriptor, &buffer, buffer.count)
      if count > 0 {
        for line in lines.append(buffer[..<count]) {
          // What the worker says was made from hostile input: only JSON of known shape gets further.
          if let json = try? JSON(parsing: line) { events.append(.line(json)) }
        }
        continue
      }
      if count < 0 && errno == EINTR { continue }
      if count < 0 && errno == EAGAIN && !isGone {
        // Something that it started may hold its output open after it is gone, so it is looked after, too.
        nextDeadline = now.advanced(byMilliseconds: Self.lookIntervalMilliseconds)
        return events
      }
      close(descriptor)
      descriptor = -1
      killAt = now.advanced(byMilliseconds: Self.goneMilliseconds)
    }
    if isReported { return events }
    if let end { return events + [report(end)] }
    if let killAt, now >= killAt { kill(pid, SIGKILL) }
    if hasExited(), let end { return events + [report(end)] }
    nextDeadline = now.advanced(byMilliseconds: Self.reapIntervalMilliseconds)
    return events
  }

  private func hasExited() -> Bool {
    guard end == nil else { return true }
    var status: Int32 = 0
    let found = waitpid(pid, &status, WNOHANG)
    guard found == pid || found < 0 else { return false }
    end = found == pid ? status : -1
    return true
  }

  private func report(_ status: Int32) -> WorkerEvent {
    isReported = true
    nextDeadline = nil
    let signal = status & 0x7f
    if status >= 0 && signal != 0 { return .ended(isSuccess: false, detail: "it was ended by signal \(signal)") }
    let code = (status >> 8) & 0xff
    return .ended(isSuccess: status == 0, detail: "it exited with code \(code)")
  }
}
