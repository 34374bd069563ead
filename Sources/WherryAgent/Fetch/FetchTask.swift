import Glibc
import WherryJSON
import WherryModel
import WherryWire

/// Brings everything that a plan needs: space check, directories, then download, unpacking and copying at the same time
/// (`FetchPipeline`). Nothing that runs is touched, each step looks at what is there already, and what is there was
/// renamed into place whole; so after a crash it simply begins again.
final class FetchTask {
  enum Outcome {
    case progress(done: Int64, total: Int64, [Transfer] = [])
    /// It has ended, with what came kept, and is to begin again then: no window is open.
    case waits(until: Instant, opens: Instant, Failure)
    case finished
    case failed(Failure)
  }

  /// What the device's owner asks of it.
  struct Demands {
    var limits = DownloadLimits()
    /// Content that only an older state needs, looked for when space is short.
    var spare: () -> [String] = { [] }
    var openness: () -> WeeklyWindows.Openness = { .open(forSeconds: nil) }
    var applyOpenness: () -> WeeklyWindows.Openness = { .open(forSeconds: nil) }
  }

  private enum Stage {
    case beginning
    case clearing([any Chore])
    case measuring(DiskMeasure)
    case preparing([any Chore])
    case bringing(FetchPipeline)
    /// It has failed, and removes what the disk has no room for.
    case givingUp(Failure, [any Chore])
    case ended
  }

  let generation: Generation
  private let work: FetchWork
  private var jobs: FetchJobs
  private let worker: any Worker
  /// Owner of artifacts.
  private let owner: UserAccount
  private let demands: Demands
  /// What was removed since it fits without only; nil = not looked for.
  private var cleared: Int?
  /// When the download window shuts.
  private var shutsAt: Instant?
  private var stage = Stage.beginning
  private var paths: AgentPaths { jobs.paths }

  init(
    generation: Generation, plan: Plan, jobs: FetchJobs, worker: any Worker, owner: UserAccount,
    demands: Demands = Demands()
  ) {
    self.generation = generation
    self.jobs = jobs
    self.worker = worker
    self.owner = owner
    self.demands = demands
    work = FetchWork(for: plan, paths: jobs.paths)
  }

  /// All that can be polled.
  var descriptors: [Int32] {
    switch stage {
    case .bringing(let pipeline): pipeline.descriptors
    case .beginning, .clearing, .measuring, .preparing, .givingUp, .ended: []
    }
  }

  /// Whether there is something to do or to ask for that no descriptor tells of.
  var isDue: Bool {
    switch stage {
    case .bringing(let pipeline): pipeline.isDue
    case .beginning, .clearing, .measuring, .preparing, .givingUp, .ended: true
    }
  }

  /// `.zero` = it has work to do now.
  var nextDeadline: Instant? {
    switch stage {
    case .bringing(let pipeline):
      [pipeline.nextDeadline, pipeline.isDownloading ? shutsAt : nil].compactMap { $0 }.min()
    case .beginning, .clearing, .measuring, .preparing, .givingUp: .zero
    case .ended: nil
    }
  }

  func cancel() {
    switch stage {
    case .bringing(let pipeline): pipeline.cancel()
    case .beginning, .clearing, .measuring, .preparing, .givingUp, .ended: break
    }
    stage = .ended
  }

  func advance(now: Instant) -> [Outcome] {
    var outcomes: [Outcome] = []
    do throws(Failure) { try advance(now, &outcomes) } catch { giveUp(error, &outcomes) }
    return outcomes
  }

