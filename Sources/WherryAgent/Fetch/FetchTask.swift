import Glibc
import WherryJSON
import WherryModel
import WherryWire

/// Brings everything that a plan needs: space check, download, artifact directories, unpacking. Nothing that runs is
/// touched, each step looks at what is there already, and what is there was renamed into place whole; so after a
/// crash it simply begins again.
final class FetchTask {
  enum Outcome {
    case progress(done: Int64, total: Int64)
    case finished
    case failed(Failure)
  }

  private enum Stage {
    case beginning
    case clearing([any Chore])
    case downloading(WorkerSession)
    case copying([any Chore])
    case unpacking(WorkerSession)
    case ended
  }

  let generation: Generation
  private let work: FetchWork
  private let jobs: FetchJobs
  private let worker: any Worker
  /// Owner of artifacts.
  private let owner: UserAccount
  private var stage = Stage.beginning
  private var paths: AgentPaths { jobs.paths }

  init(
    generation: Generation, plan: Plan, jobs: FetchJobs, worker: any Worker, owner: UserAccount
  ) {
    self.generation = generation
    self.jobs = jobs
    self.worker = worker
    self.owner = owner
    work = FetchWork(for: plan, paths: jobs.paths)
  }

  var descriptor: Int32 {
    switch stage {
    case .downloading(let session), .unpacking(let session): session.descriptor
    case .beginning, .clearing, .copying, .ended: -1
    }
  }

  /// `.zero` = it has work to do now.
  var nextDeadline: Instant? {
    switch stage {
    case .downloading(let session), .unpacking(let session): session.nextDeadline
    case .beginning, .clearing, .copying: .zero
    case .ended: nil
    }
  }

  func cancel() {
    switch stage {
    case .downloading(let session), .unpacking(let session): session.cancel()
    case .beginning, .clearing, .copying, .ended: break
    }
    stage = .ended
  }

  func advance(now: Instant) -> [Outcome] {
    do throws(Failure) {
      switch stage {
      case .beginning:
        let chores: [any Chore] = leftovers.map { TreeRemoval($0) }
        guard chores.isEmpty else {
          stage = .clearing(chores)
          return []
        }
        return try begin()
      case .clearing(let chores):
        guard let chore = chores.first else { return try begin() }
        if try chore.step() { stage = .clearing(Array(chores.dropFirst())) }
        return []
      case .downloading(let session):
        return try follow(session, now) { () throws(Failure) in self.copy() }
      case .copying(let chores):
        return try copyOn(chores)
      case .unpacking(let session):
        return try follow(session, now) { () throws(Failure) in try self.finish() }
      case .ended: return []
      }
    } catch {
      cancel()
      if error.failureClass == .space { removePartials() }
      return [.failed(error)]
    }
  }

  private func follow(
    _ session: WorkerSession, _ now: Instant, then next: () throws(Failure) -> Void
  ) throws(Failure) -> [Outcome] {
    var outcomes: [Outcome] = []
    for outcome in session.advance(now: now) {
      switch outcome {
      case .progress(let done, let total): outcomes.append(.progress(done: done, total: total))
      case .failed(let failure): throw failure
      case .finished:
        try next()
        if case .ended = stage { outcomes.append(.finished) }
      }
    }
    return outcomes
  }

  /// What an earlier try copied or unpacked and did not end. It is made anew, so it must not take the space for that.
  private var leftovers: [String] {
    let places = work.artifactOwners.map { paths.artifacts($0) } + work.layers.map { paths.snapshot($0.layer.diffID) }
    return places.map { $0 + FetchJobs.partialEnding }.filter(Files.exists)
  }

  private func begin() throws(Failure) -> [Outcome] {
    guard let free = Files.freeBytes(paths.root) else { throw Files.failure("ask the free space of", paths.root) }
    try work.checkSpace(free: free, root: paths.root, generation: generation)
    for directory in [paths.blobs, paths.incoming] { try Files.makeDirectory(directory, owner: jobs.account) }
    try Files.makeDirectory(paths.snapshots, mode: 0o700)
    try Files.makeDirectory(paths.artifacts)
    guard !work.downloads.isEmpty else {
      copy()
      return []
    }
    stage = .downloading(WorkerSession(try worker.start(.download, job: try jobs.download(work.downloads))))
    return [.progress(done: 0, total: work.bytesToDownload)]
  }

  private func copy() {
    var chores: [any Chore] = []
    for component in work.artifactOwners {
      let partial = paths.artifacts(component) + FetchJobs.partialEnding
      if Files.exists(partial) { chores.append(TreeRemoval(partial)) }
      chores.append(DirectoryMaking([partial, partial + "/files", partial + "/unpacked"]))
      for artifact in component.artifacts {
        chores.append(
          ArtifactCopy(
            from: paths.blob(artifact.digest), to: "\(partial)/files/\(artifact.fileName)", artifact: artifact,
            owner: owner))
      }
    }
    stage = .copying(chores)
  }

  private func copyOn(_ chores: [any Chore]) throws(Failure) -> [Outcome] {
    guard let chore = chores.first else {
      let job = jobs.unpack(work)
      guard job["items"]?.arrayValue?.isEmpty == false else {
        try finish()
        return [.finished]
      }
      stage = .unpacking(WorkerSession(try worker.start(.unpack, job: job)))
      return []
    }
    if try chore.step() { stage = .copying(Array(chores.dropFirst())) }
    return []
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
          .internalError, code: "worker.failed", message: "\(layer.label) was not unpacked although its worker said so")
      }
      // Unpacked it is found by its diff ID; a second copy would only take space.
      unlink(paths.blob(layer.layer.digest))
    }
    stage = .ended
  }

  /// A full disk shall not stay full of what cannot be used.
  private func removePartials() {
    for name in Files.names(in: paths.incoming) { unlink("\(paths.incoming)/\(name)") }
    for component in work.artifactOwners {
      let removal = TreeRemoval(paths.artifacts(component) + FetchJobs.partialEnding)
      while (try? removal.step()) == false {}
    }
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
