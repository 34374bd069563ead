import CCurl
import Glibc
import WherryModel

/// One request and its answer on one handle. It collects the head, hands the body on as it comes, and says in the
/// end how it went. Whoever drives the handle (`curl_easy_perform` or a multi handle) need not know more.
final class HTTPExchange {
  /// What the body's taker says to each piece.
  enum Verdict {
    case more
    /// Enough: end without an error.
    case enough
    case refused(TransferError)
  }

  let handle: EasyHandle
  let hop: Hop
  private let configuration: HTTPClientConfiguration
  private(set) var headers: [String: String] = [:]
  private var headerBytes = 0
  private var bodyFile: BodyFile?
  private var stop: Verdict = .more
  /// Called once the final head is there and before the first body byte; not for a redirect that is followed.
  var onHead: (HTTPResponse) -> Verdict = { _ in .more }
  var onBody: (UnsafeRawBufferPointer) -> Verdict = { _ in .more }
  private var isHeadDelivered = false

  private static let headerBytesMaximum = 256 << 10

  init(_ hop: Hop, on handle: EasyHandle, configuration: HTTPClientConfiguration, isStream: Bool)
    throws(TransferError)
  {
    self.hop = hop
    self.handle = handle
    self.configuration = configuration
    handle.reset()
    try setRequest()
    try setTrust()
    setBounds(isStream: isStream)
    setCallbacks()
  }

  // MARK: Options

  private func setRequest() throws(TransferError) {
    let request = hop.request
    guard Origin(url: request.url) != nil, handle.set(CURLOPT_URL, request.url) else {
      throw TransferError(
        .invalidRequest, "\"\(request.url.prefix(200))\" is not an http or https address", remedy: "check the address")
    }
    handle.set(CURLOPT_PROTOCOLS_STR, "http,https")
    guard request.headers.allSatisfy({ Self.isHeaderSafe($0.0) && Self.isHeaderSafe($0.1) }) else {
      throw TransferError(.invalidRequest, "a header of the request to \(request.url) holds a line break")
    }
    handle.set(headers: request.headers)
    switch (request.method, request.body, request.bodyFile) {
    case ("GET", nil, nil): handle.set(CURLOPT_HTTPGET, 1)
    case ("HEAD", nil, nil): handle.set(CURLOPT_NOBODY, 1)
    case (_, let body?, _):
      handle.set(CURLOPT_POSTFIELDSIZE_LARGE, offset: Int64(body.count))
      if body.isEmpty {
        handle.set(CURLOPT_COPYPOSTFIELDS, "")
      } else {
        body.withUnsafeBytes { bytes in
          _ = ccurl_set_pointer(
            handle.raw, CURLOPT_COPYPOSTFIELDS, UnsafeMutableRawPointer(mutating: bytes.baseAddress))
        }
      }
      handle.set(CURLOPT_CUSTOMREQUEST, request.method)
    case (_, nil, let path?):
      let file = try BodyFile(path: path)
      bodyFile = file
      handle.set(CURLOPT_UPLOAD, 1)
      handle.set(CURLOPT_INFILESIZE_LARGE, offset: file.size)
      handle.set(CURLOPT_CUSTOMREQUEST, request.method)
    case (_, nil, nil): handle.set(CURLOPT_CUSTOMREQUEST, request.method)
    }
  }

  private static func isHeaderSafe(_ text: String) -> Bool { text.utf8.allSatisfy { $0 != 10 && $0 != 13 && $0 != 0 } }

  private func setTrust() throws(TransferError) {
    // The default directory of authorities is trusted beside a given CA unless it is taken away.
    if configuration.caPEM != nil || configuration.caFile != nil { handle.set(CURLOPT_CAPATH, nil as String?) }
    var isUsable = true
    if let file = configuration.caFile { isUsable = handle.set(CURLOPT_CAINFO, file) }
    if let pem = configuration.caPEM { isUsable = handle.set(CURLOPT_CAINFO_BLOB, blob: pem) && isUsable }
    if hop.isTrusted {
      if let pem = configuration.clientCertificatePEM {
        isUsable = handle.set(CURLOPT_SSLCERT_BLOB, blob: pem) && isUsable
      }
      if let pem = configuration.clientKeyPEM { isUsable = handle.set(CURLOPT_SSLKEY_BLOB, blob: pem) && isUsable }
    }
    handle.set(CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2)
    guard isUsable else {
      throw TransferError(.invalidRequest, "the TLS library refused the certificates given for \(hop.request.url)")
    }
  }

  private func setBounds(isStream: Bool) {
    handle.set(CURLOPT_NOSIGNAL, 1)
    handle.set(CURLOPT_FOLLOWLOCATION, 0)
    handle.set(CURLOPT_CONNECTTIMEOUT_MS, configuration.connectTimeoutMilliseconds)
    handle.set(CURLOPT_TCP_KEEPALIVE, 1)
    handle.set(CURLOPT_USERAGENT, configuration.userAgent)
    guard !isStream else { return }
    handle.set(CURLOPT_LOW_SPEED_LIMIT, configuration.stallBytesPerSecond)
    handle.set(CURLOPT_LOW_SPEED_TIME, configuration.stallSeconds)
  }

