import Glibc
import WherryModel

/// The cgroups of one workload, in every hierarchy that the host has.
struct Cgroup: Sendable {
  let layout: CgroupLayout
  /// `wherry/<agentID>/<workload>`
  let path: String

  var unifiedDirectory: String? { layout.unified.map { "\($0)/\(path)" } }

  /// Makes them and sets limits; on failure nothing is left.
  func create(_ resources: Resources) throws(Failure) {
    if let missing = layout.missing(for: resources).first {
      throw Failure(
        .start, code: "workload.limitUnavailable",
        message: "this host has no \(missing.rawValue) cgroup controller, so \(path) cannot be limited",
        remedy: "boot with the controller enabled, or leave the limit out")
    }
    delegate(layout.rare(resources))
    for directory in layout.directories(of: path, for: resources) {
      let error = Files.makeDirectories(directory)
      guard error == 0 else {
        removeIfEmpty()
        throw Failure(
          .start, code: "workload.cgroup",
          message: "the cgroup \(directory) cannot be made: \(sentence(ofErrno: error))",
          remedy: "run the agent as root with a writable cgroup file system")
      }
    }
    if resources.processors != nil { inheritProcessors() }
    for setting in layout.settings(for: resources, at: path) {
      let error = Files.write(Array(setting.value.utf8), to: setting.file, flags: O_WRONLY)
      guard error == 0 || setting.isOptional else {
        removeIfEmpty()
        throw Failure(
          .start, code: "workload.limit",
          message: "\(setting.value) is refused by \(setting.file): \(sentence(ofErrno: error))",
          remedy: "choose a limit that this host can keep")
      }
    }
  }

  /// On v2 a controller reaches a cgroup only when every ancestor hands it down.
  private func delegate(_ rare: Set<CgroupLayout.Controller>) {
    let controllers = layout.unifiedControllers.filter { !$0.isRare || rare.contains($0) }
    guard let unified = layout.unified, !controllers.isEmpty else { return }
    let names = controllers.map { "+\($0.rawValue)" }.sorted().joined(separator: " ")
    var directory = unified
    for part in path.split(separator: "/") {
      let file = directory + "/cgroup.subtree_control"
      // Written once per ancestor; what is already on is not written again.
      let enabled = Set((Files.text(file) ?? "").split { $0 == " " || $0 == "\n" }.map(String.init))
      if !controllers.allSatisfy({ enabled.contains($0.rawValue) }) {
        Files.write(Array(names.utf8), to: file, flags: O_WRONLY)
      }
      directory += "/\(part)"
      Files.makeDirectories(directory)
    }
  }

  /// On v1 a new cgroup has no processor and no memory at all, and takes no process so.
  private func inheritProcessors() {
    guard var directory = layout.legacy[.cpuset] else { return }
    for part in path.split(separator: "/") {
      for name in ["cpuset.cpus", "cpuset.mems"] {
        guard let own = Files.text("\(directory)/\(part)/\(name)"), own.allSatisfy(\.isWhitespace),
          let above = Files.text("\(directory)/\(name)")
        else { continue }
        Files.write(Array(above.utf8), to: "\(directory)/\(part)/\(name)", flags: O_WRONLY)
      }
      directory += "/\(part)"
    }
  }

  var processes: [Int32] { Self.processes(in: layout.directories(of: path)) }

  static func processes(in directories: [String]) -> [Int32] {
    var found: Set<Int32> = []
    for directory in directories {
      let text = Files.text(directory + "/cgroup.procs") ?? ""
      found.formUnion(text.split(separator: "\n").compactMap { Int32($0) })
    }
    return found.sorted()
  }

  /// SIGKILL to everything in it.
  func kill() {
    if let directory = unifiedDirectory,
      Files.write(Array("1".utf8), to: directory + "/cgroup.kill", flags: O_WRONLY) == 0
    {
      return
    }
    for process in processes { Glibc.kill(process, SIGKILL) }
  }

  /// Holds everything in it still (cgroup-v2.rst, "cgroup.freeze"). On hosts without the v2 tree there is none.
  private var freezer: String? { unifiedDirectory.map { $0 + "/cgroup.freeze" } }

  /// Zero or an errno; ENOTSUP = this host has no freezer that the workload is in.
  func setFrozen(_ isFrozen: Bool) -> Int32 {
    guard let freezer, Files.exists(freezer) else { return ENOTSUP }
    return Files.write(Array((isFrozen ? "1" : "0").utf8), to: freezer, flags: O_WRONLY)
  }

  var isFrozen: Bool { freezer.flatMap(Files.text)?.hasPrefix("1") ?? false }

  /// One try, without waiting: processes leave a cgroup a moment after they end. True = it is not there (any more).
  @discardableResult
  func removeIfEmpty() -> Bool {
    // Not the first that fails ends it: each hierarchy is tried.
    layout.directories(of: path).map(Self.remove).allSatisfy { $0 }
  }

  static func remove(_ directory: String) -> Bool {
    if rmdir(directory) == 0 || errno == ENOENT { return true }
    // A privileged workload may have made some below its own.
    for name in Files.names(in: directory) where Files.exists("\(directory)/\(name)/cgroup.procs") {
      if !remove("\(directory)/\(name)") { return false }
    }
    return rmdir(directory) == 0 || errno == ENOENT
  }
}
