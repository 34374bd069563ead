import CIsolation
import Glibc

/// The agent's end of one running workload: events come in over `descriptor` (poll it for reading), signals go out.
package final class WorkloadLink {
  package let id: String
  /// Non-blocking; -1 once the link has ended.
  package private(set) var descriptor: Int32

  private let directory: WorkloadDirectory?
  private let cgroup: Cgroup?
  private let shim: ShimProcess?

  /// A probe has neither a directory nor the say over the cgroup.
  init(id: String, descriptor: Int32, directory: WorkloadDirectory?, cgroup: Cgroup?, shim: ShimProcess?) {
    self.id = id
    self.descriptor = descriptor
    self.directory = directory
    self.cgroup = cgroup
    self.shim = shim
  }

  deinit { if descriptor >= 0 { Glibc.close(descriptor) } }

  /// What happened since the last call; never blocks. After an ending event the link is closed.
  package func readEvents() -> [WorkloadEvent] {
    var events: [WorkloadEvent] = []
    while descriptor >= 0 {
      var message = wherry_message()
      let count = recv(descriptor, &message, MemoryLayout<wherry_message>.size, 0)
      if count < 0, errno == EINTR { continue }
      if count < 0, errno == EAGAIN { break }
      guard count == MemoryLayout<wherry_message>.size else {
        end()
        events.append(endWithoutWord())
        break
      }
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

  /// The shim is gone. It may have written down the end without being able to say it; otherwise it was killed, and
  /// what it kept is killed too: nobody would log it or see it end.
  private func endWithoutWord() -> WorkloadEvent {
    if let end = directory?.readEnd() { return end }
    cgroup?.kill()
    return .lost
  }

  private func end() {
    close()
    // It still has the workload to reap, which takes the kernel some milliseconds.
    shim?.reapIfEnded()
  }

  /// To the workload's first process. One that it does not handle ends it, as it would outside a pid namespace.
  package func signal(_ number: Int32) { send(WHERRY_SIGNAL, number) }

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

  /// Leaves the workload alone; ends a probe.
  package func close() {
    guard descriptor >= 0 else { return }
    Glibc.close(descriptor)
    descriptor = -1
    if directory == nil { shim?.reap() }
  }
}

/// A shim that is a child of this process. After an agent restart it is somebody else's child and reaped by them.
final class ShimProcess {
  private var pid: Int32?

  init(pid: Int32) { self.pid = pid }

  /// For one that nobody wants any more.
  func end() {
    if let pid { kill(pid, SIGKILL) }
    reap()
  }

  /// True when there is nothing left to reap.
  @discardableResult
  func reapIfEnded() -> Bool {
    if let pid, waitpid(pid, nil, WNOHANG) != 0 { self.pid = nil }
    return pid == nil
  }

  /// Waits for its end, which the caller knows to be near.
  func reap() {
    guard let pid else { return }
    while waitpid(pid, nil, 0) < 0, errno == EINTR {}
    self.pid = nil
  }
}
