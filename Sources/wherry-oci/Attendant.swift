import CIsolation
import Glibc
import WherryIsolation
import WherryModel
import WherrySystem

/// A terminal between the person at this one and the container: its other end comes over a socket as it would to
/// conmon.
final class OwnTerminal {
  let path: String
  private let directory: String
  private let listener: Int32
  private(set) var master: Int32 = -1
  private var person: PersonsTerminal?

  init() throws {
    var template = Array("/tmp/wherry-oci.XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw Options.Misuse(description: "no directory can be made in /tmp") }
    directory = template.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
    path = directory + "/console"
    listener = wherry_listen_stream(path)
    guard listener >= 0 else { throw Options.Misuse(description: "no socket can be made at \(path)") }
  }

  deinit {
    for descriptor in [master, listener] where descriptor >= 0 { close(descriptor) }
    unlink(path)
    rmdir(directory)
  }

  /// It has been sent by now, if the process wanted one.
  func receive() -> Bool {
    var entry = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
    guard poll(&entry, 1, 0) > 0 else { return false }
    master = wherry_receive_descriptor(listener)
    // Nobody else has this end.
    return master >= 0 && fcntl(master, F_SETFL, O_RDWR | O_NONBLOCK) == 0
  }

  func begin() { person = PersonsTerminal(master: master) }
  func resize() { person?.resize() }
}

/// Stays with a process until it ends, passes signals on, and carries what goes over its terminal.
struct Attendant {
  let pid: Int32
  let terminal: OwnTerminal?

  /// Made before the process is, so that none is lost.
  let signals: SignalWatch

  /// - Returns: its exit code, or 128 and the signal that ended it.
  func wait() -> Int32 {
    var relay: TerminalRelay?
    if let terminal, terminal.receive() {
      terminal.begin()
      relay = TerminalRelay(master: terminal.master)
    }
    while true {
      var entries = [pollfd(fd: signals.descriptor, events: Int16(POLLIN), revents: 0)] + (relay?.entries ?? [])
      poll(&entries, nfds_t(entries.count), -1)
      relay?.carry(entries.dropFirst())
      if entries[0].revents != 0, let code = handleSignals() {
        relay?.finish()
        return code
      }
    }
  }

  private func handleSignals() -> Int32? {
    while let number = signals.next() {
      if number == SIGWINCH { terminal?.resize() } else if number != SIGCHLD { kill(pid, number) }
    }
    var status: Int32 = 0
    let ended = waitpid(pid, &status, WNOHANG)
    // Not a child of this process any more when somebody else has looked after it.
    if ended < 0, errno == ECHILD { return 1 }
    guard ended == pid else { return nil }
    return status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f
  }
}
