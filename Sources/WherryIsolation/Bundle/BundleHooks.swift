import CIsolation
import Glibc
import WherryJSON
import WherryModel

/// Runs what a bundle wants run at certain points of a container's life (runtime-spec, config.md, "POSIX-platform
/// Hooks").
struct BundleHooks {
  /// As the hook reads it from its input.
  let state: JSON
  /// Of the container; -1 = hooks run where the runtime does.
  var process: Int32 = -1
  var namespaces: Int64 = 0
  /// In sentences; nil = the hook's own path.
  var named: String?

  func run(_ hooks: [Bundle.Hook], _ name: String) throws(Failure) {
    for hook in hooks { try run(hook, name) }
  }

  private func run(_ hook: Bundle.Hook, _ name: String) throws(Failure) {
    // A file and not a pipe: nobody waits for a hook to read, and its time does not begin before it is there.
    let input = wherry_memory_file("state")
    guard input >= 0 else { throw failure(hook, name, "no file in memory: \(sentence(ofErrno: errno))") }
    defer { close(input) }
    let error = Files.write(state.canonicalBytes, to: input)
    guard error == 0, lseek(input, 0, SEEK_SET) == 0 else {
      throw failure(hook, name, "its input cannot be written: \(sentence(ofErrno: error == 0 ? errno : error))")
    }
    let arguments = hook.arguments.map { strdup($0) } + [nil]
    let environment = hook.environment.map { strdup($0) } + [nil]
    defer { for text in arguments + environment { free(text) } }
    let pid = wherry_spawn_within(
      process, UInt64(bitPattern: namespaces), hook.path, arguments, environment, input)
    guard pid > 0 else { throw failure(hook, name, sentence(ofErrno: errno)) }
    let status = try wait(pid, hook, name)
    guard status == 0 else {
      let words =
        switch (status & 0x7f, status >> 8) {
        case (0, 125): "it cannot enter the container's namespaces"
        case (0, 127): "it cannot be executed"
        case (0, let code): "it exited with code \(code)"
        case (let number, _): "it was ended by signal \(number)"
        }
      throw failure(hook, name, words)
    }
  }

  private func wait(_ pid: Int32, _ hook: Bundle.Hook, _ name: String) throws(Failure) -> Int32 {
    guard let seconds = hook.timeoutSeconds else { return ProcessTable.wait(for: pid) }
    let descriptor = wherry_pidfd_open(pid)
    defer { if descriptor >= 0 { close(descriptor) } }
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    let isOver = poll(&entry, 1, Int32(clamping: seconds * 1_000)) > 0
    if !isOver { kill(pid, SIGKILL) }
    let status = ProcessTable.wait(for: pid)
    guard isOver else { throw failure(hook, name, "it did not end within \(seconds) s") }
    return status
  }

  private func failure(_ hook: Bundle.Hook, _ name: String, _ reason: String) -> Failure {
    Failure(
      .start, code: "bundle.hook", message: "the \(name) hook \(named ?? hook.path) failed: \(reason)",
      remedy: "see what it wrote, or take it out of config.json")
  }
}
