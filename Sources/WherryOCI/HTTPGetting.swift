import WherryModel

/// What this module needs of HTTP. Blocking; redirects are followed, credentials not beyond their origin.
package protocol HTTPGetting {
  /// Any status is an answer. Throws when there is none, or one of more than `bodyBytesMaximum` bytes.
  func get(_ url: String, headers: [(String, String)], bodyBytesMaximum: Int) throws(Failure) -> HTTPAnswer
}

package struct HTTPAnswer: Sendable {
  package var status: Int
  /// Names in lower case.
  package var headers: [String: String]
  package var body: [UInt8]
  /// Whether a redirect led to another origin, which then speaks for itself and not for the one that was asked.
  package var isFromElsewhere: Bool

  package init(status: Int, headers: [String: String], body: [UInt8], isFromElsewhere: Bool = false) {
    self.status = status
    self.headers = headers
    self.body = body
    self.isFromElsewhere = isFromElsewhere
  }

  /// Statuses that say "not now": the same request may succeed later.
  static func isPassing(_ status: Int) -> Bool {
    status == 408 || status == 425 || status == 429 || status >= 500
  }

  /// For a status that passes.
  func unavailable(_ url: String) -> Failure {
    let delay = headers["retry-after"].flatMap { UInt32($0) }.map { " and asks to wait \($0) seconds" } ?? ""
    return Failure(
      .download, code: "download.unavailable", message: "\(url) answered with status \(status)\(delay)",
      remedy: "wait, then try again; if it stays so, look at the server's log")
  }
}