  /// The handle keeps an unretained pointer: the exchange outlives the handle's use of it by construction (`HTTPClient`
  /// and `Downloader` hold it until libcurl is done and the next exchange resets the handle).
  private func setCallbacks() {
    let context = Unmanaged.passUnretained(self).toOpaque()
    handle.set(CURLOPT_HEADERDATA, pointer: context)
    _ = ccurl_set_data_callback(handle.raw, CURLOPT_HEADERFUNCTION) { bytes, size, count, context in
      guard let bytes, let context else { return 0 }
      let exchange = Unmanaged<HTTPExchange>.fromOpaque(context).takeUnretainedValue()
      return exchange.header(UnsafeRawBufferPointer(start: bytes, count: size * count)) ? size * count : 0
    }
    handle.set(CURLOPT_WRITEDATA, pointer: context)
    _ = ccurl_set_data_callback(handle.raw, CURLOPT_WRITEFUNCTION) { bytes, size, count, context in
      guard let bytes, let context else { return 0 }
      let exchange = Unmanaged<HTTPExchange>.fromOpaque(context).takeUnretainedValue()
      // Zero is less than what came and so tells libcurl to end, except for an empty piece, which is never passed.
      return exchange.body(UnsafeRawBufferPointer(start: bytes, count: size * count)) ? size * count : 0
    }
    guard bodyFile != nil else { return }
    handle.set(CURLOPT_READDATA, pointer: context)
    _ = ccurl_set_data_callback(handle.raw, CURLOPT_READFUNCTION) { bytes, size, count, context in
      guard let bytes, let context else { return Int(CURL_READFUNC_ABORT) }
      let exchange = Unmanaged<HTTPExchange>.fromOpaque(context).takeUnretainedValue()
      return exchange.bodyFile?.read(into: bytes, count: size * count) ?? Int(CURL_READFUNC_ABORT)
    }
    handle.set(CURLOPT_SEEKDATA, pointer: context)
    _ = ccurl_set_seek_callback(handle.raw) { context, offset, origin in
      guard let context, origin == SEEK_SET else { return CURL_SEEKFUNC_CANTSEEK }
      let exchange = Unmanaged<HTTPExchange>.fromOpaque(context).takeUnretainedValue()
      return exchange.bodyFile?.rewind(to: Int64(offset)) == true ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL
    }
  }

  // MARK: The answer

  private func header(_ line: UnsafeRawBufferPointer) -> Bool {
    headerBytes += line.count
    guard headerBytes <= Self.headerBytesMaximum else {
      stop = .refused(
        TransferError(.tooLarge, "\(hop.request.url) sent more than \(Self.headerBytesMaximum) bytes of headers"))
      return false
    }
    let text = String(decoding: line, as: UTF8.self)
    if text.hasPrefix("HTTP/") {
      headers = [:]
      return true
    }
    guard let colon = text.firstIndex(of: ":") else { return true }
    let name = text[..<colon].lowercased()
    let value = trimmed(text[text.index(after: colon)...])
    headers[name] = headers[name].map { $0 + ", " + value } ?? value
    return true
  }

  private func trimmed(_ text: Substring) -> String {
    var bytes = Substring(text).utf8
    while let first = bytes.first, first == 32 || first == 9 { bytes.removeFirst() }
    while let last = bytes.last, [32, 9, 13, 10].contains(last) { bytes.removeLast() }
    return String(Substring(bytes))
  }

  private func body(_ piece: UnsafeRawBufferPointer) -> Bool {
    // The page that comes with a redirect is nobody's.
    if isRedirect { return true }
    if !isHeadDelivered { deliverHead() }
    if case .more = stop { stop = onBody(piece) }
    if case .more = stop { return true }
    return false
  }

  private func deliverHead() {
    isHeadDelivered = true
    stop = onHead(response)
  }

  private var isRedirect: Bool {
    [301, 302, 303, 307, 308].contains(handle.status) && headers["location"] != nil
      && ["GET", "HEAD"].contains(hop.request.method)
  }

  var response: HTTPResponse {
    var response = HTTPResponse(status: handle.status, headers: headers)
    response.isFromElsewhere = !hop.isTrusted
    return response
  }

  /// What libcurl's result means. `nil` = done; a hop = go on there.
  func conclude(_ code: CURLcode) throws(TransferError) -> Hop? {
    if case .refused(let error) = stop { throw error }
    if case .enough = stop { return nil }
    guard code == CURLE_OK else { throw failure(code) }
    if isRedirect, let target = handle.redirectURL {
      return try hop.following(
        target, maximum: configuration.redirectsMaximum, insecureHosts: configuration.insecureHosts)
    }
    if !isHeadDelivered {
      deliverHead()
      if case .refused(let error) = stop { throw error }
    }
    return nil
  }

  private func failure(_ code: CURLcode) -> TransferError {
    let url = hop.request.url
    let detail = handle.explanation(of: code)
    switch code {
    case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY, CURLE_COULDNT_CONNECT:
      return TransferError(
        .unreachable, "\(url) cannot be reached: \(detail)", remedy: "check the address, the network and the server")
    case CURLE_OPERATION_TIMEDOUT:
      return TransferError(
        .stalled, "\(url) stopped answering: \(detail)", remedy: "check the network; it goes on from where it stopped")
    case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CONNECT_ERROR, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CACERT_BADFILE,
      CURLE_SSL_ISSUER_ERROR, CURLE_SSL_CIPHER:
      return TransferError(
        .untrusted, "no trusted connection to \(url): \(detail)",
        remedy: "check the server's certificate and that its authority is the configured one")
    case CURLE_PARTIAL_FILE, CURLE_RECV_ERROR, CURLE_SEND_ERROR, CURLE_GOT_NOTHING, CURLE_HTTP2, CURLE_HTTP2_STREAM:
      return TransferError(
        .truncated, "the connection to \(url) broke off: \(detail)",
        remedy: "check the network; it goes on from where it stopped")
    case CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL:
      return TransferError(.invalidRequest, "\(url) is not a usable address: \(detail)", remedy: "check the address")
    default:
      return TransferError(.invalidResponse, "\(url): \(detail)", remedy: "check the server")
    }
  }
}
