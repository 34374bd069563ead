import Synchronization
import WherryClient
import WherryTestSupport

/// A service that answers as it is told to, one answer after the other; the last one again and again.
final class Script: Sendable {
  private let answers: Mutex<ArraySlice<LoopbackServer.Response>>

  init(_ answers: [LoopbackServer.Response]) { self.answers = Mutex(answers[...]) }

  func next() -> LoopbackServer.Response {
    answers.withLock { answers in
      let answer = answers.first ?? LoopbackServer.Response(500)
      if answers.count > 1 { answers.removeFirst() }
      return answer
    }
  }

  func serve() -> LoopbackServer {
    LoopbackServer { [self] _ in next() }
  }

  /// A stream without a length, which ends when the connection does.
  static func stream(_ text: String) -> LoopbackServer.Response {
    var response = LoopbackServer.Response(headers: [("Content-Type", "text/event-stream")], text: text)
    response.hasLength = false
    return response
  }

  /// A stream that breaks off behind `text`.
  static func brokenStream(_ text: String) -> LoopbackServer.Response {
    var response = LoopbackServer.Response(headers: [("Content-Type", "text/event-stream")], text: text)
    response.declaredLength = text.utf8.count + 1
    return response
  }

  static func problem(_ status: Int, _ json: String) -> LoopbackServer.Response {
    LoopbackServer.Response(status, headers: [("Content-Type", "application/problem+json")], text: json)
  }

  /// The error that `body` ends with, if it is one of the client's.
  static func failure(of body: () throws -> Void) -> ClientError? {
    do {
      try body()
      return nil
    } catch {
      return error as? ClientError
    }
  }
}
