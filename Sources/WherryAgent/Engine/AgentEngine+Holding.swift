import Glibc
import WherryLifecycle
import WherryModel

/// How a component holds its own update off: while it keeps a file in its work area, it is not changed, up to the
/// deployment's update timeout. A file needs no library and no connection, and it is there before anybody asks.
extension AgentEngine {
  func ask(_ names: [ComponentName], _ generation: Generation) {
    let holding = names.filter { isHeld($0) }
    for name in holding { tellOfUpdate(name, generation) }
    if !holding.isEmpty {
      let list = holding.map(\.rawValue).joined(separator: " ")
      log.info("an update is held off", ["generation": "\(generation)", "components": list])
    }
    receive(.holding(generation: generation, holding))
  }

  private func isHeld(_ name: ComponentName) -> Bool { Files.exists(paths.holdFile(name)) }

  /// The component owns the directory, so nothing that it may have laid there is followed or replaced.
  private func tellOfUpdate(_ name: ComponentName, _ generation: Generation) {
    let path = paths.updateFile(name)
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { return }
    _ = Files.writeAll(Array("\(generation)\n".utf8), to: descriptor)
    close(descriptor)
  }

  /// A component that starts holds nothing yet; what its last run left is void.
  func clearHolding(_ id: WorkloadID) {
    guard id.step == .run || id.step == .startup else { return }
    unlink(paths.holdFile(id.component))
    unlink(paths.updateFile(id.component))
  }
}