  private func advance(_ now: Instant, _ outcomes: inout [Outcome]) throws(Failure) {
    switch stage {
    case .beginning:
      if waitsForWindow(now, &outcomes) { return }
      let chores: [any Chore] = leftovers.map { TreeRemoval($0) }
      if chores.isEmpty { try measure(&outcomes) } else { stage = .clearing(chores) }
    case .clearing(let chores):
      guard let rest = try step(chores) else { return try measure(&outcomes) }
      stage = .clearing(rest)
    case .measuring(let measure):
      if measure.step() { try begin(used: measure.bytes, &outcomes) }
    case .preparing(let chores):
      if let rest = try step(chores) {
        stage = .preparing(rest)
      } else {
        stage = .bringing(try FetchPipeline(work, jobs: jobs, worker: worker, owner: owner))
      }
    case .bringing(let pipeline):
      if let shutsAt, now >= shutsAt, pipeline.isDownloading {
        cancel()
        if waitsForWindow(now, &outcomes) { return }
        // The clock was set, and it is open still.
        stage = .beginning
        return
      }
      try pipeline.advance(now: now) { outcomes.append(.progress(done: $0, total: $1, $2)) }
      guard pipeline.isDone else { return }
      try finish()
      outcomes.append(waitToApply(now) ?? .finished)
    case .givingUp(let failure, let chores):
      // Another worker's last child may be at it still; what then stays is for the garbage collection.
      let isDone = (try? chores.first?.step()) ?? true
      let rest = isDone ? Array(chores.dropFirst()) : chores
      stage = .givingUp(failure, rest)
      if rest.isEmpty { end(failure, &outcomes) }
    case .ended: break
    }
  }

  /// - Returns: what is still to be done after one step more; nil when nothing was.
  private func step(_ chores: [any Chore]) throws(Failure) -> [any Chore]? {
    guard let chore = chores.first else { return nil }
    return try chore.step() ? Array(chores.dropFirst()) : chores
  }

  /// Places of what an earlier try copied or unpacked and did not end. It is made anew, so it must not take the space
  /// for that.
  private var leftovers: [String] {
    let places = work.artifactOwners.map { paths.artifacts($0) } + work.layers.map { paths.snapshot($0.layer.diffID) }
    return places.map { $0 + FetchJobs.partialEnding }.filter(Files.exists)
  }

  /// The clock may be set meanwhile, so it is looked at again this often.
  private static let waitMaximumSeconds: Int64 = 3_600

  /// Whether something is to be downloaded, and not now. Notes when the window shuts.
  private func waitsForWindow(_ now: Instant, _ outcomes: inout [Outcome]) -> Bool {
    guard !work.downloads.isEmpty else { return false }
    switch demands.openness() {
    case .open(let seconds):
      shutsAt = seconds.map { now.advanced(byMilliseconds: $0 * 1_000) }
      return false
    case .shut(let seconds):
      stage = .ended
      outcomes.append(
        Self.wait(
          seconds, now,
          Failure(
            .download, code: Failure.downloadWindowCode,
            message: "\(ByteCount.readable(work.bytesToDownload)) are to be downloaded, and this device downloads "
              + "only at \(demands.limits.windows?.text ?? "") of its own time",
            remedy: "wait for it, or change download_windows in agent.conf")))
      return true
    }
  }

  /// Everything is here, and what runs may not be changed now. Once it may, it is looked for again, and found.
  private func waitToApply(_ now: Instant) -> Outcome? {
    guard case .shut(let seconds) = demands.applyOpenness() else { return nil }
    return Self.wait(
      seconds, now,
      Failure(
        .timeout, code: Failure.applyWindowCode,
        message:
          "everything is here, and this device changes only at \(demands.limits.applyWindows?.text ?? "") of its "
          + "own time",
        remedy: "wait for it, or change apply_windows in agent.conf"))
  }

  private static func wait(_ seconds: Int64, _ now: Instant, _ why: Failure) -> Outcome {
    .waits(
      until: now.advanced(byMilliseconds: min(seconds, waitMaximumSeconds) * 1_000),
      opens: now.advanced(byMilliseconds: seconds * 1_000), why)
  }

  /// A budget is held against what there is; without one nobody counts.
  private func measure(_ outcomes: inout [Outcome]) throws(Failure) {
    guard demands.limits.diskBudget != nil, !work.isEmpty else { return try begin(used: 0, &outcomes) }
    stage = .measuring(DiskMeasure([paths.blobStore, paths.snapshots, paths.artifacts]))
  }

