import CIsolation
import Glibc
import WherryModel

/// How workloads leave the kernel. A process in an uninterruptible call ends when the kernel lets it, and a shim may be
/// stopped, so nothing here waits except for those who ask for it.
extension WorkloadHost {
  /// Takes a workload's ports off the network, forgets it, and begins to remove the rest (kills it if it is still
  /// alive). What does not go at once goes by and by with `tidy()`; until then the id cannot be started.
  package func letGo(_ id: String) {
    guard WorkloadCheck.isName(id) else { return }
    links[id] = nil
    pressure.remove(id)
    shims.removeValue(forKey: id)?.leave(to: reaper)
    userNamespaces.release(id)
    if openNetwork != nil || Files.exists("\(configuration.stateDirectory)/network/\(id)") {
      let network = try? network()
      let hadLease = network?.lease(of: id) != nil
      network?.detach(workload: id)
      if hadLease { tellNeighbours() }
    }
    let hidden = leavingDirectory(of: id)
    if Files.exists(directory(of: id).path), rename(directory(of: id).path, hidden.path) != 0 {
      // Of an earlier agent that died over the same id.
      Files.removeTree(hidden.path)
      rename(directory(of: id).path, hidden.path)
    }
    leave(id)
  }

  /// Whether something of it is still on its way out.
  package func isLeaving(_ id: String) -> Bool { leaving[id] != nil }

  /// Whether there is anything for `tidy()` to do.
  package var hasLeftovers: Bool {
    !leaving.isEmpty || !reaper.isEmpty || links.values.contains { $0.link?.isSearching == true }
  }

  /// One look at everything that is on its way out, and one more try to reach shims that could not be reached. Never
  /// waits.
  package func tidy() {
    reaper.reap()
    let now = Self.now
    for id in leaving.keys.sorted() where leaving[id]?.hasLeft(now: now) == true { leaving[id] = nil }
    for watched in links.values { watched.link?.look() }
  }

  /// `letGo`, and waits for the end of it, some seconds at most: for those who have nothing else to do.
  package func release(_ id: String) {
    letGo(id)
    settle([id], withinMilliseconds: Self.patienceMilliseconds)
  }

  /// Everything of this agent: kill, unmount, remove cgroups, veths, bridge, nft table. Waits some seconds at most.
  package func tearDown() {
    resumeLeaving()
    let ids = Set(storedWorkloads).union(strayCgroups)
    // All at once first, so that the waits below overlap.
    for id in ids { cgroup(of: id).kill() }
    for id in ids.sorted() where !isLeaving(id) { letGo(id) }
    settle(Set(leaving.keys), withinMilliseconds: Self.patienceMilliseconds)
    reaper.reap()
    if configuration.network != nil { (try? network())?.tearDown() }
    for path in [parentCgroup, "wherry"] {
      // The last agent takes the common parent with it.
      for directory in layout.directories(of: path) { rmdir(directory) }
    }
    Files.removeTree(workloadsDirectory)
    Files.removeTree(configuration.stateDirectory + "/seccomp")
    rmdir(mountPoint)
  }

  /// More than the shims' own patience, so that a stopped one is ended within it.
  private static let patienceMilliseconds: Int64 = 4_000
  private static let lookIntervalMicroseconds: UInt32 = 2_000

  /// Waits until nothing of them is left.
  func settle(_ ids: Set<String>, withinMilliseconds milliseconds: Int64) {
    let deadline = Self.now.advanced(byMilliseconds: milliseconds)
    while ids.contains(where: isLeaving), Self.now < deadline {
      usleep(Self.lookIntervalMicroseconds)
      tidy()
    }
  }

  private static var now: Instant {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Instant(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
  }

  // MARK: What is stored

  /// Workloads that were not let go of. No workload's name begins with a dot.
  var storedWorkloads: [String] { Files.names(in: workloadsDirectory).filter { !$0.hasPrefix(".") } }

  /// Where a workload's directory lies once it was let go of: whoever starts meanwhile does not take it for one that
  /// ended unheard.
  private func leavingDirectory(of id: String) -> WorkloadDirectory {
    WorkloadDirectory(path: "\(workloadsDirectory)/.\(id)")
  }

  private func leave(_ id: String) {
    let workload = LeavingWorkload(directory: leavingDirectory(of: id), cgroup: cgroup(of: id))
    leaving[id] = workload.hasLeft(now: Self.now) ? nil : workload
  }

  /// What an earlier agent had let go of and not seen to the end.
  func resumeLeaving() {
    for name in Files.names(in: workloadsDirectory) where name.hasPrefix(".") {
      let id = String(name.dropFirst())
      if WorkloadCheck.isName(id) && !isLeaving(id) { leave(id) }
    }
  }

  var strayCgroups: Set<String> {
    var names: Set<String> = []
    for parent in layout.directories(of: parentCgroup) {
      for name in Files.names(in: parent) where Files.exists("\(parent)/\(name)/cgroup.procs") { names.insert(name) }
    }
    return names
  }
}

/// One workload on its way out: its shim, which may have last lines to write, its processes, its directory.
final class LeavingWorkload {
  private let directory: WorkloadDirectory
  private let cgroup: Cgroup
  private var connection: Int32 = -1
  private var isShimGone = false
  /// When a shim that has not gone by itself is killed.
  private var killShimAt: Instant?

  private static let shimPatienceMilliseconds: Int64 = 2_000

  init(directory: WorkloadDirectory, cgroup: Cgroup) {
    self.directory = directory
    self.cgroup = cgroup
  }

  deinit { if connection >= 0 { close(connection) } }

  /// One look, and one push; never waits. True = nothing is left.
  func hasLeft(now: Instant) -> Bool {
    // Again with each look: a fork bomb needs more than one kill.
    let isEmpty = cgroup.removeIfEmpty()
    if !isEmpty { cgroup.kill() }
    if !isShimGone { watchShim(now) }
    guard isShimGone && isEmpty else { return false }
    Files.removeTree(directory.path)
    return true
  }

  private func watchShim(_ now: Instant) {
    var isShimKnown = connection >= 0
    if connection < 0 {
      switch directory.reach() {
      case .connected(let descriptor):
        connection = descriptor
        isShimKnown = true
      case .gone: isShimGone = true
      // Only a shim that holds the listening end can have a full queue of connections.
      case .unreachable(let error): isShimKnown = error == EAGAIN
      }
    }
    if connection >= 0, hasHungUp() {
      close(connection)
      connection = -1
      isShimKnown = false
      // The listening end is closed before: nothing answers any more, or the next look tells.
      if case .gone = directory.reach() { isShimGone = true }
    }
    guard !isShimGone else { return }
    guard let due = killShimAt else {
      killShimAt = now.advanced(byMilliseconds: Self.shimPatienceMilliseconds)
      return
    }
    // A shim that is stopped, or whose disk does not answer, is not waited for. That it holds its socket says that the
    // number is still its own.
    if isShimKnown, now >= due, let shim = directory.pids?.shim { kill(shim, SIGKILL) }
  }

  private func hasHungUp() -> Bool {
    var message = wherry_message()
    while true {
      let count = recv(connection, &message, MemoryLayout<wherry_message>.size, 0)
      if count > 0 || (count < 0 && errno == EINTR) { continue }
      return count == 0 || errno != EAGAIN
    }
  }
}
