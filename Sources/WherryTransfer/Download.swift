import CCurl
import WherryModel

/// Gives headers for an answer 401 to an item, whose `url` is the address that was asked; nil = nothing helps.
package typealias Authorizing = (DownloadItem, HTTPResponse) throws(TransferError) -> [(String, String)]?

/// One item under way: which request comes next, what its answer means, how often it has been tried.
final class Download {
  enum Step {
    case finished
    /// Run the exchange again, after a pause.
    case again(afterMilliseconds: Int64)
    /// Run this exchange now: a redirect, the same with credentials, or the next place.
    case now(Hop)
  }

  /// As it was asked for, but with the address of the present place.
  private(set) var item: DownloadItem
  let file: PartialFile
  private let policy: DownloadPolicy
  private let health: MirrorHealth
  /// Addresses still to try when the present one fails; the last is the item's own.
  private var places: [String]
  /// What went wrong at mirrors.
  private var complaints: [String] = []
  private var exchange: HTTPExchange?
  private var fruitless = 0
  private var lengthAtStart: Int64 = 0
  private var credentials = Credentials()

  /// What the present place got to see.
  private struct Credentials {
    var headers: [(String, String)] = []
    /// Since they were got, the place has answered something else than 401. A token that was good can expire, and then
    /// another is asked for; one that never was good cannot be mended.
    var areProven = false
    var renewals = 0
    static let renewalsMaximum = 1_000

    var mayBeRenewed: Bool { (headers.isEmpty || areProven) && renewals < Self.renewalsMaximum }
  }

  init(_ item: DownloadItem, policy: DownloadPolicy, health: MirrorHealth) throws(TransferError) {
    var places = item.mirrors.filter { !health.isGone($0) } + [item.url]
    var placed = item
    placed.url = places.removeFirst()
    self.item = placed
    self.places = places
    self.policy = policy
    self.health = health
    file = try PartialFile(path: item.partialPath, size: item.size, digest: item.digest)
  }

  /// The request for what is missing.
  var firstHop: Hop {
    var headers = item.headers + credentials.headers
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
    case 401 where !credentials.headers.isEmpty && !head.isFromElsewhere:
      throw TransferError(
        .status, "\(item.url) answered with status 401: the server refuses the credentials that it got (\(item.label))",
        remedy: "check the registry's credential and that it may pull there", status: 401)
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

  func conclude(_ code: CURLcode, authorize: Authorizing) throws(TransferError) -> Step {
    guard let exchange else { preconditionFailure("\(item.label) ended before it was started") }
    let response = exchange.response
    if response.status != 401, response.status != 0, !response.isFromElsewhere { credentials.areProven = true }
    do throws(TransferError) {
      if let hop = try exchange.conclude(code) { return .now(hop) }
      guard file.isComplete else {
        throw TransferError(
          .truncated, "\(item.url) ended after \(file.length) of \(file.size) bytes (\(item.label))",
          remedy: "check the server; it goes on from where it stopped")
      }
      return try verify()
    } catch {
      // Where a redirect led to, a challenge is none for the registry's credentials.
      if error.status == 401, !response.isFromElsewhere, credentials.mayBeRenewed {
        do throws(TransferError) {
          if let headers = try authorize(item, response) {
            credentials = Credentials(headers: headers, renewals: credentials.renewals + 1)
            return .now(firstHop)
          }
        } catch { return try recover(from: error, response) }
      }
      return try recover(from: error, response)
    }
  }

  /// The next place, the same once more, or the end.
  private func recover(from error: TransferError, _ response: HTTPResponse) throws(TransferError) -> Step {
    if let hop = nextPlace(after: error) { return .now(hop) }
    guard error.isTransient else { throw complaining(error) }
    fruitless = file.length > lengthAtStart ? 0 : fruitless + 1
    guard fruitless < policy.attemptsMaximum else { throw complaining(error) }
    let asked = error.code == .unavailable ? RetryAfter.milliseconds(in: response.headers) : nil
    return .again(afterMilliseconds: policy.pauseMilliseconds(fruitless: fruitless, asked: asked))
  }

  /// A mirror is a shortcut and gets one chance; where the item comes from, patience is worth it.
  private func nextPlace(after error: TransferError) -> Hop? {
    guard !places.isEmpty, error.code != .spaceFull, error.code != .localFile else { return nil }
    health.note(error, at: item.url)
    complaints.append(error.message)
    while places.count > 1, let next = places.first, health.isGone(next) { places.removeFirst() }
    item.url = places.removeFirst()
    credentials = Credentials()
    fruitless = 0
    // Whatever the mirror sent has to fit what comes now; if it does not, that is not this place's fault.
    file.distrust()
    return firstHop
  }

  private func complaining(_ error: TransferError) -> TransferError {
    guard !complaints.isEmpty else { return error }
    let message = error.message + complaints.map { "; before that, of its mirror: \($0)" }.joined()
    return TransferError(error.code, message, remedy: error.remedy, status: error.status)
  }

  func verify() throws(TransferError) -> Step {
    let wasResumed = file.isResumed
    switch try file.verify() {
    case .verified: return .finished
    case .mismatch(let actual):
      let error = TransferError(
        .digestMismatch, "\(item.url) sent content with digest \(actual) in place of \(item.digest) (\(item.label))",
        remedy: "publish the content again, and look for a proxy or registry that alters it")
      // After a power cut the earlier run's bytes may not be what was written: once more, from nothing.
      if wasResumed {
        try file.restart()
        return .again(afterMilliseconds: 0)
      }
      if !places.isEmpty {
        try file.restart()
        if let hop = nextPlace(after: error) { return .now(hop) }
      }
      file.discard()
      throw error
    }
  }
}
