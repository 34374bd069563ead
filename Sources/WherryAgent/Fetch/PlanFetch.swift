import WherryJSON
import WherryModel
import WherryWire

/// Fetches a plan that was too large to travel beside its envelope.
final class PlanFetch {
  enum Outcome {
    case text(String)
    /// It goes on by itself.
    case retry(Failure)
    case refused(Failure)
  }

  static let sizeMaximum: Int64 = 1 << 20
  private static let delayMaximumMilliseconds: Int64 = 60_000

  let statement: DesiredStatement
  private let jobs: FetchJobs
  private let worker: any Worker
  private var session: WorkerSession?
  private var delayMilliseconds: Int64 = 1_000
  private var retryAt: Instant? = .zero

  init(_ statement: DesiredStatement, jobs: FetchJobs, worker: any Worker) {
    self.statement = statement
    self.jobs = jobs
    self.worker = worker
  }

  var descriptor: Int32 { session?.descriptor ?? -1 }
  var nextDeadline: Instant? { session == nil ? retryAt : session?.nextDeadline }

  func cancel() { session?.cancel() }

  func advance(now: Instant) -> Outcome? {
    do throws(Failure) {
      if let retryAt, now >= retryAt, session == nil {
        self.retryAt = nil
        if let text = try begin() { return .text(text) }
      }
      for outcome in session?.advance(now: now) ?? [] {
        switch outcome {
        case .progress, .item: continue
        case .finished:
          session = nil
          guard let text = try stored() else {
            throw Failure(
              .download, code: "worker.failed", message: "the plan is not where it was downloaded to",
              remedy: "deploy again; if it happens again, check the disk")
          }
          return .text(text)
        case .failed(let failure): throw failure
        }
      }
      return nil
    } catch { return failed(error, now) }
  }

  private func failed(_ failure: Failure, _ now: Instant) -> Outcome {
    session = nil
    // What the network did may mend itself; what the content is does not.
    guard failure.failureClass == .download || failure.failureClass == .space else { return .refused(failure) }
    retryAt = now.advanced(byMilliseconds: delayMilliseconds)
    delayMilliseconds = min(delayMilliseconds * 2, Self.delayMaximumMilliseconds)
    return .retry(failure)
  }

  private func begin() throws(Failure) -> String? {
    guard statement.planSize <= Self.sizeMaximum else {
      throw DesiredVerifier.refusal(
        "plan.tooLarge",
        "the plan of generation \(statement.generation) has \(statement.planSize) bytes; "
          + "\(Self.sizeMaximum) is the limit",
        "deploy fewer components to this device")
    }
    if let text = try stored() { return text }
    for directory in [jobs.paths.blobs, jobs.paths.incoming] {
      try Files.makeDirectory(directory, owner: jobs.account)
    }
    let item = FetchWork.Download(
      digest: statement.plan, size: statement.planSize, url: nil, isLayer: false,
      label: "plan of generation \(statement.generation)")
    session = WorkerSession(try worker.start(.download, job: try jobs.download([item])))
    return nil
  }

  private func stored() throws(Failure) -> String? {
    let path = jobs.paths.blob(statement.plan)
    return Files.exists(path) ? try Files.text(path) : nil
  }
}
