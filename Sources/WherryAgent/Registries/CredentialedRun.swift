import WherryIsolation
import WherryJSON
import WherryModel
import WherryWire

/// A run that first asks commands for credentials, one after another, and then is the run of the worker that gets them.
final class CredentialedRun: WorkerRun {
  private enum Stage {
    case asking(CredentialInquiry)
    case working(any WorkerRun)
    case ended
  }

  private var stage: Stage
  /// Still to ask, the next one last.
  private var questions: [(RegistryHost, CredentialCommand)]
  private var answers: [RegistryHost: RegistryCredential] = [:]
  private let reaper: ProcessReaper
  private let begin: ([RegistryHost: RegistryCredential]) throws(Failure) -> any WorkerRun

  init(
    asking questions: [(RegistryHost, CredentialCommand)], reaper: ProcessReaper,
    then begin: @escaping ([RegistryHost: RegistryCredential]) throws(Failure) -> any WorkerRun
  ) throws(Failure) {
    precondition(!questions.isEmpty, "nobody to ask")
    var rest = Array(questions.reversed())
    let (host, command) = rest.removeLast()
    self.questions = rest
    self.reaper = reaper
    self.begin = begin
    stage = .asking(try CredentialInquiry(host, command, reaper: reaper))
  }

  var descriptor: Int32 {
    switch stage {
    case .asking(let inquiry): inquiry.descriptor
    case .working(let run): run.descriptor
    case .ended: -1
    }
  }

  var nextDeadline: Instant? {
    switch stage {
    case .asking(let inquiry): inquiry.nextDeadline
    case .working(let run): run.nextDeadline
    case .ended: nil
    }
  }

  func cancel() {
    switch stage {
    case .asking(let inquiry): inquiry.cancel()
    case .working(let run): run.cancel()
    case .ended: break
    }
  }

  func readEvents(now: Instant) -> [WorkerEvent] {
    switch stage {
    case .working(let run): return run.readEvents(now: now)
    case .ended: return []
    case .asking(let inquiry):
      do throws(Failure) {
        guard let credential = try inquiry.advance(now: now) else { return [] }
        answers[inquiry.host] = credential
        if let (host, command) = questions.popLast() {
          stage = .asking(try CredentialInquiry(host, command, reaper: reaper))
        } else {
          stage = .working(try begin(answers))
        }
        return []
      } catch {
        stage = .ended
        return [.line(["failed": error.json]), .ended(isSuccess: false, detail: "it had no credentials")]
      }
    }
  }
}
