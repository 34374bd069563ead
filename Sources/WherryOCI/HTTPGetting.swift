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
  package init(status: Int, headers: [String: String], body: [UInt8]) {
    self.status = status
    self.headers = headers
    self.body = body
  }
}
