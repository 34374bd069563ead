import WherryModel

/// One blob to fetch: everything about it is known before the first byte.
package struct DownloadItem: Sendable {
  package var url: String
  /// Other addresses of the same bytes, asked first and in this order. The digest says whether they have them.
  package var mirrors: [String]
  package var headers: [(String, String)]
  package var digest: Digest
  package var size: Int64
  /// Where the bytes collect; kept when the network fails, so that the next run goes on from there.
  package var partialPath: String
  /// What it is, for people: `com.example.web layer 2/3`.
  package var label: String
  package var configuration: HTTPClientConfiguration

  package init(
    url: String, mirrors: [String] = [], headers: [(String, String)] = [], digest: Digest, size: Int64,
    partialPath: String, label: String = "", configuration: HTTPClientConfiguration = HTTPClientConfiguration()
  ) {
    self.url = url
    self.mirrors = mirrors
    self.headers = headers
    self.digest = digest
    self.size = size
    self.partialPath = partialPath
    self.label = label.isEmpty ? digest.description : label
    self.configuration = configuration
  }
}

package struct DownloadPolicy: Sendable {
  /// Transfers at a time.
  package var parallel = 3
  /// Attempts in a row that bring no new byte; progress starts the count anew.
  package var attemptsMaximum = 6
  /// Doubled after each fruitless attempt.
  package var backoffMilliseconds: Int64 = 500
  package var backoffMaximumMilliseconds: Int64 = 15_000
  /// Over all transfers; nil = as fast as it goes.
  package var bytesPerSecondMaximum: Int64?
  package init() {}

  /// The pause after so many attempts in a row that brought nothing; longer where the server asks for it.
  package func pauseMilliseconds(fruitless: Int, asked: Int64?) -> Int64 {
    let own = min(backoffMaximumMilliseconds, backoffMilliseconds << Int64(min(fruitless, 16)))
    return max(own, min(asked ?? 0, RetryAfter.millisecondsMaximum))
  }
}

package enum DownloadEvent: Hashable, Sendable {
  /// Bytes over all items; counts what an earlier run had brought.
  case progress(done: Int64, total: Int64, active: [Transfer])
  /// Complete, verified and on the disk at its partial path.
  case verified(Digest, partialPath: String)
}