  private func begin(used: Int64, _ outcomes: inout [Outcome]) throws(Failure) {
    guard let disk = Files.diskSpace(paths.root) else { throw Files.failure("ask the free space of", paths.root) }
    let limits = demands.limits
    let room = FetchWork.Room(
      free: disk.free, headroom: limits.diskHeadroom ?? DownloadLimits.headroom(of: disk.total),
      budget: limits.diskBudget.map { (used: used, maximum: $0) })
    if let loss = work.loss { throw loss }
    if var shortage = work.shortage(room, root: paths.root, generation: generation) {
      let spare = cleared == nil ? demands.spare() : []
      guard !spare.isEmpty else {
        let count = cleared ?? 0
        shortage.message +=
          count == 0
          ? "; nothing is there that only older states need"
          : "; what only older states need (\(count) layers, blobs and artifacts) is removed already"
        throw shortage
      }
      cleared = spare.count
      stage = .clearing(try moveAway(spare).map { TreeRemoval($0) })
      return
    }
    jobs.headroom = room.headroom
    jobs.bytesLeft = room.budget.map { max(0, $0.maximum - $0.used) }
    for directory in [paths.blobs, paths.incoming] { try Files.makeDirectory(directory, owner: jobs.account) }
    try Files.makeDirectory(paths.snapshots, mode: 0o700)
    try Files.makeDirectory(paths.artifacts)
    if !work.downloads.isEmpty { outcomes.append(.progress(done: 0, total: work.bytesToDownload)) }
    stage = .preparing(
      work.artifactOwners.map { component -> any Chore in
        let partial = paths.artifacts(component) + FetchJobs.partialEnding
        return DirectoryMaking([partial, partial + "/files", partial + "/unpacked"])
      })
  }

  /// Out of their places at once, and on the disk so: half of a snapshot shall never be taken for the whole.
  private func moveAway(_ places: [String]) throws(Failure) -> [String] {
    let trash = Trash(directory: paths.trash)
    var moved: [String] = []
    for (index, place) in places.enumerated() {
      guard let target = try trash.take(place, as: "spare-\(generation)-\(index)") else { continue }
      Files.syncParent(of: place)
      moved.append(target)
    }
    return moved
  }

  private func finish() throws(Failure) {
    for component in work.artifactOwners {
      let place = paths.artifacts(component)
      guard rename(place + FetchJobs.partialEnding, place) == 0 else { throw Files.failure("move into place", place) }
      Files.syncParent(of: place)
    }
    for layer in work.layers {
      guard Files.exists(paths.snapshot(layer.layer.diffID)) else {
        throw Failure(
          .internalError, code: "worker.failed", message: "\(layer.label) was not unpacked although its worker said so",
          remedy: "deploy again; if it happens again, check the disk")
      }
      // Unpacked it is found by its diff ID; a second copy would only take space.
      unlink(paths.blob(layer.layer.digest))
    }
    stage = .ended
  }

  private func giveUp(_ failure: Failure, _ outcomes: inout [Outcome]) {
    cancel()
    guard failure.failureClass == .space else { return end(failure, &outcomes) }
    // A full disk shall not stay full of what cannot be used.
    for name in Files.names(in: paths.incoming) { unlink("\(paths.incoming)/\(name)") }
    let chores: [any Chore] = leftovers.map { TreeRemoval($0) }
    if chores.isEmpty { end(failure, &outcomes) } else { stage = .givingUp(failure, chores) }
  }

  private func end(_ failure: Failure, _ outcomes: inout [Outcome]) {
    stage = .ended
    outcomes.append(.failed(failure))
  }
}

private final class DirectoryMaking: Chore {
  private let paths: [String]
  init(_ paths: [String]) { self.paths = paths }

  func step() throws(Failure) -> Bool {
    for path in paths { try Files.makeDirectory(path) }
    return true
  }
}
