import Glibc
import WherryJSON
import WherryModel
import WherryOCI
import WherrySystem

/// Unpacks each archive as soon as its blob is there, some at a time, and moves what is whole to its place. One thread,
/// which waits for its children and for blobs, never for the disk.
final class UnpackQueue {
  private struct Active {
    let job: UnpackJob
    let target: UnpackTarget
    let child: ChildWorker
  }

  private enum Beginning {
    case active(Active)
    /// It was in its place already.
    case finished
    case blobMissing
    /// By another process, which ends sooner or later.
    case claimed
  }

  private let parallel: Int
  private let watch: ArrivalWatch?
  private var waiting: [UnpackJob]
  private var active: [Active] = []
  /// Whole, and not yet on their way to their places.
  private var whole: [UnpackTarget] = []
  private var commit: UnpackCommit?

  private static let claimedIntervalMilliseconds: Int32 = 20

  init(_ jobs: [UnpackJob], parallel: Int, waits: Bool) {
    waiting = jobs
    self.parallel = parallel
    watch = waits ? ArrivalWatch() : nil
  }

  func run() throws(Failure) {
    do throws(Failure) {
      while true {
        let pause = try beginWaiting()
        try beginCommit()
        if waiting.isEmpty && active.isEmpty && commit == nil { return }
        try wait(milliseconds: pause)
      }
    } catch {
      giveUp()
      throw error
    }
  }

  // MARK: Beginning

  /// - Returns: when to look again although nothing happens, in milliseconds; -1 = not at all.
  private func beginWaiting() throws(Failure) -> Int32 {
    var pause: Int32 = -1
    var index = 0
    while index < waiting.count, active.count < parallel {
      switch try begin(waiting[index]) {
      case .active(let item):
        active.append(item)
        waiting.remove(at: index)
      case .finished: waiting.remove(at: index)
      case .blobMissing:
        if let interval = watch?.interval { pause = interval }
        index += 1
      case .claimed:
        pause = Self.claimedIntervalMilliseconds
        index += 1
      }
    }
    return pause
  }

  private func begin(_ job: UnpackJob) throws(Failure) -> Beginning {
    let target = UnpackTarget(path: job.destination, label: job.label)
    if target.exists {
      target.removeLeftovers()
      return finished(target)
    }
    guard let blob = try openBlob(of: job) else { return .blobMissing }
    defer { close(blob) }
    guard try target.claim() else { return .claimed }
    // Whoever had it before may have been done with it.
    if target.exists { return finished(target) }
    do throws(Failure) {
      try target.prepare()
      var item = job.json
      item["destination"] = .string(target.treePath)
      let child = try ChildWorker(mode: UnpackItemMode.name, job: item, inherited: [blob, target.lock])
      return .active(Active(job: job, target: target, child: child))
    } catch {
      target.release()
      throw error
    }
  }

  private func finished(_ target: UnpackTarget) -> Beginning {
    target.release()
    WorkerOutput.event(["finished": .string(target.path)])
    return .finished
  }

  /// Nil when it may still come.
  private func openBlob(of job: UnpackJob) throws(Failure) -> Int32? {
    // Whose directory it is may have put a pipe there, on which nobody shall wait here.
    let blob = open(job.blob, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    if blob >= 0 {
      _ = fcntl(blob, F_SETFL, fcntl(blob, F_GETFL) & ~O_NONBLOCK)
      return blob
    }
    let number = errno
    if number == ENOENT, let watch {
      // One that came in between would be missed for ever: once it is watched, it is looked for again.
      if watch.add(directoryOf: job.blob) { return try openBlob(of: job) }
      return nil
    }
    throw Failure(
      .internalError, code: "layer.file",
      message: "\(job.label) cannot be unpacked: \(job.blob) cannot be opened: \(String(cString: strerror(number)))",
      remedy: "deploy again, so that it is fetched again")
  }

  // MARK: Ending

  private func beginCommit() throws(Failure) {
    guard commit == nil, !whole.isEmpty else { return }
    defer { whole = [] }
    commit = try UnpackCommit(whole)
  }

  private func wait(milliseconds: Int32) throws(Failure) {
    var entries = active.map { pollfd(fd: $0.child.descriptor, events: Int16(POLLIN), revents: 0) }
    // Negative ones are passed over.
    entries.append(pollfd(fd: commit?.descriptor ?? -1, events: Int16(POLLIN), revents: 0))
    entries.append(pollfd(fd: watch?.descriptor ?? -1, events: Int16(POLLIN), revents: 0))
    let mustAsk = commit.map { $0.descriptor < 0 } ?? false
    poll(&entries, nfds_t(entries.count), mustAsk ? 0 : milliseconds)
    if entries[entries.count - 1].revents != 0 { watch?.drain() }
    if mustAsk || entries[entries.count - 2].revents != 0 { try endCommit() }
    // From the end, so that what is left to look at keeps its number.
    for index in active.indices.reversed() where entries[index].revents != 0 {
      if !active[index].child.listen() { try end(active.remove(at: index)) }
    }
  }

  private func endCommit() throws(Failure) {
    guard let done = commit else { return }
    commit = nil
    defer { for target in done.targets { target.release() } }
    try done.conclude()
    for target in done.targets { _ = finished(target) }
  }

  private func end(_ item: Active) throws(Failure) {
    do throws(Failure) {
      try judge(item)
      whole.append(item.target)
    } catch {
      item.target.release()
      throw error
    }
  }

  private func judge(_ item: Active) throws(Failure) {
    let (output, end) = item.child.conclude()
    if let json = try? JSON(parsing: output), let failure = json["failed"].flatMap({ Self.failure(in: $0) }) {
      // So that the next try downloads it again.
      if failure.code == "blob.digestMismatch" { unlink(item.job.blob) }
      throw failure
    }
    guard end == .exited(0) else {
      throw Failure(
        .internalError, code: "worker.failed", message: "\(item.job.label) could not be unpacked: its process \(end)",
        remedy: "see the kernel's log for why, for example too little memory")
    }
  }

  private static func failure(in json: JSON) -> Failure? {
    guard let failureClass = json["class"]?.stringValue.flatMap(FailureClass.init(rawValue:)),
      let code = json["code"]?.stringValue, let message = json["message"]?.stringValue
    else { return nil }
    return Failure(failureClass, code: code, message: message, remedy: json["remedy"]?.stringValue ?? "")
  }

  /// What is on its way to its place gets there; of everything else nothing stays.
  private func giveUp() {
    for item in active { item.child.cancel() }
    for item in active {
      _ = item.child.conclude()
      item.target.release()
    }
    active = []
    for target in whole { target.release() }
    whole = []
    try? endCommit()
  }
}
