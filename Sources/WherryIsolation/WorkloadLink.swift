import CIsolation
import Glibc

/// The agent's end of one running workload: events come in over `descriptor` (poll it for reading), signals go out.
package final class WorkloadLink {
  package let id: String
  /// Non-blocking; -1 while there is none: the link has ended, or its shim could not be reached yet.
  package private(set) var descriptor: Int32

  private let directory: WorkloadDirectory?
  private let cgroup: Cgroup?
  private let shim: ShimProcess?
  private let reaper: ProcessReaper
  private var isOver = false
  /// What `look` found out; handed over by the next `readEvents`.
  private var found: [WorkloadEvent] = []
  /// Signals for a shim that could not be reached yet.
  private var unsent: [Int32] = []
  /// Connections since the last word from the shim.
  private var attempts = 0

  /// Then it is left to `look`, which is called now and then: a shim that hangs up on everybody must not keep the
  /// agent busy.
  private static let attemptsMaximum = 3

  /// A probe has neither a directory nor the say over the cgroup. `descriptor` -1 = the shim is there but could not
  /// be reached.
  init(
    id: String, descriptor: Int32, directory: WorkloadDirectory?, cgroup: Cgroup?, shim: ShimProcess?,
    reaper: ProcessReaper
  ) {
    self.id = id
    self.descriptor = descriptor
    self.directory = directory
    self.cgroup = cgroup
    self.shim = shim
    self.reaper = reaper
  }

  deinit { close() }

  /// There is a shim, as far as is known, and no connection to it.
  var isSearching: Bool { descriptor < 0 && !isOver }

  /// What happened since the last call; never blocks. After an ending event the link is closed.
  package func readEvents() -> [WorkloadEvent] {
    var events = found
    found = []
    while descriptor >= 0 {
      var message = wherry_message()
      let count = recv(descriptor, &message, MemoryLayout<wherry_message>.size, 0)
      if count < 0, errno == EINTR { continue }
      if count < 0, errno == EAGAIN { break }
      guard count == MemoryLayout<wherry_message>.size else {
        Glibc.close(descriptor)
        descriptor = -1
        if attempts < Self.attemptsMaximum, let end = search() { events.append(end) }
        continue
      }
      attempts = 0
      guard let event = Self.event(message) else { continue }
      events.append(event)
      switch event {
      case .started: break
      case .failedToStart, .exited, .lost: end()
      }
    }
    return events
  }

  private static func event(_ message: wherry_message) -> WorkloadEvent? {
    switch wherry_message_kind(message.kind) {
    case WHERRY_STARTED: return .started(pid: message.a)
    case WHERRY_EXITED: return .exited(WorkloadExit(code: message.a, signal: message.b, oom: message.c))
    case WHERRY_FAILED:
      let step = withUnsafeBytes(of: message.text) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      return .failure(step: step, errno: message.a)
    default: return nil
    }
  }

  /// Tries again to reach a shim that could not be reached; what comes of it is among the next events.
  func look() {
    guard isSearching, let end = search() else { return }
    found.append(end)
  }

  /// The workload's end, when there is no shim any more. It may have written it down without being able to say it;
  /// otherwise it was killed, and what it kept is killed too: nobody would log it or see it end. A shim that is merely
  /// stopped or slow, or an agent that is out of descriptors, is no reason for that.
  private func search() -> WorkloadEvent? {
    guard let directory else {
      end()
      return .lost
    }
    attempts += 1
    switch directory.reach() {
    case .connected(let connection):
      descriptor = connection
      for number in unsent { send(WHERRY_SIGNAL, number) }
      unsent = []
      return nil
    case .unreachable: return nil
    case .gone:
      end()
      if let end = directory.readEnd() { return end }
      cgroup?.kill()
      return .lost
    }
  }

  private func end() {
    close()
    // It still has the workload to reap, which takes the kernel some milliseconds.
    shim?.reapIfEnded()
  }

  /// Everything is there that the shim is to start the workload in.
  func go() { send(WHERRY_GO, 0) }

  /// To the workload's first process. One that it does not handle ends it, as it would outside a pid namespace.
  package func signal(_ number: Int32) {
    if isSearching, !unsent.contains(number) { unsent.append(number) }
    send(WHERRY_SIGNAL, number)
  }

  /// Everything in the workload, at once.
  package func kill() {
    send(WHERRY_KILL, 0)
    cgroup?.kill()
  }

  private func send(_ kind: wherry_message_kind, _ number: Int32) {
    guard descriptor >= 0 else { return }
    var message = wherry_message()
    message.kind = kind.rawValue
    message.a = number
    Glibc.send(descriptor, &message, MemoryLayout<wherry_message>.size, Int32(MSG_NOSIGNAL))
  }

  /// Leaves the workload alone; ends a probe, whose shim ends it when this end is closed.
  package func close() {
    guard !isOver else { return }
    isOver = true
    if descriptor >= 0 { Glibc.close(descriptor) }
    descriptor = -1
    if directory == nil { shim?.leave(to: reaper) }
  }
}
