import CCurl

/// Scheme, host and port of a URL: credentials given for one origin are for no other.
struct Origin: Hashable {
  let scheme: String
  let host: String
  let port: String

  /// nil when the text is not an absolute URL.
  init?(url: String) {
    guard let handle = curl_url() else { return nil }
    defer { curl_url_cleanup(handle) }
    guard curl_url_set(handle, CURLUPART_URL, url, 0) == CURLUE_OK,
      let scheme = Self.part(CURLUPART_SCHEME, of: handle), let host = Self.part(CURLUPART_HOST, of: handle),
      let port = Self.part(CURLUPART_PORT, of: handle, flags: UInt32(CURLU_DEFAULT_PORT))
    else { return nil }
    self.scheme = scheme.lowercased()
    self.host = host.lowercased()
    self.port = port
  }

  /// As an operator writes it: the port is left away where it is the scheme's own, or not.
  func isNamed(in hosts: Set<String>) -> Bool {
    let isUsualPort = port == (scheme == "https" ? "443" : "80")
    return hosts.contains("\(host):\(port)") || (isUsualPort && hosts.contains(host))
  }

  private static func part(_ what: CURLUPart, of handle: OpaquePointer, flags: UInt32 = 0) -> String? {
    var text: UnsafeMutablePointer<CChar>?
    guard curl_url_get(handle, what, &text, flags) == CURLUE_OK, let text else { return nil }
    defer { curl_free(text) }
    return String(cString: text)
  }
}

/// One request of a chain of redirects.
struct Hop {
  var request: HTTPRequest
  /// Whether the client certificate and credential headers may be shown.
  var isTrusted: Bool
  var redirects: Int

  init(_ request: HTTPRequest) {
    self.request = request
    isTrusted = true
    redirects = 0
  }

  private static let credentialHeaders: Set<String> = ["authorization", "cookie", "proxy-authorization"]

  /// The request that a redirect asks for. Credentials stay with the origin that they were given for, and what
  /// began encrypted does not go on in the clear, except at hosts where the operator allowed that.
  func following(_ target: String, maximum: Int, insecureHosts: Set<String>) throws(TransferError) -> Hop {
    guard redirects < maximum else {
      throw TransferError(
        .invalidResponse, "\(request.url) redirects more than \(maximum) times",
        remedy: "check the server's redirects for a loop")
    }
    guard let from = Origin(url: request.url), let to = Origin(url: target), ["http", "https"].contains(to.scheme)
    else {
      throw TransferError(
        .invalidResponse, "\(request.url) redirects to \"\(target.prefix(200))\", which is not an http address",
        remedy: "check the server's redirects")
    }
    guard from.scheme == to.scheme || to.scheme == "https" || to.isNamed(in: insecureHosts) else {
      throw TransferError(
        .invalidResponse, "\(request.url) redirects from https to plain http at \(to.host)",
        remedy: "have the server redirect to an https address")
    }
    var next = self
    next.redirects += 1
    next.request.url = target
    if from != to {
      next.isTrusted = false
      next.request.headers.removeAll { Self.credentialHeaders.contains($0.0.lowercased()) }
    }
    return next
  }
}
