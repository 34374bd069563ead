import CCurl
import WherryModel

/// One item under way: which request comes next, what its answer means, how often it has been tried.
final class Download {
  enum Step {
    case finished
    /// Run the exchange again, after a pause.
    case again(afterMilliseconds: Int64)
    /// Run this exchange now: a redirect, or the same with credentials.
    case now(Hop)
  }

  let item: DownloadItem
  let file: PartialFile
  private let policy: DownloadPolicy
  private var exchange: HTTPExchange?
  private var fruitless = 0
  private var lengthAtStart: Int64 = 0
  private var authorization: [(String, String)] = []
  private var hasAuthorized = false

  init(_ item: DownloadItem, policy: DownloadPolicy) throws(TransferError) {
    self.item = item
    self.policy = policy
    file = try PartialFile(path: item.partialPath, size: item.size, digest: item.digest)
  }

  /// The request for what is missing.
  var firstHop: Hop {
    var headers = item.headers + authorization
    if file.length > 0 { headers.append(("Range", "bytes=\(file.length)-")) }
    return Hop(HTTPRequest(url: item.url, headers: headers))
  }

  func start(_ hop: Hop, on handle: EasyHandle) throws(TransferError) {
    lengthAtStart = file.length
    let exchange = try HTTPExchange(hop, on: handle, configuration: item.configuration, isStream: false)
    exchange.onHead = { [unowned self] head in
      do throws(TransferError) {
        try judge(head)
        return .more
      } catch { return .refused(error) }
    }
    exchange.onBody = { [unowned self] piece in
      guard file.length + Int64(piece.count) <= file.size else {
        return .refused(
          TransferError(
            .tooLarge, "\(item.url) sends more than the \(file.size) bytes that were declared (\(item.label))",
            remedy: "check that the server holds the right content, or publish again"))
      }
      do throws(TransferError) {
        try file.append(piece)
        return .more
      } catch { return .refused(error) }
    }
    if let rate = policy.bytesPerSecondMaximum {
      handle.set(CURLOPT_MAX_RECV_SPEED_LARGE, offset: max(1, rate / Int64(policy.parallel)))
    }
    self.exchange = exchange
  }

  /// Refuses an answer by its head, before a byte of its body is written.
  private func judge(_ head: HTTPResponse) throws(TransferError) {
    switch head.status {
    case 200:
      if file.length > 0 { try file.restart() }
      try judge(length: head.headers["content-length"], expected: file.size)
    case 206:
      let expected = "bytes \(file.length)-\(file.size - 1)/"
      guard let range = head.headers["content-range"], range.hasPrefix(expected),
        ["*", String(file.size)].contains(String(range.dropFirst(expected.count)))
      else {
        throw TransferError(
          .invalidResponse,
          "\(item.url) answered with the range \"\(head.headers["content-range"] ?? "none")\" in place of "
            + "\"\(expected)\(file.size)\" (\(item.label))", remedy: "check the server, or publish again")
      }
      try judge(length: head.headers["content-length"], expected: file.size - file.length)
    case 416 where file.length > 0:
      // The server's blob is shorter than what we have: one of the two is wrong, and we cannot know which.
      try file.restart()
      throw TransferError(.truncated, "\(item.url) has no bytes after \(lengthAtStart) (\(item.label))")
    default: throw TransferError.unexpected(status: head.status, url: "\(item.url) (\(item.label))")
    }
  }

  private func judge(length text: String?, expected: Int64) throws(TransferError) {
    guard let text, let length = Int64(text), length != expected else { return }
    throw TransferError(
      length > expected ? .tooLarge : .invalidResponse,
      "\(item.url) declares \(length) bytes where \(expected) are expected (\(item.label))",
      remedy: "check that the server holds the right content, or publish again")
  }

  /// - Parameter authorize: gives headers for an answer 401, or nil.
  func conclude(_ code: CURLcode, authorize: (DownloadItem, HTTPResponse) -> [(String, String)]?)
    throws(TransferError) -> Step
  {
    guard let exchange else { preconditionFailure("\(item.label) ended before it was started") }
    do throws(TransferError) {
      if let hop = try exchange.conclude(code, redirectsMaximum: item.configuration.redirectsMaximum) {
        return .now(hop)
      }
      guard file.isComplete else {
        throw TransferError(
          .truncated, "\(item.url) ended after \(file.length) of \(file.size) bytes (\(item.label))",
          remedy: "check the server; it goes on from where it stopped")
      }
      return try verify()
    } catch {
      if error.status == 401, !hasAuthorized, let headers = authorize(item, exchange.response) {
        hasAuthorized = true
        authorization = headers
        return .now(firstHop)
      }
      guard error.isTransient else { throw error }
      return try retry(after: error)
    }
  }

  private func retry(after error: TransferError) throws(TransferError) -> Step {
    fruitless = file.length > lengthAtStart ? 0 : fruitless + 1
    guard fruitless < policy.attemptsMaximum else { throw error }
    let doublings = min(fruitless, 16)
    return .again(
      afterMilliseconds: min(policy.backoffMaximumMilliseconds, policy.backoffMilliseconds << Int64(doublings)))
  }

  func verify() throws(TransferError) -> Step {
    let wasResumed = file.isResumed
    switch try file.verify() {
    case .verified: return .finished
    case .mismatch(let actual):
      // After a power cut the earlier run's bytes may not be what was written: once more, from nothing.
      if wasResumed {
        try file.restart()
        return .again(afterMilliseconds: 0)
      }
      file.discard()
      throw TransferError(
        .digestMismatch, "\(item.url) sent content with digest \(actual) in place of \(item.digest) (\(item.label))",
        remedy: "publish the content again, and look for a proxy or registry that alters it")
    }
  }
}
