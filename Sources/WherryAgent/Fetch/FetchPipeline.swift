import Glibc
import WherryJSON
import WherryModel

/// Download, unpacking and copying, all at once: a layer is unpacked while others still come, and an artifact is copied
/// as soon as it is there. The two workers know nothing of each other. The downloader moves what it has verified into
/// the blob store; the unpacker waits for it there, and believes nothing but the digests in its own job.
final class FetchPipeline {
  private let work: FetchWork
  private let paths: AgentPaths
  private var download: WorkerSession?
  private var unpack: WorkerSession?
  /// Each waits for its blob.
  private var copies: [(blob: Digest, chore: any Chore)]
  /// On their way.
  private var missing: Set<Digest>

  /// - Parameter owner: of artifacts, whose directories are there by now.
  init(_ work: FetchWork, jobs: FetchJobs, worker: any Worker, owner: UserAccount) throws(Failure) {
    self.work = work
    paths = jobs.paths
    missing = Set(work.downloads.map(\.digest))
    copies = Self.copies(work, jobs.paths, owner)
    if !work.downloads.isEmpty {
      download = WorkerSession(try worker.start(.download, job: try jobs.download(work.downloads)))
    }
    if let job = jobs.unpack(work) { unpack = WorkerSession(try worker.start(.unpack, job: job)) }
  }

  private static func copies(
    _ work: FetchWork, _ paths: AgentPaths, _ owner: UserAccount
  ) -> [(blob: Digest, chore: any Chore)] {
    var copies: [(blob: Digest, chore: any Chore)] = []
    for component in work.artifactOwners {
      let partial = paths.artifacts(component) + FetchJobs.partialEnding
      for artifact in component.artifacts {
        let copy = ArtifactCopy(
          from: paths.blob(artifact.digest), to: "\(partial)/files/\(artifact.fileName)", artifact: artifact,
          owner: owner)
        copies.append((blob: artifact.digest, chore: copy))
      }
    }
    return copies
  }

  private var sessions: [WorkerSession] { [download, unpack].compactMap { $0 } }

  /// All that can be polled.
  var descriptors: [Int32] { sessions.map(\.descriptor).filter { $0 >= 0 } }

  /// Whether there is something to do or to ask for that no descriptor tells of.
  var isDue: Bool { dueCopy != nil || sessions.isEmpty || sessions.contains { $0.descriptor < 0 } }

  /// `.zero` = it has work to do now.
  var nextDeadline: Instant? {
    dueCopy != nil || sessions.isEmpty ? .zero : sessions.compactMap(\.nextDeadline).min()
  }

  private var dueCopy: Int? { copies.firstIndex { !missing.contains($0.blob) } }

  var isDownloading: Bool { download != nil }

  var isDone: Bool { download == nil && unpack == nil && copies.isEmpty }

  /// Both workers end; what they hold is locked until they have.
  func cancel() {
    for session in sessions { session.cancel() }
    download = nil
    unpack = nil
    copies = []
  }

  /// - Parameter progress: of the download.
  func advance(now: Instant, progress: (_ done: Int64, _ total: Int64, [Transfer]) -> Void) throws(Failure) {
    for outcome in download?.advance(now: now) ?? [] {
      switch outcome {
      case .progress(let done, let total, let transfers): progress(done, total, transfers)
      case .item(let text): if let digest = Digest(text) { missing.remove(digest) }
      case .failed(let failure): throw failure
      case .finished: try endDownload()
      }
    }
    for outcome in unpack?.advance(now: now) ?? [] {
      switch outcome {
      case .progress, .item: continue
      case .failed(let failure): throw failure
      case .finished: unpack = nil
      }
    }
    guard let index = dueCopy else { return }
    if try copies[index].chore.step() { copies.remove(at: index) }
  }

  /// What is not there now never comes, and the unpacker would wait for it for ever.
  private func endDownload() throws(Failure) {
    download = nil
    missing = []
    for download in work.downloads where !Files.exists(paths.blob(download.digest)) {
      throw Failure(
        .internalError, code: "worker.failed",
        message: "\(download.label) is not in the blob store although its worker said so",
        remedy: "deploy again; if it happens again, check the disk")
    }
  }
}
