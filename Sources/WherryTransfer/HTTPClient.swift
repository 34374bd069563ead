import CCurl
import WherryModel

/// A blocking HTTP client over libcurl. Keeps its connections open between requests. For one thread at a time.
///
/// Redirects of GET and HEAD are followed, but credentials never go to another origin than the one they were given
/// for, and https continues as http only where the configuration says so.
package final class HTTPClient {
  let configuration: HTTPClientConfiguration
  private let handle = EasyHandle()

  package init(configuration: HTTPClientConfiguration = HTTPClientConfiguration()) {
    self.configuration = configuration
  }

  /// Sends a request and collects the answer's body. Any status is an answer; judging it is the caller's.
  package func send(_ request: HTTPRequest, maximumBodyBytes: Int) throws(TransferError) -> HTTPResponse {
    var body: [UInt8] = []
    let tooLarge = TransferError(
      .tooLarge, "\(request.url) answered with more than \(maximumBodyBytes) bytes",
      remedy: "check that the address is the right one")
    var head = try perform(
      request, isStream: false,
      onHead: { head in
        guard let length = head.headers["content-length"].flatMap({ Int($0) }), request.method != "HEAD" else {
          return .more
        }
        return length > maximumBodyBytes ? .refused(tooLarge) : .more
      },
      onBody: { piece in
        guard body.count + piece.count <= maximumBodyBytes else { return .refused(tooLarge) }
        body.append(contentsOf: piece)
        return .more
      })
    head.body = body
    return head
  }

  /// Hands the body of a successful answer to `onChunk` as it comes, until that returns false or the server ends it.
  /// The server may be silent as long as it likes. The body of an answer that is not success is collected (up to
  /// 1 MiB) in the response.
  package func stream(_ request: HTTPRequest, onChunk: ([UInt8]) -> Bool) throws(TransferError) -> HTTPResponse {
    try withoutActuallyEscaping(onChunk) { (onChunk) throws(TransferError) -> HTTPResponse in
      var problem: [UInt8] = []
      var isSuccess = false
      var head = try perform(
        request, isStream: true,
        onHead: { head in
          isSuccess = head.isSuccess
          return .more
        },
        onBody: { piece in
          if isSuccess { return onChunk(Array(piece)) ? .more : .enough }
          guard problem.count + piece.count <= 1 << 20 else { return .enough }
          problem.append(contentsOf: piece)
          return .more
        })
      head.body = problem
      return head
    }
  }

  /// Runs the request and the redirects it leads to.
  func perform(
    _ request: HTTPRequest, isStream: Bool, onHead: @escaping (HTTPResponse) -> HTTPExchange.Verdict,
    onBody: @escaping (UnsafeRawBufferPointer) -> HTTPExchange.Verdict
  ) throws(TransferError) -> HTTPResponse {
    var hop = Hop(request)
    while true {
      let exchange = try HTTPExchange(hop, on: handle, configuration: configuration, isStream: isStream)
      exchange.onHead = onHead
      exchange.onBody = onBody
      let code = curl_easy_perform(handle.raw)
      guard let next = try exchange.conclude(code) else { return exchange.response }
      hop = next
    }
  }
}
